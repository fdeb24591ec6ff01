/**
 * What TLS cannot do without, and nothing around it: OpenSSL's EVP over the same bytes, and a client's libssl as it comes.
 */
#ifndef RH_BENCH_FLOOR_AEAD_H
#define RH_BENCH_FLOOR_AEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RH_FLOOR_RECORD 16384 /* a full one [RFC 8446, 5.1] */

/** The suite that the seals and opens below belong to. */
#define RH_FLOOR_SUITE "TLS_AES_256_GCM_SHA384"

/** Nanoseconds of processor time to seal, or to open, n bytes in records of TLS 1.3. NAN: OpenSSL will not. */
double rh_floor_aead(bool seals, size_t n, size_t record);

/**
 * Nanoseconds of processor time of what a client must compute in a handshake: an X25519 key and a secret, and the P-256
 * signatures of the certificate and of the handshake unless it is resumed. NAN: OpenSSL will not.
 */
double rh_floor_key_exchange(bool resumed);

/**
 * Nanoseconds of processor time of `count` connections to a peer that speaks AMQP, each a protocol header there and back:
 * ca NULL: plain TCP; else libssl over a blocking socket, full handshakes or, with `resumed`, each with the session of the one
 * before. NAN: one failed.
 */
double rh_floor_connections(const char *host, uint16_t port, const char *ca, bool resumed, unsigned count);

#endif
