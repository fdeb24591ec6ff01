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

static int tell(const struct connection *connection, const char *what, const rh_error *error, const char *behind)
{
    const char *words = error->description[0] ? error->description : rh_status_words(error->status);
    const char *name = rh_status_name(error->status);
    if (error->condition[0]) return rh_command_failed(connection->command, "%s: %s: %s (%s)%s", what, name, words, error->condition, behind);
    return rh_command_failed(connection->command, "%s: %s: %s%s", what, name, words, behind);
}

int rh_cli_failed(const struct connection *connection, const char *what, const rh_error *error) { return tell(connection, what, error, ""); }

static void print_frame(void *user, rh_client *client, bool outgoing, uint16_t channel, const char *text)
{
    (void)user, (void)client;
    fprintf(stderr, "%s %u %s\n", outgoing ? "->" : "<-", channel, text);
}

/* How long a way that fails is tried for the first time, and how long anything may take that was given no time. */
#define FAILING_MOST RH_SECONDS(2)
#define TIMEOUT_MS   60000

/* Once for each connection, and for what is on it when it failed twice, for all of it is lost with its connection. */
static void on_retry(void *user, rh_client *client, const rh_retry *retry)
{
    struct connection *connection = user;
    bool is_connection = strcmp(retry->what, "connection") == 0;
    (void)client;
    if (!connection->was_open || connection->is_quiet) return;
    if (retry->tries == (is_connection ? 1 : 2)) (void)tell(connection, retry->what, retry->error, ", trying again");
}

static void on_state(void *user, rh_client *client, rh_client_state state, const rh_error *error)
{
    struct connection *connection = user;
    rh_time now = rh_loop_now(connection->loop);
    (void)client, (void)error;
    if (connection->lost_at && state != RH_CLIENT_CONNECTING) {
        connection->away += now - connection->lost_at;
        connection->lost_at = 0;
    }
    if (state == RH_CLIENT_OPEN) connection->was_open = true;
    if (state == RH_CLIENT_CONNECTING) connection->losses++, connection->lost_at = now;
}

rh_time rh_cli_away(const struct connection *connection)
{
    return connection->away + (connection->lost_at ? rh_loop_now(connection->loop) - connection->lost_at : 0);
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
                              .links = opts->links, .handler = { .on_retry = on_retry, .on_state = on_state }, .user = connection };
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

/* A signal ends a wait of the loop only if it comes inside it. */
static rh_time soon(const struct connection *connection, rh_time deadline)
{
    rh_time look = rh_time_after(rh_loop_now(connection->loop), RH_MS(100));
    return look < deadline ? look : deadline;
}

static rh_time deadline_of(const struct connection *connection, uint32_t timeout_ms)
{
    return rh_time_after(rh_loop_now(connection->loop), RH_MS(timeout_ms ? timeout_ms : TIMEOUT_MS));
}

static rh_status own_error(rh_error *error, rh_status status)
{
    rh_error_set(error, status, NULL, status == RH_E_CANCELLED ? "interrupted" : rh_status_words(status));
    return status;
}

static bool gives_up(const struct connection *connection)
{
    rh_time until = rh_time_after(connection->since, FAILING_MOST);
    return rh_client_error(connection->client)->status != RH_OK && rh_loop_now(connection->loop) >= until;
}

static rh_status connect_until(struct connection *connection, rh_time deadline, rh_error *error)
{
    rh_client *client = connection->client;
    connection->since = rh_loop_now(connection->loop);
    rh_status status = rh_client_connect(client);
    while (status == RH_OK && rh_client_state_of(client) < RH_CLIENT_OPEN && !gives_up(connection) && !rh_cli_interrupted() &&
           rh_loop_now(connection->loop) < deadline)
        status = rh_loop_turn(connection->loop, soon(connection, deadline));
    if (status == RH_OK && rh_client_state_of(client) == RH_CLIENT_OPEN) return RH_OK;
    if (rh_cli_interrupted()) return own_error(error, RH_E_CANCELLED);
    if (status != RH_OK || rh_client_error(client)->status == RH_OK) return own_error(error, status ? status : RH_E_TIMEOUT);
    *error = *rh_client_error(client);
    return error->status;
}

rh_status rh_cli_connect(struct connection *connection, uint32_t timeout_ms, rh_error *error)
{
    return connect_until(connection, deadline_of(connection, timeout_ms), error);
}

static void on_hub(void *user, const rh_hub_properties *hub, const rh_error *error)
{
    struct connection *connection = user;
    connection->answered = true;
    if (hub) connection->hub = *hub;
    else connection->error = *error;
}

rh_status rh_cli_hub(struct connection *connection, rh_hub_properties *out, uint32_t timeout_ms, rh_error *error)
{
    rh_time deadline = deadline_of(connection, timeout_ms);
    rh_status status = connect_until(connection, deadline, error);
    if (status != RH_OK) return status;
    rh_time now = rh_loop_now(connection->loop);
    uint64_t left_ms = deadline > now ? (deadline - now) / RH_MS(1) : 0; /* it may have come in the very last moment */
    rh_client_hub_properties(connection->client, left_ms ? (uint32_t)left_ms : 1, on_hub, connection);
    while (status == RH_OK && !connection->answered && !rh_cli_interrupted()) status = rh_loop_turn(connection->loop, soon(connection, RH_TIME_NEVER));
    if (status != RH_OK || !connection->answered) return own_error(error, status ? status : RH_E_CANCELLED);
    *error = connection->error;
    *out = connection->hub;
    return error->status;
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
