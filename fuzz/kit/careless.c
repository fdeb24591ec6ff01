#include "fuzz/kit/careless.h"

#include "fuzz/oracle.h"

static uint8_t bytes[600];

/* Handles that name nothing any more are like these. */
static void ask_nobody(void)
{
    rh_link      *link;
    rh_delivery  *delivery;
    rh_link_opts  opts     = { .name = rh_str("a") };
    rh_slice      part     = rh_slice_of(bytes, 1);
    rh_transfer   transfer = { .parts = &part, .part_count = 1 };
    REQUIRE(rh_session_engine(NULL) == NULL && rh_session_user(NULL) == NULL);
    REQUIRE(rh_link_session(NULL) == NULL && rh_link_name(NULL).p == NULL && rh_link_user(NULL) == NULL);
    REQUIRE(!rh_link_is_receiver(NULL) && !rh_link_is_pending(NULL) && !rh_link_is_attached(NULL));
    REQUIRE(rh_link_credit_left(NULL) == 0 && rh_link_queued(NULL) == 0 && rh_link_unsettled(NULL) == 0 && rh_link_peer_max_message_size(NULL) == 0);
    REQUIRE(rh_delivery_link(NULL) == NULL && rh_delivery_user(NULL) == NULL);
    rh_session_set_user(NULL, bytes);
    rh_link_set_user(NULL, bytes);
    rh_delivery_set_user(NULL, bytes);
    REQUIRE(rh_link_attach(NULL, &opts, NULL, &link) != RH_OK && rh_link_accept(NULL, &opts) != RH_OK && rh_link_refuse(NULL, NULL, NULL) != RH_OK);
    REQUIRE(rh_link_detach(NULL, true, NULL, NULL) != RH_OK && rh_session_end(NULL, NULL, NULL) != RH_OK);
    REQUIRE(rh_link_credit(NULL, 1) != RH_OK && rh_link_drain(NULL) != RH_OK && rh_link_gather(NULL, NULL, 0) != RH_OK);
    REQUIRE(rh_link_send(NULL, &transfer, &delivery) != RH_OK && rh_delivery_abort(NULL) != RH_OK);
    REQUIRE(rh_link_settle(NULL, 0, 0, RH_ACCEPTED, NULL, NULL) != RH_OK);
}

static void send_nonsense(rh_link *link)
{
    rh_slice    parts[RH_TRANSFER_PARTS + 1];
    rh_transfer many = { .parts = parts, .part_count = RH_TRANSFER_PARTS + 1 }, none = { .parts = parts }, long_tag = { .parts = parts, .part_count = 1 };
    for (size_t i = 0; i < RH_TRANSFER_PARTS + 1; i++) parts[i] = rh_slice_of(bytes, 1);
    long_tag.tag            = rh_slice_of(bytes, 33);
    rh_transfer without_tag = long_tag;
    without_tag.tag.n       = 0;
    REQUIRE(rh_link_send(link, &many, NULL) != RH_OK && rh_link_send(link, &none, NULL) != RH_OK);
    REQUIRE(rh_link_send(link, &long_tag, NULL) != RH_OK && rh_link_send(link, &without_tag, NULL) != RH_OK);
}

static void settle_nonsense(rh_link *link)
{
    REQUIRE(rh_link_settle(link, 0, 0, RH_SENT, NULL, NULL) != RH_OK);
    REQUIRE(rh_link_settle(link, 0, 0, RH_UNKNOWN, NULL, NULL) != RH_OK);
}

static void attach_nonsense(rh_session *session)
{
    rh_link     *link;
    rh_link_opts nameless = { .receiver = true }, long_named = { .name = rh_slice_of(bytes, 513) };
    REQUIRE(rh_link_attach(session, &nameless, NULL, &link) != RH_OK);
    REQUIRE(rh_link_attach(session, &long_named, NULL, &link) != RH_OK);
}

/* From a callback the engine takes and gives no bytes. */
static void pump_inside(const struct kit_cared *on)
{
    rh_iov iov[4];
    if (!on->inside) return;
    REQUIRE(rh_engine_input(on->engine, bytes, sizeof bytes, on->now) == 0);
    REQUIRE(rh_engine_output(on->engine, iov, 4) == 0);
    rh_engine_tick(on->engine, on->now);
    rh_engine_lost(on->engine, NULL);
}

static void lend_nonsense(rh_engine *engine)
{
    const rh_engine_slots many = { .sessions = 40000 }, one = { .links = 1, .text = 16 };
    REQUIRE(rh_engine_slots_size(&many) == 0 && rh_engine_lend(engine, bytes, sizeof bytes, &many) != RH_OK);
    REQUIRE(rh_engine_lend(engine, NULL, sizeof bytes, &one) != RH_OK && rh_engine_lend(engine, bytes, 1, &one) != RH_OK);
    REQUIRE(rh_engine_reclaim(engine, NULL) != RH_OK && rh_engine_reclaim(engine, bytes) != RH_OK);
}

static void init_nonsense(void)
{
    _Alignas(16) static uint8_t   memory[1024];
    static const rh_engine_handler deaf = { 0 };
    const rh_engine_opts          *odd[] = { RH_ENGINE_OPTS(.output_bytes = 100), RH_ENGINE_OPTS(.sessions = 40000), RH_ENGINE_OPTS(.max_frame_size = 511),
                                             RH_ENGINE_OPTS(.sasl = (rh_sasl)99), RH_ENGINE_OPTS(.links = 70000), RH_ENGINE_OPTS(.max_frame_size = UINT32_MAX) };
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++)
        REQUIRE(rh_engine_size(odd[i]) == 0 && rh_engine_init(memory, sizeof memory, odd[i], &deaf, NULL) == NULL);
    REQUIRE(rh_engine_init(memory, sizeof memory, RH_ENGINE_OPTS(.links = 1), &deaf, NULL) == NULL); /* too little */
    REQUIRE(rh_engine_init(NULL, 1 << 20, RH_ENGINE_OPTS(.links = 1), &deaf, NULL) == NULL);
}

void kit_careless(uint8_t what, const struct kit_cared *on)
{
    switch (what & 7) {
    case 0: ask_nobody(); break;
    case 1: send_nonsense(on->link); break;
    case 2: settle_nonsense(on->link); break;
    case 3: attach_nonsense(on->session); break;
    case 4: pump_inside(on); break;
    case 5: lend_nonsense(on->engine); break;
    default: init_nonsense(); break;
    }
}
