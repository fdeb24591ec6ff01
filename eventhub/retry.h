/**
 * retry.h: what is worth another try, and when: the one place that decides.
 */
#ifndef RH_EVENTHUB_RETRY_H
#define RH_EVENTHUB_RETRY_H

#include "eventhub/eventhub.h"

/** Whether the same again may succeed. */
bool rh_retry_passes(const rh_error *error);

/** Whether another try is allowed at all after so many without success. */
bool rh_retry_may(const rh_client *client, uint32_t tries);

/** What is there since then is there to stay: its next loss is counted from one. */
bool rh_retry_stayed(const rh_client *client, rh_time since);

/** How long to wait before this try, the first being 1; the client's observer and log are told. */
rh_time rh_retry_wait(rh_client *client, const char *what, uint32_t tries, const rh_error *error);

#endif
