#include "cli/command.h"

#include <getopt.h>
#include <stdarg.h>
#include <string.h>

static const struct command *const commands[] = {
    &rh_command_emulator, &rh_command_send, &rh_command_receive, &rh_command_info, &rh_command_run,
    &rh_command_bench,
};
enum { COMMANDS = sizeof commands / sizeof *commands };

static void say(const struct command *command, const char *words, va_list arguments)
{
    fflush(stdout);
    fprintf(stderr, "ringhub %s: ", command->name);
    vfprintf(stderr, words, arguments);
    fputc('\n', stderr);
}

int rh_command_misused(const struct command *command, const char *words, ...)
{
    va_list arguments;
    va_start(arguments, words);
    say(command, words, arguments);
    va_end(arguments);
    fprintf(stderr, "try: ringhub %s --help\n", command->name);
    return USAGE;
}

int rh_command_misread(const struct command *command, char **argv)
{
    return rh_command_misused(command, "'%s' is no option, or lacks its value", argv[optind - 1]);
}

int rh_command_failed(const struct command *command, const char *words, ...)
{
    va_list arguments;
    va_start(arguments, words);
    say(command, words, arguments);
    va_end(arguments);
    return FAILED;
}

void rh_command_log(void *least, rh_log_level level, const char *id, const char *text)
{
    static const char *const names[] = { "error", "warning", "info", "debug" };
    if (level <= *(const rh_log_level *)least) fprintf(stderr, "%s %s: %s\n", names[level], id, text);
}

static int help(FILE *out, int code)
{
    fputs("ringhub " RH_VERSION ": Azure Event Hubs over AMQP 1.0\n\nusage: ringhub SUBCOMMAND [OPTION]...\n\n", out);
    for (size_t i = 0; i < COMMANDS; i++) fprintf(out, "  %-10s %s\n", commands[i]->name, commands[i]->summary);
    fputs("\nringhub SUBCOMMAND --help tells the rest. Exit status: 0 done, 1 the operation failed, 2 usage.\n", out);
    return fflush(out) == 0 ? code : FAILED;
}

static const struct command *command_named(const char *name)
{
    for (size_t i = 0; i < COMMANDS; i++) {
        if (strcmp(commands[i]->name, name) == 0) return commands[i];
    }
    return NULL;
}

/* What --help and lost output have in common for every subcommand. */
static int run(const struct command *command, int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--help") == 0) return fputs(command->usage, stdout) < 0 || fflush(stdout) != 0 ? FAILED : DONE;
    }
    opterr = 0;
    int code = command->run(argc, argv);
    if (fflush(stdout) != 0 && code == DONE) return rh_command_failed(command, "cannot write to standard output");
    return code;
}

int main(int argc, char **argv)
{
    if (argc < 2) return help(stderr, USAGE);
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0) return help(stdout, DONE);
    if (strcmp(argv[1], "--version") == 0) return puts("ringhub " RH_VERSION) < 0 ? FAILED : DONE;

    const struct command *command = command_named(argv[1]);
    if (!command) {
        fprintf(stderr, "ringhub: there is no subcommand '%s'\ntry: ringhub --help\n", argv[1]);
        return USAGE;
    }
    return run(command, argc - 1, argv + 1);
}
