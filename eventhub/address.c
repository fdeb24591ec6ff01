#include "eventhub/address.h"

#include <stdio.h>

static size_t print(char *out, size_t n, const char *hub, const char *group, const char *partition)
{
    return (size_t)snprintf(out, n, "%s%s%s%s%s", hub, group ? "/ConsumerGroups/" : "", group ? group : "",
                            partition ? "/Partitions/" : "", partition ? partition : "");
}

size_t rh_address_size(const char *hub, const char *group, const char *partition)
{
    return print(NULL, 0, hub, group, partition) + 1;
}

void rh_address_make(char *out, const char *hub, const char *group, const char *partition)
{
    (void)print(out, rh_address_size(hub, group, partition), hub, group, partition);
}

void rh_address_unique(char *out, rh_loop *loop, const char *address)
{
    uint64_t bits;
    rh_loop_random(loop, &bits, sizeof bits);
    snprintf(out, RH_ADDRESS_UNIQUE(strlen(address) + 1), "%s-%016llx", address, (unsigned long long)bits);
}

rh_slice rh_address_encode(rh_enc *e, const char *text)
{
    const uint8_t *start = e->p;
    rh_enc_string(e, rh_str(text));
    return rh_slice_of(start, (size_t)(e->p - start));
}

rh_slice rh_capabilities_encode(rh_enc *e, bool runtime_metric)
{
    const rh_slice wanted[] = {
        rh_str("com.microsoft:georeplication"),
        rh_str("com.microsoft:enable-receiver-runtime-metric"),
    };
    const uint8_t *start = e->p;
    rh_enc_symbols(e, wanted, runtime_metric ? 2 : 1);
    return rh_slice_of(start, (size_t)(e->p - start));
}
