/**
 * cbs.h: claims-based security: every audience that a client uses is granted by a token put to $cbs.
 *
 * A grant is one audience with its token. It is shared by all who use the audience, and renews its token by
 * itself at three quarters to nine tenths of the token's life, each grant on its own schedule.
 */
#ifndef RH_EVENTHUB_CBS_H
#define RH_EVENTHUB_CBS_H

#include "eventhub/credential.h"
#include "eventhub/exchange.h"

typedef struct rh_grant rh_grant;

struct rh_grant {
    rh_grant        *next; /* in the client's list */
    rh_client       *client;
    unsigned         users;
    char            *audience; /* "sb://HOST/HUB/Partitions/0" */
    size_t           audience_n;
    rh_token_request request;
    rh_call          call;
    uint8_t         *bytes; /* the put-token message: holds a token, wiped when done */
    size_t           bytes_n;
    bool             valid;     /* the service has accepted a token and it has not run out */
    bool             calling;   /* from start to on_idle */
    bool             again;     /* a token is wanted as soon as the call is idle */
    bool             told;      /* on_expiring */
    bool             failing;   /* the credential gave none, for the reason kept in last: told by the loop */
    uint32_t         failures;  /* of renewal, in a row */
    rh_story         last;      /* the latest of them */
    int64_t          expires_unix_ms;     /* of the token accepted; 0: unknown */
    int64_t          next_expires_unix_ms; /* of the token on its way */
    rh_timer         timer;     /* renewal */
};

/** The grant for path ("HUB/Partitions/0"), made and asked for if nobody has it. RH_E_MEMORY. */
RH_NODISCARD rh_status rh_grant_take(rh_client *client, const char *path, rh_grant **out);

/** The token is not believed any more: another is asked for and put. */
void rh_grant_renew(rh_grant *grant);

/** The connection is gone, and all that was put to it. */
void rh_grants_lost(rh_client *client);

/** There is another: every token is put again. */
void rh_grants_ask(rh_client *client);

/** It is open: who was asked before and had none is asked again. */
void rh_grants_opened(rh_client *client);

/** One user less; the last one's leaving ends it. NULL is allowed. */
void rh_grant_drop(rh_grant *grant);

#endif
