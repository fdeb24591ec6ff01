#include "emulator/faults.h"
#include "emulator/node.h"

/* Tokens and requests are a few KiB; credentials of other services may be more. */
#define REQUEST_MAX (64u * 1024)
#define CREDIT      100
#define CREDIT_LOW  50

/* Answers that wait for credit. A client that asks this often and reads nothing has lost its way. */
#define REPLIES_MAX 256

struct reply {
    struct reply *next;
    rh_time       due;
    size_t        n;
    uint8_t       bytes[];
};

struct node {
    rh_emu_link           base;
    const rh_emu_service *service;
    bool                  is_asked;    /* requests come in on it; else answers go out */
    struct reply         *replies, **end; /* wait for credit */
    uint32_t              reply_count;
    size_t                address_n; /* of the target, for reply-to; 0: none */
    char                  address[256];
};

static rh_emulator *emulator_of(const struct node *node)
{
    return node->base.connection->emulator;
}

rh_slice rh_emu_request_text(const rh_message *request, const char *key)
{
    rh_value value;
    if (!rh_map_find(request->application_properties, key, &value) || value.type != RH_STRING) return rh_slice_of(NULL, 0);
    return value.bytes;
}

/* -- answers ---------------------------------------------------------------------------------- */

static void reply_free(struct node *node, struct reply *reply)
{
    rh_emu_free(emulator_of(node), reply, sizeof *reply + reply->n);
}

static void send_replies(struct node *node)
{
    while (node->replies) {
        struct reply *reply    = node->replies;
        if (reply->due > rh_loop_now(emulator_of(node)->loop)) {
            rh_emu_link_resume_at(&node->base, reply->due);
            return;
        }
        if (rh_emu_link_is_held(&node->base)) return;
        rh_slice      part     = { reply->bytes, reply->n };
        rh_transfer   transfer = { .parts = &part, .part_count = 1, .settled = true, .user = reply };
        rh_delivery  *delivery;
        if (rh_link_send(node->base.link, &transfer, &delivery) != RH_OK) return;
        node->replies = reply->next;
        if (!node->replies) node->end = &node->replies;
        node->reply_count--;
    }
}

static struct node *node_of(const struct node *asked, rh_emu_link *link);

/* Of the answering links, the best match for reply-to. */
static struct node *find_way_back(const struct node *asked, rh_slice reply_to)
{
    struct node *by_name = NULL, *by_session = NULL, *any = NULL;
    for (rh_emu_link *link = asked->base.connection->links; link; link = link->next) {
        struct node *node = node_of(asked, link);
        if (!node || node->is_asked || link->is_leaving) continue;
        if (reply_to.p && node->address_n && rh_slice_equal(reply_to, rh_slice_of(node->address, node->address_n))) return node;
        if (reply_to.p && rh_slice_equal(reply_to, rh_link_name(link->link))) by_name = node;
        if (rh_link_session(link->link) == rh_link_session(asked->base.link)) by_session = node;
        any = node;
    }
    return by_name ? by_name : by_session ? by_session : any;
}

static struct reply *compose(const struct node *asked, const rh_emu_reply *reply, rh_slice correlation)
{
    static const uint8_t null_value[] = { 0x40 };
    rh_amqp_properties   properties   = { .correlation_id = correlation };
    rh_property          facts[3]     = {
        { rh_str("status-code"), { .type = RH_INT, .i = reply->code } },
        { rh_str("status-description"), { .type = RH_STRING, .bytes = rh_str(reply->words) } },
        { rh_str("error-condition"), { .type = RH_SYMBOL, .bytes = rh_str(reply->condition) } },
    };
    rh_message_fields fields = {
        .properties                 = &properties,
        .application_properties     = facts,
        .application_property_count = reply->condition ? 3 : 2,
        .body_kind                  = RH_BODY_VALUE,
        .body                       = rh_enc_size(&reply->body) ? rh_enc_written(&reply->body) : rh_slice_of(null_value, sizeof null_value),
    };
    size_t        n   = rh_message_size(&fields);
    struct reply *out = rh_emu_alloc(emulator_of(asked), sizeof *out + n);
    if (!out) return NULL;
    rh_enc e = rh_enc_of(out->bytes, n);
    out->n   = n;
    if (rh_message_write(&e, &fields) == RH_OK) return out;
    rh_emu_free(emulator_of(asked), out, sizeof *out + n);
    return NULL;
}

/* The message id, as it was encoded, and reply-to. */
static rh_amqp_properties read_properties(const rh_message *request, rh_slice *reply_to)
{
    rh_amqp_properties properties = { 0 };
    *reply_to = rh_slice_of(NULL, 0);
    if (request->properties.p) {
        rh_dec d = rh_dec_of(request->properties);
        uint32_t count;
        rh_dec   items;
        count = rh_dec_list(&d, &items);
        for (uint32_t i = 0; i < count && items.status == RH_OK; i++) {
            rh_slice field = rh_dec_raw(&items);
            if (i == RH_AT_PROPERTIES_MESSAGE_ID) properties.message_id = field;
            if (i == RH_AT_PROPERTIES_REPLY_TO) properties.reply_to = field;
        }
        d = rh_dec_of(properties.reply_to);
        if (properties.reply_to.p && rh_dec_peek(&d) == RH_STRING) *reply_to = rh_dec_string(&d);
    }
    return properties;
}

/* What the service answers, or what it is made to answer. */
static void find_answer(const struct node *asked, const rh_message *request, const rh_emu_verdict *verdict, rh_emu_reply *reply)
{
    rh_emulator *emulator = emulator_of(asked);
    bool         refused  = verdict->fault == RH_EMULATOR_REFUSE;
    reply->body           = rh_enc_of(reply->bytes, sizeof reply->bytes);
    if (refused) rh_emu_refuse(emulator, NULL, &reply->no, verdict->condition ? verdict->condition : "", "%s", verdict->words);
    if (!refused && asked->service->answer(asked->base.connection, request, reply)) return;
    reply->body      = rh_enc_of(reply->bytes, sizeof reply->bytes);
    reply->code      = refused && verdict->code ? verdict->code : reply->no.code;
    reply->words     = reply->no.words;
    reply->condition = reply->no.condition[0] ? reply->no.condition : NULL;
}

static void answer(struct node *asked, const rh_message *request)
{
    rh_emu_reply       reply = { .code = 200, .words = "OK" };
    rh_slice           reply_to;
    rh_amqp_properties properties = read_properties(request, &reply_to);
    rh_emu_address     address    = { .place = asked->service->place };
    rh_emu_scene       scene      = { .moment = asked->service->moment, .connection = asked->base.connection,
                                      .session = rh_link_session(asked->base.link), .link = &asked->base, .address = &address };
    rh_emu_verdict verdict = rh_emu_faults_judge(&scene);
    if (verdict.fault == RH_EMULATOR_IGNORE) return;
    find_answer(asked, request, &verdict, &reply);
    if (verdict.fault == RH_EMULATOR_FORGET) return;
    struct node *back = find_way_back(asked, reply_to);
    if (!back) {
        rh_emu_log(emulator_of(asked), RH_LOG_WARNING, "emulator.reply", "%s: a request has no link for its answer", asked->service->name);
        return;
    }
    struct reply *out = back->reply_count < REPLIES_MAX ? compose(asked, &reply, properties.message_id) : NULL;
    if (!out) {
        rh_emu_log(emulator_of(asked), RH_LOG_WARNING, "emulator.reply", "%s: an answer is dropped", asked->service->name);
        return;
    }
    out->due   = verdict.delay ? rh_time_after(rh_loop_now(emulator_of(asked)->loop), verdict.delay) : 0;
    *back->end = out;
    back->end  = &out->next;
    back->reply_count++;
    send_replies(back);
}

/* -- links ------------------------------------------------------------------------------------ */

static rh_status top_up(rh_emu_link *link)
{
    return rh_emu_link_is_held(link) || rh_link_credit_left(link->link) >= CREDIT_LOW ? RH_OK : rh_link_credit(link->link, CREDIT);
}

static void on_delivery(rh_emu_link *link, const rh_incoming *incoming)
{
    struct node *node = (struct node *)link;
    rh_message   request;
    bool         sound  = rh_message_view(incoming->payload, &request) == RH_OK;
    rh_status    status = RH_OK;
    if (!incoming->settled)
        status = rh_link_settle(link->link, incoming->delivery_id, incoming->delivery_id, sound ? RH_ACCEPTED : RH_REJECTED,
                                sound ? NULL : "amqp:decode-error", sound ? NULL : "The request is not a well-formed message.");
    if (status == RH_OK) status = top_up(link);
    if (status == RH_AGAIN) rh_emu_connection_cut(link->connection);
    else if (sound) answer(node, &request);
}

static void on_credit(rh_emu_link *link)
{
    send_replies((struct node *)link);
}

static void on_resume(rh_emu_link *link)
{
    struct node *node = (struct node *)link;
    if (!node->is_asked) send_replies(node);
    else if (top_up(link) == RH_AGAIN) rh_emu_connection_cut(link->connection);
}

static void on_outcome(rh_emu_link *link, void *user)
{
    reply_free((struct node *)link, user);
    send_replies((struct node *)link);
}

static void on_gone(rh_emu_link *link)
{
    struct node *node     = (struct node *)link;
    rh_emulator *emulator = emulator_of(node);
    while (node->replies) {
        struct reply *reply = node->replies;
        node->replies       = reply->next;
        reply_free(node, reply);
    }
    rh_emu_link_fini(link);
    rh_emu_free(emulator, node, sizeof *node);
}

static const rh_emu_link_kind kind = { .on_delivery = on_delivery, .on_resume = on_resume, .on_credit = on_credit, .on_outcome = on_outcome, .on_gone = on_gone };

/* The link as a node of the same service; NULL if it is something else. */
static struct node *node_of(const struct node *asked, rh_emu_link *link)
{
    struct node *node = link->kind == &kind ? (struct node *)link : NULL;
    return node && node->service == asked->service ? node : NULL;
}

static bool is_taken(const rh_emu_attach *attach, const struct node *newcomer)
{
    for (rh_emu_link *link = attach->connection->links; link; link = link->next) {
        const struct node *node = node_of(newcomer, link);
        if (node && node->is_asked == newcomer->is_asked && !link->is_leaving) return true;
    }
    return false;
}

bool rh_emu_node_attach(const rh_emu_attach *attach, rh_emu_refusal *no)
{
    rh_emulator          *emulator = attach->connection->emulator;
    const rh_emu_service *service  = attach->address.place == RH_EMU_CBS ? &rh_emu_cbs : &rh_emu_management;
    struct node           found    = { .service = service, .is_asked = !attach->frame->role };
    /* Without a hub in the address any token will do: the request names the hub. */
    rh_slice path = attach->address.hub.p ? attach->address.path : rh_slice_of(NULL, 0);
    if (!service->is_open && !rh_emu_token_check(attach->connection, NULL, path, "Manage", no)) return false;
    if (service->one_pair && is_taken(attach, &found))
        return rh_emu_refuse(emulator, NULL, no, RH_EMU_NOT_ALLOWED, "A connection has one pair of links to %s.", service->name);

    struct node *node = rh_emu_alloc(emulator, sizeof *node);
    if (!node) return rh_emu_refuse(emulator, NULL, no, "amqp:internal-error", "There is no memory for the link.");
    *node                 = found;
    node->end             = &node->replies;
    node->base.connection = attach->connection;
    node->base.is_aside   = service->is_open;
    if (!node->is_asked && attach->target_address.n < sizeof node->address) {
        node->address_n = attach->target_address.n;
        if (node->address_n) memcpy(node->address, attach->target_address.p, node->address_n);
    }
    rh_link_opts opts = {
        .snd_settle_mode  = attach->frame->snd_settle_mode,
        .rcv_settle_mode  = RH_RCV_FIRST,
        .max_message_size = node->is_asked ? REQUEST_MAX : RH_EMU_MESSAGE_MAX,
        .reject_oversize  = node->is_asked,
    };
    if (!rh_emu_link_accept(&node->base, &kind, attach, &opts, no)) {
        on_gone(&node->base);
        return false;
    }
    if (node->is_asked && top_up(&node->base) != RH_OK) rh_emu_connection_cut(attach->connection);
    return true;
}
