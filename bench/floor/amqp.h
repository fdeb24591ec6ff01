/**
 * The AMQP that a floor speaks: bytes written down beforehand for one connection, one session and one link. It answers
 * nothing, renews nothing that a peer of loopback might ask for and trusts every frame; it is no engine and no client.
 */
#ifndef RH_BENCH_FLOOR_AMQP_H
#define RH_BENCH_FLOOR_AMQP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What goes in front of a payload, frame header included: the same form as a transfer of the library's. */
#define RH_FLOOR_TRANSFER 25

/* Answers of a peer that takes events are small: dispositions and flows. */
#define RH_FLOOR_ANSWERS 16384

typedef enum rh_floor_role { RH_FLOOR_SENDS_SETTLED, RH_FLOOR_SENDS, RH_FLOOR_RECEIVES, RH_FLOOR_RECEIVES_UNSETTLED } rh_floor_role;

/** A connected, blocking TCP socket without Nagle; -1 with errno. host: a numeric address. */
int rh_floor_dial(const char *host, uint16_t port);

/** Moves bytes of the opening: over the socket itself, or through TLS. Both move all n, or answer false. */
typedef struct rh_floor_stream {
    bool (*write)(void *user, const uint8_t *bytes, size_t n);
    bool (*read)(void *user, uint8_t *bytes, size_t n);
    void  *user;
} rh_floor_stream;

/** A stream over a blocking socket; fd must outlive it. */
rh_floor_stream rh_floor_stream_of(int *fd);

/** Opens the connection, a session and the link; a sender's waits for credit, a receiver's grants `credit`. */
bool rh_floor_open(const rh_floor_stream *stream, rh_floor_role role, const char *address, uint32_t credit);

/** The same; *given is how many deliveries a sender may send. */
bool rh_floor_open_given(const rh_floor_stream *stream, rh_floor_role role, const char *address, uint32_t credit, uint32_t *given);

/** Writes the frame header and performative of a transfer that has n bytes of payload behind it. */
void rh_floor_transfer(uint8_t to[RH_FLOOR_TRANSFER], size_t n, bool settled);

/** The reference event with a body of this size in its frame, to be freed; NULL: it does not fit one frame of 64 KiB. */
uint8_t *rh_floor_event(size_t body_n, size_t *n);

/** Makes it another delivery. */
void rh_floor_transfer_number(uint8_t frame[RH_FLOOR_TRANSFER], uint32_t delivery);

/** What the peer said so far. */
typedef struct rh_floor_answers {
    uint8_t  bytes[RH_FLOOR_ANSWERS]; /* read into bytes + n */
    size_t   n;
    uint32_t settled; /* deliveries of ours it has settled: from 0 on, all below this */
    uint32_t credit;  /* how many it takes altogether */
} rh_floor_answers;

/** n bytes more lie behind those that were there: looks at the frames that are whole. False: a close or nonsense. */
bool rh_floor_answered(rh_floor_answers *answers, size_t n);

#endif
