#include "emulator/faults.h"

/* -- chance ----------------------------------------------------------------------------------- */

/* SplitMix64: a script's seed decides everything, so its happenings are drawn from nothing else. */
static uint64_t draw(rh_emulator *emulator)
{
    uint64_t x = emulator->script_chance += 0x9e3779b97f4a7c15u;
    x          = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x          = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

/* -- where ------------------------------------------------------------------------------------ */

static bool is_like(rh_slice pattern, const char *text)
{
    size_t n = pattern.n;
    if (n > 0 && pattern.p[n - 1] == '*') return strncmp(text, (const char *)pattern.p, n - 1) == 0;
    return rh_slice_is(pattern, text);
}

static rh_emu_side side_of(const rh_emu_address *address)
{
    switch (address->place) {
    case RH_EMU_CBS: return RH_EMU_CBS_LINKS;
    case RH_EMU_MANAGEMENT: return RH_EMU_MANAGEMENT_LINKS;
    case RH_EMU_READER: return RH_EMU_READERS;
    default: return RH_EMU_SENDERS;
    }
}

/* Links of events, unless others are named. */
static bool is_on_side(const rh_emu_rule *rule, const rh_emu_address *address)
{
    rh_emu_side side = side_of(address);
    return rule->side == RH_EMU_ANY_SIDE ? side == RH_EMU_SENDERS || side == RH_EMU_READERS : side == rule->side;
}

static bool fits_link(const rh_emu_rule *rule, const rh_emu_address *address)
{
    if (!is_on_side(rule, address)) return false;
    if (rule->hub.p && !(address->hub.p && rh_emu_same(rule->hub, address->hub))) return false;
    return !rule->partition.p || (address->partition.p && rh_slice_equal(rule->partition, address->partition));
}

static bool fits(const rh_emu_rule *rule, const rh_emu_scene *scene)
{
    if (rule->moment != scene->moment || (rule->client.p && !is_like(rule->client, scene->connection->client))) return false;
    bool is_of_link = scene->moment == RH_EMU_AT_ATTACH || scene->moment == RH_EMU_AT_SEND || scene->moment == RH_EMU_AT_PART;
    return !is_of_link || fits_link(rule, scene->address);
}

static rh_emu_address address_of(const rh_emu_link *link)
{
    if (link->path) return rh_emu_address_parse(rh_str(link->path));
    return (rh_emu_address){ .place = link->place };
}

/* -- what ------------------------------------------------------------------------------------- */

static const char *condition_of(const rh_emu_rule *rule, size_t *place)
{
    *place = RH_EMU_CONDITIONS;
    if (rule->count == 0) return rule->own;
    *place = rule->first + rule->done % rule->count;
    return rh_emu_conditions[*place];
}

/* Ends what the rule names, with the words; what it came with is not done any more. */
static rh_emulator_fault wreck(const rh_emu_rule *rule, const rh_emu_scene *scene, const char *condition)
{
    rh_emu_connection *connection = scene->connection;
    rh_emu_refusal     no;
    if (rule->verb == RH_EMU_RESET && rule->bytes > 0) {
        if (rule->bytes < connection->quota) connection->quota = rule->bytes;
        return RH_EMULATOR_NO_FAULT;
    }
    if (rule->verb == RH_EMU_RESET) {
        rh_emu_connection_cut(connection);
        return RH_EMULATOR_IGNORE;
    }
    rh_emu_refuse(connection->emulator, NULL, &no, condition, "%s", rule->words);
    if (rule->verb == RH_EMU_DETACH) rh_emu_link_drop(scene->link, &no);
    else if (rule->verb == RH_EMU_END) (void)rh_session_end(scene->session, no.condition, no.words);
    else (void)rh_engine_close(connection->engine, no.condition, no.words);
    rh_emu_connection_wake(connection);
    return RH_EMULATOR_IGNORE;
}

static rh_emu_verdict strike(rh_emu_rule *rule, const rh_emu_scene *scene)
{
    size_t             place;
    rh_emu_connection *connection = scene->connection;
    const char        *condition  = condition_of(rule, &place);
    rh_emu_verdict     verdict    = { .condition = condition, .words = rule->words, .code = rule->code };
    rule->done++;
    atomic_fetch_add_explicit(&rule->told[place], 1, memory_order_relaxed);
    rh_emu_log(connection->emulator, RH_LOG_INFO, "emulator.fault", "line %u: %s%s%s, %s%s%.*s", rule->line, rh_emu_verb_names[rule->verb],
               condition ? " with " : "", condition ? condition : "", connection->client[0] ? connection->client : connection->peer,
               scene->address && scene->address->path.n ? " on " : "",
               scene->address && scene->address->path.n < 300 ? (int)scene->address->path.n : 0,
               scene->address && scene->address->path.p ? (const char *)scene->address->path.p : "");
    switch (rule->verb) {
    case RH_EMU_DETACH:
        if (scene->link) verdict.fault = wreck(rule, scene, condition);
        else verdict.drop = true;
        break;
    case RH_EMU_END:
    case RH_EMU_CLOSE:
    case RH_EMU_RESET: verdict.fault = wreck(rule, scene, condition); break;
    case RH_EMU_STALL: rh_emu_connection_stall(connection, rule->time); break;
    case RH_EMU_REFUSE:
    case RH_EMU_THROTTLE: verdict.fault = RH_EMULATOR_REFUSE; break;
    case RH_EMU_DELAY: verdict.delay = rule->time; break;
    case RH_EMU_WITHHOLD:
        if (scene->link) rh_emu_link_withhold(scene->link, rule->time);
        else verdict.withhold = rule->time;
        break;
    case RH_EMU_IGNORE: verdict.fault = RH_EMULATOR_IGNORE; break;
    default: verdict.fault = RH_EMULATOR_FORGET; break;
    }
    return verdict;
}

/* -- when ------------------------------------------------------------------------------------- */

/* Counts the occasion; whether it is one to strike at. */
static bool is_due(rh_emulator *emulator, rh_emu_rule *rule)
{
    rh_time since = rh_loop_now(emulator->loop) - emulator->script_began;
    if (since < rule->from || since >= rule->until || since >= emulator->script->calm || rule->done >= rule->times) return false;
    if (++rule->met <= rule->skip || (rule->met - rule->skip) % rule->nth != 0) return false;
    return rule->odds == rule->odds_of || draw(emulator) % rule->odds_of < rule->odds;
}

static rh_emu_verdict ask_script(rh_emulator *emulator, const rh_emu_scene *scene)
{
    rh_emu_rule *first = NULL;
    for (size_t i = 0; i < emulator->script->count; i++) {
        rh_emu_rule *rule = &emulator->script->rules[i];
        if (fits(rule, scene) && is_due(emulator, rule) && !first) first = rule;
    }
    return first ? strike(first, scene) : (rh_emu_verdict){ 0 };
}

/* A test's judge knows four moments, and of attaches only those of events. */
static rh_emu_verdict ask_judge(rh_emulator *emulator, const rh_emu_scene *scene)
{
    rh_emu_verdict     verdict = { .condition = "amqp:internal-error", .words = "A test asked for it." };
    rh_emulator_moment moment;
    switch (scene->moment) {
    case RH_EMU_AT_TOKEN: moment = RH_EMULATOR_TOKEN; break;
    case RH_EMU_AT_INQUIRY: moment = RH_EMULATOR_INQUIRY; break;
    case RH_EMU_AT_SEND: moment = RH_EMULATOR_SEND; break;
    case RH_EMU_AT_ATTACH:
        moment = RH_EMULATOR_ATTACH;
        if (scene->address->place != RH_EMU_CBS && scene->address->place != RH_EMU_MANAGEMENT) break;
        return verdict;
    default: return verdict;
    }
    verdict.fault = emulator->faults.judge(emulator->faults.user, moment, &verdict.condition);
    if (verdict.fault != RH_EMULATOR_LATE) return verdict;
    verdict.fault = RH_EMULATOR_NO_FAULT;
    verdict.delay = RH_MS(emulator->late_ms);
    return verdict;
}

rh_emu_verdict rh_emu_faults_judge(const rh_emu_scene *scene)
{
    rh_emulator   *emulator = scene->connection->emulator;
    rh_emu_verdict verdict  = { 0 };
    if (emulator->faults.judge) verdict = ask_judge(emulator, scene);
    if (verdict.fault == RH_EMULATOR_NO_FAULT && !verdict.delay && emulator->script) verdict = ask_script(emulator, scene);
    return verdict;
}

bool rh_emu_faults_there_are(const rh_emulator *emulator)
{
    return emulator->script || emulator->faults.judge;
}

bool rh_emu_faults_want_parts(const rh_emulator *emulator)
{
    for (size_t i = 0; emulator->script && i < emulator->script->count; i++)
        if (emulator->script->rules[i].moment == RH_EMU_AT_PART) return true;
    return false;
}

/* -- by the clock ----------------------------------------------------------------------------- */

static bool is_up(const rh_emu_connection *connection)
{
    return !connection->is_closing && connection->engine && rh_engine_phase_of(connection->engine) == RH_ENGINE_OPENED;
}

static bool is_of_links(const rh_emu_rule *rule)
{
    bool whole = rule->verb == RH_EMU_CLOSE || rule->verb == RH_EMU_RESET || rule->verb == RH_EMU_STALL;
    return !whole || rule->hub.p || rule->partition.p || rule->side != RH_EMU_ANY_SIDE;
}

/* One of those that fit, each as likely as the others: the k-th is taken instead with a chance of 1/k. */
static bool pick(rh_emulator *emulator, const rh_emu_rule *rule, rh_emu_scene *out)
{
    uint64_t count = 0;
    for (rh_emu_connection *c = emulator->connections; c; c = c->next) {
        if (!is_up(c) || (rule->client.p && !is_like(rule->client, c->client))) continue;
        if (!is_of_links(rule)) {
            if (draw(emulator) % ++count == 0) *out = (rh_emu_scene){ .moment = RH_EMU_AT_CLOCK, .connection = c };
            continue;
        }
        for (rh_emu_link *link = c->links; link; link = link->next) {
            rh_emu_address address = address_of(link);
            if (link->is_leaving || !fits_link(rule, &address) || draw(emulator) % ++count != 0) continue;
            *out = (rh_emu_scene){ .moment = RH_EMU_AT_CLOCK, .connection = c, .session = rh_link_session(link->link), .link = link };
        }
    }
    return count > 0;
}

static void arm(rh_emulator *emulator, rh_emu_rule *rule, rh_time now)
{
    if (now - emulator->script_began < emulator->script->calm && rule->done < rule->times)
        rh_timer_set(emulator->loop, &rule->timer, rh_time_after(now, rule->every));
}

static void on_tick(void *user, rh_time now)
{
    rh_emu_rule   *rule     = user;
    rh_emulator   *emulator = rule->running;
    rh_emu_scene   scene;
    rh_emu_address address;
    if (is_due(emulator, rule) && pick(emulator, rule, &scene)) {
        if (scene.link) {
            address       = address_of(scene.link);
            scene.address = &address;
        }
        (void)strike(rule, &scene);
    }
    arm(emulator, rule, now);
}

void rh_emu_faults_start(rh_emulator *emulator)
{
    rh_time now = rh_loop_now(emulator->loop);
    if (!emulator->script) return;
    emulator->script_began  = now;
    emulator->script_chance = emulator->script->seed;
    for (size_t i = 0; i < emulator->script->count; i++) {
        rh_emu_rule *rule = &emulator->script->rules[i];
        rule->running     = emulator;
        rule->timer       = (rh_timer){ .fn = on_tick, .user = rule };
        if (rule->moment == RH_EMU_AT_CLOCK) arm(emulator, rule, now);
    }
}

void rh_emu_faults_stop(rh_emulator *emulator)
{
    for (size_t i = 0; emulator->script && i < emulator->script->count; i++) rh_timer_cancel(emulator->loop, &emulator->script->rules[i].timer);
}

/* -- inspect ---------------------------------------------------------------------------------- */

bool rh_emulator_strike_at(const rh_emulator *emulator, size_t index, rh_emulator_strike *out)
{
    for (size_t i = 0; emulator->script && i < emulator->script->count; i++) {
        const rh_emu_rule *rule = &emulator->script->rules[i];
        for (size_t k = 0; k <= RH_EMU_CONDITIONS; k++) {
            uint64_t count = atomic_load_explicit(&rule->told[k], memory_order_relaxed);
            if (count == 0 || index-- > 0) continue;
            *out = (rh_emulator_strike){ rule->line, rh_emu_verb_names[rule->verb], k < RH_EMU_CONDITIONS ? rh_emu_conditions[k] : rule->own, count };
            return true;
        }
    }
    return false;
}
