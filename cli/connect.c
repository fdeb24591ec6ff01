#include "cli/connect.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

bool rh_cli_option(struct connect_opts *opts, int option, const char *value)
{
    switch (option) {
    case 'c': opts->connection_string = value; return true;
    case 'e': opts->hub = value; return true;
    case 'A': opts->ca_file = value; return true;
    case 'K': opts->token_file = value; return true;
    case 'I': opts->insecure = true; return true;
    case 'T': opts->trace = true; return true;
    case 'v': opts->verbose = true; return true;
    default: return false;
    }
}

int rh_cli_failed(const struct connection *connection, const char *what, const rh_error *error)
{
    const char *words = error->description[0] ? error->description : rh_status_words(error->status);
    const char *name = rh_status_name(error->status);
    if (error->condition[0]) return rh_command_failed(connection->command, "%s: %s: %s (%s)", what, name, words, error->condition);
    return rh_command_failed(connection->command, "%s: %s: %s", what, name, words);
}

static void print_frame(void *user, rh_client *client, bool outgoing, uint16_t channel, const char *text)
{
    (void)user, (void)client;
    fprintf(stderr, "%s %u %s\n", outgoing ? "->" : "<-", channel, text);
}

static const char *environment(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

/* The file's first line; NULL with errno when it cannot be read or is empty. */
static char *first_line(const char *path)
{
    FILE *file = fopen(path, "r");
    if (!file) return NULL;
    char *line = NULL;
    size_t room = 0;
    ssize_t n = getline(&line, &room, file);
    fclose(file);
    if (n > 0) line[strcspn(line, "\r\n")] = '\0';
    if (n > 0 && *line) return line;
    free(line);
    errno = EINVAL;
    return NULL;
}

static void answer_token(void *user, const char *audience, rh_token_request *request)
{
    (void)audience;
    const struct connection *connection = user;
    bool sas = strncmp(connection->token, "SharedAccessSignature ", 22) == 0;
    rh_token_answer(request, rh_str(connection->token), sas ? RH_TOKEN_SAS : RH_TOKEN_JWT, 0);
}

static void forget_token(void *user, rh_token_request *request) { (void)user, (void)request; }

static int find_way(struct connection *connection, const struct connect_opts *opts, rh_client_opts *client)
{
    client->connection_string = opts->connection_string ? opts->connection_string : environment("EVENT_HUB_CONNECTION_STRING");
    client->hub = opts->hub;
    if (client->connection_string) {
        if (!client->hub && !strcasestr(client->connection_string, "EntityPath=")) client->hub = environment("EVENT_HUB_NAME");
        return DONE;
    }
    client->fully_qualified_namespace = environment("EVENT_HUB_FULLY_QUALIFIED_NAMESPACE");
    if (!client->fully_qualified_namespace)
        return rh_command_misused(connection->command, "no connection string: give -c or set $EVENT_HUB_CONNECTION_STRING");
    if (!opts->token_file)
        return rh_command_misused(connection->command, "$EVENT_HUB_FULLY_QUALIFIED_NAMESPACE needs a credential: give --token-file");
    connection->token = first_line(opts->token_file);
    if (!connection->token)
        return rh_command_failed(connection->command, "%s: RH_E_IO: %s", opts->token_file, strerror(errno));
    connection->credential = (rh_credential){ .request = answer_token, .cancel = forget_token, .user = connection };
    client->credential = &connection->credential;
    if (!client->hub) client->hub = environment("EVENT_HUB_NAME");
    return DONE;
}

static int open_on(struct connection *connection, rh_loop *loop, const struct connect_opts *opts)
{
    static rh_log_level loud = RH_LOG_DEBUG, quiet = RH_LOG_ERROR;
    rh_client_opts client = { .size = sizeof client, .ca_file = opts->ca_file, .insecure = opts->insecure,
                              .application_id = "ringhub-cli", .operation_timeout_ms = opts->timeout_ms,
                              .links = opts->links, .user = connection };
    if (opts->trace) client.handler.on_frame = print_frame;
    int code = find_way(connection, opts, &client);
    if (code != DONE) return code;

    rh_error error;
    rh_log log = { .on_log = rh_command_log, .user = opts->verbose ? &loud : &quiet };
    rh_status status = RH_OK;
    connection->loop = loop;
    if (!loop) status = rh_loop_create(RH_LOOP_OPTS(.log = log, .spin_us = opts->spin_us), &connection->loop, &error);
    if (status == RH_OK) status = rh_client_create(connection->loop, &client, &connection->client, &error);
    if (status == RH_OK) return DONE;
    code = rh_cli_failed(connection, "connect", &error);
    rh_cli_close(connection);
    return code;
}

int rh_cli_open(struct connection *connection, const struct command *command, const struct connect_opts *opts)
{
    *connection = (struct connection){ .command = command };
    return open_on(connection, NULL, opts);
}

int rh_cli_open_beside(struct connection *connection, const struct connection *first, const struct connect_opts *opts)
{
    *connection = (struct connection){ .command = first->command, .is_guest = true };
    return open_on(connection, first->loop, opts);
}

void rh_cli_close(struct connection *connection)
{
    if (connection->client) {
        (void)rh_client_close_wait(connection->client, 2000, NULL);
        rh_client_destroy(connection->client);
    }
    if (connection->loop && !connection->is_guest) rh_loop_destroy(connection->loop);
    free(connection->token);
    connection->client = NULL;
    connection->loop = NULL;
    connection->token = NULL;
}

static volatile sig_atomic_t interrupted;

static void note_interrupt(int number)
{
    (void)number;
    interrupted = 1;
}

void rh_cli_catch_interrupt(void)
{
    /* Without SA_RESTART: a wait for input or for the ring ends with EINTR and looks at the flag. */
    struct sigaction action = { .sa_handler = note_interrupt };
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

bool rh_cli_interrupted(void) { return interrupted != 0; }
