/* The subcommands of the program and what they share. */
#ifndef RH_CLI_COMMAND_H
#define RH_CLI_COMMAND_H

#include <ringhub/base.h>
#include <stdio.h>

/* Exit codes: the program's contract. */
enum { DONE = 0, FAILED = 1, USAGE = 2 };

struct command {
    const char *name;
    const char *summary; /* one line of `ringhub --help` */
    const char *usage;   /* `ringhub NAME --help`, whole */
    int (*run)(int argc, char **argv);
};

extern const struct command rh_command_emulator;
extern const struct command rh_command_send;
extern const struct command rh_command_receive;
extern const struct command rh_command_info;
extern const struct command rh_command_run;
extern const struct command rh_command_bench;

/* Prints "ringhub NAME: " and the words on one line of stderr; answers USAGE, to be returned. */
int rh_command_misused(const struct command *command, const char *words, ...) __attribute__((format(printf, 2, 3)));

/* Names the word of the command line that getopt_long() did not take; it says nothing itself (opterr is 0). */
int rh_command_misread(const struct command *command, char **argv);

/* The same as misused for an operation that failed; answers FAILED. */
int rh_command_failed(const struct command *command, const char *words, ...) __attribute__((format(printf, 2, 3)));

/* An rh_log's on_log: lines on stderr, up to the rh_log_level that `least` points to. */
void rh_command_log(void *least, rh_log_level level, const char *id, const char *text);

#endif
