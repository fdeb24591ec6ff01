/**
 * service.h: the emulator as a process of its own, and what processes hold.
 */
#ifndef SOAK_SERVICE_H
#define SOAK_SERVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

typedef struct soak_service {
    pid_t    pid;
    uint16_t port; /* TLS */
    char     told[512]; /* the file its standard error goes to */
} soak_service;

/** Starts `argv[0] argv[1] ...` and waits until it says where it listens for TLS; false: it did not within ten seconds. */
bool soak_service_start(soak_service *service, char *const *argv, const char *told);

/** Kills it as it stands and starts it anew, without waiting: argv names its port now. What it tells goes behind what it told. */
bool soak_service_restart(soak_service *service, char *const *argv);

/** Ends it in order, within twenty seconds; its exit status, -1 if it had to be killed. */
int soak_service_stop(soak_service *service);

bool soak_service_lives(const soak_service *service);

/** The faults that it told of, one by one; false: there are no more. */
typedef struct soak_row {
    char fault[16], condition[64]; /* an empty condition: none */
} soak_row;

typedef struct soak_rows {
    void *file;
} soak_rows;

soak_rows soak_service_rows(const soak_service *service);
bool      soak_rows_next(soak_rows *rows, soak_row *out);

/** Resident memory in bytes and open descriptors of a process; 0: unknown. */
uint64_t soak_memory(pid_t pid);
unsigned soak_descriptors(pid_t pid);

/** Samples over time, and their straight line. */
typedef struct soak_slope {
    double   n, x, y, xx, xy;
    uint64_t first, last, most;
} soak_slope;

void   soak_slope_add(soak_slope *slope, double x, uint64_t y);
double soak_slope_of(const soak_slope *slope); /* y for each x */

#endif
