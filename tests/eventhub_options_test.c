#include <criterion/criterion.h>

#include "tests/client_world.h"

static toy_loop toy;

static void request_token(void *user, const char *audience, rh_token_request *request)
{
    (void)user, (void)audience, (void)request;
}

static void cancel_token(void *user, rh_token_request *request)
{
    (void)user, (void)request;
}

static const rh_credential credential = { request_token, cancel_token, NULL }, half = { request_token, NULL, NULL };

#define KEYS "SharedAccessKeyName=rule;SharedAccessKey=" CANARY_KEY ";"
#define PLAIN "UseDevelopmentEmulator=true;"

static void check(rh_status status, const char *words, const rh_client_opts *opts)
{
    rh_client *client = NULL;
    rh_error   error  = { .status = RH_OK };
    toy_loop_init(&toy);
    cr_expect_eq(rh_client_create(&toy.loop, opts, &client, &error), status, "%s: %s", words, rh_status_name(error.status));
    cr_expect_eq(error.status, status);
    if (status) {
        cr_expect_eq(error.error_class, RH_CLASS_TERMINAL);
        cr_expect_not_null(strstr(error.description, words), "%s is not in: %s", words, error.description);
        cr_expect_null(strstr(error.description, CANARY_KEY));
    }
    rh_client_destroy(client);
    toy_loop_fini(&toy);
    cr_expect_eq(toy.allocations, 0);
}

Test(options, each_contradiction_and_gap_is_refused_with_words)
{
    check(RH_OK, "", RH_CLIENT_OPTS(.connection_string = "Endpoint=sb://h;EntityPath=e;" PLAIN KEYS));
    check(RH_OK, "", RH_CLIENT_OPTS(.connection_string = "Endpoint=sb://h;" PLAIN KEYS, .hub = "e"));
    check(RH_OK, "", RH_CLIENT_OPTS(.connection_string = "Endpoint=sb://h;EntityPath=Telemetry;" PLAIN KEYS, .hub = "telemetry"));
    check(RH_OK, "", RH_CLIENT_OPTS(.connection_string = "Endpoint=sb://h;EntityPath=e;" PLAIN, .credential = &credential));
    check(RH_E_CONFLICT, "named twice", RH_CLIENT_OPTS(.connection_string = "Endpoint=sb://h;EntityPath=e;" PLAIN KEYS, .hub = "other"));
    check(RH_E_CONFLICT, "different hosts",
          RH_CLIENT_OPTS(.connection_string = "Endpoint=sb://h;EntityPath=e;" PLAIN KEYS, .fully_qualified_namespace = "other"));
    check(RH_E_CONFLICT, "credential", RH_CLIENT_OPTS(.connection_string = "Endpoint=sb://h;EntityPath=e;" PLAIN KEYS, .credential = &credential));
    check(RH_E_ARGUMENT, "no hub", RH_CLIENT_OPTS(.connection_string = "Endpoint=sb://h;" PLAIN KEYS));
    check(RH_E_ARGUMENT, "neither", RH_CLIENT_OPTS(.hub = "e"));
    check(RH_E_ARGUMENT, "needs a credential", RH_CLIENT_OPTS(.fully_qualified_namespace = "h", .hub = "e"));
    check(RH_E_ARGUMENT, "both of its calls", RH_CLIENT_OPTS(.fully_qualified_namespace = "h", .hub = "e", .credential = &half));
    check(RH_E_ARGUMENT, "HOST[:PORT]", RH_CLIENT_OPTS(.fully_qualified_namespace = "h h", .hub = "e", .credential = &credential));
    check(RH_E_CONNECTION_STRING, "SharedAccessKey", RH_CLIENT_OPTS(.connection_string = "Endpoint=sb://h;EntityPath=e;" PLAIN));
    check(RH_E_CONNECTION_STRING, "Endpoint", RH_CLIENT_OPTS(.connection_string = "EntityPath=e;" KEYS));
    check(RH_E_ARGUMENT, "options", &(rh_client_opts){ .size = 0 });
}

Test(options, a_struct_of_an_older_program_is_read_as_far_as_it_goes)
{
    rh_client     *client = NULL;
    rh_client_opts opts   = { .size = offsetof(rh_client_opts, credential), .connection_string = "Endpoint=sb://h;EntityPath=e;" PLAIN KEYS };
    memset((char *)&opts + opts.size, 0xff, sizeof opts - opts.size);
    toy_loop_init(&toy);
    cr_expect_eq(rh_client_create(&toy.loop, &opts, &client, NULL), RH_OK);
    rh_client_destroy(client);
    rh_client_destroy(NULL);
    toy_loop_fini(&toy);
}

Test(options, texts_are_copied)
{
    char           text[] = "Endpoint=sb://toy:1;EntityPath=hub;" PLAIN KEYS;
    rh_client     *client = NULL;
    toy_loop_init(&toy);
    cr_assert_eq(rh_client_create(&toy.loop, RH_CLIENT_OPTS(.connection_string = text), &client, NULL), RH_OK);
    memset(text, 'x', sizeof text);
    cr_expect_str_eq(rh_client_host(client), "toy");
    cr_expect_str_eq(rh_client_hub(client), "hub");
    rh_client_destroy(client);
    toy_loop_fini(&toy);
}
