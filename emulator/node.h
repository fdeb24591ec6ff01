/**
 * node.h: places that are asked and answer: $cbs and $management.
 *
 * A request is settled before its answer is sent. The answer goes where reply-to says: to the link with that target
 * address, else to the link of that name, else to the other link of the same session; its correlation id
 * is the request's message id as it was encoded.
 */
#ifndef RH_EMULATOR_NODE_H
#define RH_EMULATOR_NODE_H

#include "emulator/connection.h"
#include "emulator/script.h"

/* 1024 partition ids, and the rest of a hub's properties, are about 6 KiB. */
#define RH_EMU_BODY_MAX 16384

typedef struct rh_emu_reply {
    int            code; /* 200 or 202, or what the refusal says */
    const char    *words;
    const char    *condition; /* NULL: none */
    rh_enc         body;      /* one encoded value; nothing written: null */
    rh_emu_refusal no;
    uint8_t        bytes[RH_EMU_BODY_MAX];
} rh_emu_reply;

typedef struct rh_emu_service {
    rh_emu_place place;
    const char  *name;
    bool         one_pair; /* a connection may have one pair of links only */
    bool         is_open;  /* attaching needs no token */
    rh_emu_moment moment;
    bool (*answer)(rh_emu_connection *connection, const rh_message *request, rh_emu_reply *reply); /* false: reply->no */
} rh_emu_service;

extern const rh_emu_service rh_emu_cbs, rh_emu_management;

/** The text of a request's application property; absent if there is none, or it is no string. */
rh_slice rh_emu_request_text(const rh_message *request, const char *key);

#endif
