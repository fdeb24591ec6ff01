#include "tests/client_world.h"

#include <stdio.h>

const char *const world_connection_string = "Endpoint=sb://toy:5672/;SharedAccessKeyName=rule;SharedAccessKey=" CANARY_KEY
                                            ";EntityPath=hub;UseDevelopmentEmulator=true";

/* -- the client ---------------------------------------------------------------------------------- */

static void keep_text(client_world *world, const char *text)
{
    size_t n = strlen(text);
    if (n + 2 > sizeof world->text - world->text_n) return; /* a zero stays behind it */
    memcpy(world->text + world->text_n, text, n);
    world->text_n += n;
    world->text[world->text_n++] = '\n';
}

static void on_log(void *user, rh_log_level level, const char *id, const char *text)
{
    (void)level, (void)id;
    keep_text(user, text);
}

static void on_frame(void *user, rh_client *client, bool outgoing, uint16_t channel, const char *text)
{
    (void)client, (void)outgoing, (void)channel;
    keep_text(user, text);
}

static void on_state(void *user, rh_client *client, rh_client_state state, const rh_error *error)
{
    client_world *world = user;
    char          mark[] = { "i.OcC"[state], 0 };
    (void)client;
    (void)strncat(world->states, mark, sizeof world->states - strlen(world->states) - 1);
    if (error) keep_text(world, error->description);
    if (state == RH_CLIENT_CLOSED) {
        world->is_closed = true;
        if (error) world->closed = *error;
    }
}

static void on_expiring(void *user, rh_client *client, int64_t expires_unix_ms)
{
    client_world *world = user;
    (void)client;
    world->expiring++;
    world->expires_unix_ms = expires_unix_ms;
}

void world_open(client_world *world, const rh_client_opts *opts)
{
    memset(world, 0, sizeof *world);
    toy_loop_init(&world->toy);
    toy_service_init(&world->service, &world->toy);
    rh_client_opts own = { .size = sizeof own };
    if (opts) own = *opts;
    if (!own.connection_string && !own.fully_qualified_namespace) own.connection_string = world_connection_string;
    own.retry.off = !own.retry.delay_ms; /* what is lost stays lost, unless a test says how it comes back */
    own.handler   = (rh_client_handler){ .on_state = on_state, .on_frame = on_frame, .on_expiring = on_expiring };
    own.log     = (rh_log){ on_log, world };
    own.user    = world;
    rh_error error;
    if (rh_client_create(&world->toy.loop, &own, &world->client, &error) != RH_OK) fprintf(stderr, "client: %s\n", error.description);
}

static bool shows_secret(const client_world *world)
{
    return strstr(world->text, CANARY_KEY) || strstr(world->text, "sig=") || strstr(world->text, "SharedAccessSignature ");
}

bool world_close(client_world *world)
{
    rh_client_destroy(world->client);
    toy_loop_fini(&world->toy);
    toy_service_fini(&world->service);
    if (world->toy.allocations) fprintf(stderr, "%zu allocations left, %zu bytes\n", world->toy.allocations, world->toy.bytes_allocated);
    return world->toy.allocations == 0 && !shows_secret(world);
}

bool world_is_connected(client_world *world, unsigned seconds)
{
    return rh_client_connect_wait(world->client, seconds * 1000, NULL) == RH_OK;
}

/* -- the link ------------------------------------------------------------------------------------ */

static rh_status attach(void *user, rh_session *session, void *link_user, rh_link **link)
{
    link_story    *story = user;
    uint8_t        scratch[512];
    rh_slice       address = rh_string_encoded(rh_str(story->address), scratch, 400);
    rh_slice       none    = rh_string_encoded(rh_str("here"), scratch + 400, 100);
    rh_amqp_source source  = { .address = story->sender ? none : address };
    rh_amqp_target target  = { .address = story->sender ? address : none };
    char           name[320];
    int            n    = snprintf(name, sizeof name, "%s-%p", story->address, user);
    rh_link_opts   opts = { .name = rh_slice_of(name, (size_t)n), .receiver = !story->sender, .source = &source, .target = &target };
    return rh_link_attach(session, &opts, link_user, link);
}

static void on_up(void *user, rh_link *link, const rh_amqp_attach *answer)
{
    link_story *story = user;
    (void)link, (void)answer;
    story->up = true;
    story->ups++;
}

static void on_outcome(void *user, rh_delivery *delivery, const rh_outcome *outcome)
{
    link_story *story = user;
    (void)delivery;
    story->outcome = outcome->kind;
    story->outcomes++;
}

static void on_down(void *user, const rh_error *error)
{
    link_story *story = user;
    story->down       = true;
    story->downs++;
    story->error = *error;
    if (story->destroy_on_down) rh_client_destroy(story->client);
}

static void on_gone(void *user)
{
    link_story *story = user;
    story->gone       = true;
    story->gones++;
    memset(&story->attachment, 0, sizeof story->attachment);
}

static const rh_attachment_handler handler = {
    .attach = attach, .on_up = on_up, .on_outcome = on_outcome, .on_down = on_down, .on_gone = on_gone,
};

rh_status story_open(link_story *story, client_world *world, const char *address, unsigned seconds)
{
    rh_time deadline = seconds ? world->toy.now + RH_SECONDS(seconds) : 0;
    memset(story, 0, sizeof *story);
    story->address = address;
    story->sender  = !strstr(address, "ConsumerGroups");
    story->client  = world->client;
    return rh_attachment_open(world->client, &story->attachment, address, 1, &handler, story, deadline);
}

rh_status story_send(link_story *story)
{
    static const uint8_t message[] = { 0x00, 0x53, 0x75, 0xa0, 0x02, 'h', 'i' };
    rh_slice             part      = { message, sizeof message };
    rh_transfer          transfer  = { .parts = &part, .part_count = 1 };
    rh_delivery         *delivery;
    rh_status            status = rh_link_send(rh_attachment_link(&story->attachment), &transfer, &delivery);
    rh_client_wake(story->client);
    return status;
}
