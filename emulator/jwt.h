/**
 * jwt.h: what an Entra ID access token says of itself [RFC 7519]. Its signature is not looked at: nobody here has the keys.
 */
#ifndef RH_EMULATOR_JWT_H
#define RH_EMULATOR_JWT_H

#include "codec/base.h"

/* Real ones have two or three KiB, with many groups in them five. */
#define RH_EMU_JWT_MAX (16u * 1024)

typedef struct rh_emu_jwt {
    int64_t not_before_s, expires_s; /* Unix seconds; not_before_s 0: not said */
    bool    is_for_us;               /* the audience is Event Hubs */
} rh_emu_jwt;

/** RH_E_DECODE: it is none, or says no expiry or audience. RH_E_TOO_BIG: longer than RH_EMU_JWT_MAX. */
RH_NODISCARD rh_status rh_emu_jwt_read(rh_slice text, rh_emu_jwt *out);

#endif
