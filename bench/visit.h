/**
 * Connections of ringhub's transport alone: dialed, verified, eight bytes there and back, cut.
 */
#ifndef RH_BENCH_VISIT_H
#define RH_BENCH_VISIT_H

#include <stdbool.h>
#include <stdint.h>

/**
 * Nanoseconds of processor time of `count` of them: ca NULL: plain TCP; else full handshakes, each with a context of its own
 * that is made before the clock runs, or, with `resumed`, with one context that has been there before. NAN: one failed.
 */
double rh_visits(const char *host, uint16_t port, const char *ca, bool resumed, unsigned count);

#endif
