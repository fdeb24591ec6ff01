/**
 * toy_service.h: a scripted Event Hubs on a toy loop: one connection at a time, $cbs, $management, links that take
 * what is sent. Every knob is a way to misbehave.
 */
#ifndef TOY_SERVICE_H
#define TOY_SERVICE_H

#include "proto/proto.h"
#include "tests/toy_loop.h"

typedef struct toy_service {
    toy_loop  *toy;
    rh_engine *engine; /* NULL: nobody is connected */
    rh_pipe   *pipe;
    void      *arena;
    rh_timer   timer;
    bool       in_sasl; /* an init was among the frames read last */
    rh_link   *cbs_sender, *management_sender; /* ours: where answers go */
    rh_link   *events; /* the last other link */

    /* Knobs. */
    int         cbs_code; /* 202 */
    const char *cbs_words, *cbs_condition;
    bool        cbs_silent, cbs_refused, cbs_no_credit;
    bool        cbs_deaf; /* neither answers nor settles */
    int         management_code; /* 200 */
    const char *management_words, *management_condition;
    bool        management_silent, management_garbage;
    bool        partition_ids_as_list;
    bool        attach_silent;   /* attaches of other links are not answered */
    const char *refuse;          /* the condition with which other links are refused */
    const char *refuse_words;
    bool        sasl_refused, mute; /* mute: nothing is ever sent */
    bool        reads_ahead, hangs_up; /* what came along with SASL's init is lost, or is a reason to leave */
    bool        keep_deliveries; /* no disposition for what is sent on other links */

    /* What happened. */
    unsigned connections, cbs_links, puts, asks, attaches, detaches, deliveries;
    unsigned puts_waiting, puts_waiting_most; /* received and not answered yet: pipelining */
    bool     hold_puts;                       /* answer them by toy_service_answer_puts() only */
    struct { uint8_t id[64]; size_t n; } held[64];
    char     audience[256], token_type[64], token[512]; /* of the last put */
    char     asked_type[64], asked_name[64], asked_partition[64], security_token[512];
    char     address[256]; /* of the last other link */
    uint8_t  link_properties[256], link_capabilities[256]; /* what it says and desires, as its attach has them */
    size_t   link_properties_n, link_capabilities_n;
    char     hostname[256], container_id[64], user_agent[200];
    unsigned open_properties;
    rh_error end; /* how the connection ended */
} toy_service;

void toy_service_init(toy_service *service, toy_loop *toy);
void toy_service_fini(toy_service *service);

/** Submits that were made from outside callbacks leave. */
void toy_service_wake(toy_service *service);

void toy_service_answer_puts(toy_service *service);

#endif
