#include "eventhub/address.h"

#include <stdio.h>

void rh_address_make(char *out, const char *hub, const char *group, const char *partition)
{
    snprintf(out, RH_ADDRESS_MAX, "%s%s%s%s%s", hub, group ? "/ConsumerGroups/" : "", group ? group : "",
             partition ? "/Partitions/" : "", partition ? partition : "");
}

void rh_address_unique(char *out, rh_loop *loop, const char *address)
{
    uint64_t bits;
    rh_loop_random(loop, &bits, sizeof bits);
    snprintf(out, RH_ADDRESS_MAX, "%.*s-%016llx", RH_ADDRESS_MAX - 18, address, (unsigned long long)bits);
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
