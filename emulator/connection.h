/**
 * connection.h: one client: its pipe, its engine, its tokens and its links.
 */
#ifndef RH_EMULATOR_CONNECTION_H
#define RH_EMULATOR_CONNECTION_H

#include "emulator/refusal.h"
#include "proto/proto.h"

/* A connection's tokens. The official clients put one for each link; nobody has a use for more. */
#define RH_EMU_TOKENS_MAX (2 * RH_EMULATOR_PARTITIONS_MAX)

typedef struct rh_emu_connection rh_emu_connection;
typedef struct rh_emu_link       rh_emu_link;
struct rh_emu_reader;

/** What the engine tells about a link goes to its kind. Any member but on_gone may be NULL. */
typedef struct rh_emu_link_kind {
    void (*on_delivery)(rh_emu_link *link, const rh_incoming *incoming);
    void (*on_credit)(rh_emu_link *link);
    void (*on_outcome)(rh_emu_link *link, void *user); /* what was given with rh_link_send() is not lent any more */
    void (*on_resume)(rh_emu_link *link);              /* what was held back until now may go on */
    void (*on_gone)(rh_emu_link *link);                /* gives the link's memory back */
} rh_emu_link_kind;

/** The head of every link; the kinds put their own behind it. */
struct rh_emu_link {
    const rh_emu_link_kind *kind;
    rh_emu_connection      *connection;
    rh_link                *link;
    rh_emu_link            *next;
    char                   *path;   /* what a token must cover; NULL: none needed */
    uint8_t                *gather; /* lent to the engine, from the first delivery of several frames on */
    size_t                  gather_n; /* how large it is, or has to be */
    bool                    is_leaving; /* detached by us */
    bool                    is_aside;   /* of $cbs: alone it does not keep a connection */
    rh_emu_place            place;
    uint32_t                idle_ms;
    rh_timer                idle;
    rh_time                 active_at;
    rh_timer                hold;       /* when to resume */
    rh_time                 held_until; /* by a fault: no credit, no events, no answers */
};

typedef struct rh_emu_token {
    struct rh_emu_token *next;
    int64_t              expires_ms;
    size_t               n;
    char                 path[]; /* n bytes, then a zero */
} rh_emu_token;

struct rh_emu_connection {
    rh_emulator       *emulator;
    rh_emu_connection *next, **link_to_this;
    rh_pipe           *pipe;
    rh_engine         *engine;
    void              *arena;
    size_t             arena_n;
    void              *room; /* of the loop, while the engine writes frames there */
    size_t             room_n;
    rh_emu_link       *links;
    rh_emu_token      *tokens;
    uint32_t           token_count;
    bool               is_trusted; /* SASL PLAIN gave the rule and its key */
    bool               is_open; /* the peer's open came */
    bool               is_closing;
    bool               slots_back; /* an outcome came since the hungry were last served */
    struct rh_emu_reader *hungry, **hungry_end; /* readers that stopped for want of delivery slots */
    rh_timer           clock, expiry, patience;
    rh_time            clock_at;
    uint32_t           patience_ms;
    rh_timer           stall;
    bool               is_stalled; /* by a fault: nothing is read or written */
    bool               wants_parts; /* some fault waits for the middle of a delivery */
    bool               part_came;  /* the last frame was a part of a delivery, and not its end */
    uint64_t           quota;      /* bytes that may still leave before a fault cuts the connection */
    char               client[80]; /* the peer's container id */
    char               peer[64];
};

/* -- the connection: connection.c ------------------------------------------------------------- */

/** Takes a pipe from the listener. */
void rh_emu_connection_accept(void *emulator, rh_pipe *pipe);

/** Something was submitted from outside the connection's own callbacks: bytes to send, a deadline to keep. */
void rh_emu_connection_wake(rh_emu_connection *connection);

/** A link that is not aside came or went: a connection without any is not kept for long. */
void rh_emu_connection_linked(rh_emu_connection *connection);

/** For so long nothing is read and nothing written. */
void rh_emu_connection_stall(rh_emu_connection *connection, rh_time time);

/** Cuts it off; its memory goes when the pipe is down. */
void rh_emu_connection_cut(rh_emu_connection *connection);

/* -- links: link.c ---------------------------------------------------------------------------- */

/** The peer's attach, taken apart. */
typedef struct rh_emu_attach {
    rh_emu_connection    *connection;
    rh_link              *link;
    const rh_amqp_attach *frame;
    rh_amqp_source        source;
    rh_amqp_target        target;
    rh_slice              target_address;
    rh_emu_address        address;
    rh_time               withhold; /* a fault: the link is held for so long from the start */
} rh_emu_attach;

void rh_emu_link_on_attach(rh_emu_connection *connection, rh_link *link, const rh_amqp_attach *frame);

/** Puts link (zeroed memory of at least a head) on the connection and answers the attach; echoes what the peer asked for. */
RH_NODISCARD bool rh_emu_link_accept(rh_emu_link *link, const rh_emu_link_kind *kind, const rh_emu_attach *attach, rh_link_opts *opts,
                                     rh_emu_refusal *no);

/** Detaches for good with the refusal; on_gone follows. */
void rh_emu_link_drop(rh_emu_link *link, const rh_emu_refusal *no);

/** From now on it is dropped once nothing has stirred it for so long; UINT32_MAX: never. */
void rh_emu_link_rest(rh_emu_link *link, uint32_t idle_ms);
void rh_emu_link_stir(rh_emu_link *link);

/** Holds the link for so long; on_resume follows. */
void rh_emu_link_withhold(rh_emu_link *link, rh_time time);
bool rh_emu_link_is_held(const rh_emu_link *link);

/** Has on_resume called then, or earlier. */
void rh_emu_link_resume_at(rh_emu_link *link, rh_time at);

/** Takes the link off its connection; called by each on_gone. */
void rh_emu_link_fini(rh_emu_link *link);

bool rh_emu_capability_asked(rh_slice capabilities, const char *name);

/* What each place does with an attach; false: refused. */
bool rh_emu_node_attach(const rh_emu_attach *attach, rh_emu_refusal *no);
bool rh_emu_sender_attach(const rh_emu_attach *attach, rh_emu_refusal *no);
bool rh_emu_reader_attach(const rh_emu_attach *attach, rh_emu_refusal *no);

/* -- tokens: token.c -------------------------------------------------------------------------- */

/** Believes a token for what the audience names, or refuses it. */
RH_NODISCARD bool rh_emu_token_put(rh_emu_connection *connection, rh_slice token, rh_slice audience, rh_emu_refusal *no);

/** Whether a token that is good now covers the path; an absent path: whether there is any. */
bool rh_emu_token_covers(const rh_emu_connection *connection, rh_slice path);

/** The same, with the words of the refusal. */
bool rh_emu_token_check(const rh_emu_connection *connection, const rh_emu_hub *hub, rh_slice path, const char *claim, rh_emu_refusal *no);

/** Judges the response of SASL PLAIN. */
bool rh_emu_token_plain(rh_emu_connection *connection, rh_slice response);

void rh_emu_token_fini(rh_emu_connection *connection);

#endif
