/* $cbs: tokens for the connection (claims-based security). */

#include "emulator/node.h"

static bool refuse(rh_emu_connection *connection, rh_emu_reply *reply, const char *condition, const char *words)
{
    return rh_emu_refuse(connection->emulator, NULL, &reply->no, condition, "%s", words);
}

/* The type of a token tells nothing: one client calls its signatures jwt. Its text does. */
static bool put_token(rh_emu_connection *connection, const rh_message *request, rh_emu_reply *reply)
{
    rh_slice operation = rh_emu_request_text(request, "operation");
    rh_slice audience  = rh_emu_request_text(request, "name");
    if (!rh_slice_is(operation, "put-token")) return refuse(connection, reply, "amqp:not-implemented", "The operation is not put-token.");
    if (audience.p == NULL) return refuse(connection, reply, RH_EMU_ARGUMENT, "The request does not say in name what the token is for.");

    rh_dec   d = rh_dec_of(request->body);
    rh_value token;
    if (request->body_kind != RH_BODY_VALUE || !rh_dec_value(&d, &token) || (token.type != RH_STRING && token.type != RH_BINARY))
        return refuse(connection, reply, RH_EMU_ARGUMENT, "The body of the request is not the text of a token.");
    if (!rh_emu_token_put(connection, token.bytes, audience, &reply->no)) return false;
    reply->code  = 202;
    reply->words = "Accepted";
    return true;
}

const rh_emu_service rh_emu_cbs = {
    .place = RH_EMU_CBS, .name = "$cbs", .one_pair = true, .is_open = true, .moment = RH_EMU_AT_TOKEN, .answer = put_token,
};
