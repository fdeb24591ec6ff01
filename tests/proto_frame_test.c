#include <criterion/criterion.h>
#include <stdlib.h>

#include "proto/proto.h"

Test(frame, four_bytes_tell_the_size)
{
    static const uint8_t bytes[] = { 0, 0, 1, 2, 2, 0, 0, 0 };
    for (size_t n = 0; n < 4; n++) cr_expect_eq(rh_frame_size(bytes, n), 0);
    for (size_t n = 4; n <= sizeof bytes; n++) cr_expect_eq(rh_frame_size(bytes, n), 0x102);
}

Test(frame, a_protocol_header_counts_as_a_frame_of_eight_bytes)
{
    cr_expect_eq(rh_frame_size((const uint8_t *)"AMQP\3\1\0\0", 8), 8);
    cr_expect_eq(rh_frame_size((const uint8_t *)"AMQ", 3), 0);
    cr_expect_eq(rh_frame_size((const uint8_t *)"AMQQ", 4), 0x414d5151);
}

Test(frame, sizes_below_a_header_are_taken_at_once_and_refused)
{
    for (uint32_t size = 0; size <= 9; size++) {
        uint8_t  bytes[16] = { 0, 0, 0, (uint8_t)size, 2 };
        rh_frame frame;
        cr_expect_eq(rh_frame_size(bytes, sizeof bytes), size < 8 ? 8 : size);
        cr_expect_eq(rh_frame_parse(bytes, sizeof bytes, &frame), size < 8 ? RH_E_FRAMING : RH_OK, "size %u", size);
        if (size >= 8) cr_expect_eq(frame.body.n, size - 8);
    }
}

Test(frame, the_body_starts_where_the_data_offset_says)
{
    uint8_t bytes[1100] = { 0 };
    for (uint32_t size = 8; size <= 1030; size++)
        for (uint32_t doff = 0; doff <= 255; doff++) {
            rh_frame frame;
            rh_put32(bytes, size);
            bytes[4] = (uint8_t)doff;
            bool good = doff >= 2 && doff * 4 <= size;
            cr_assert_eq(rh_frame_parse(bytes, sizeof bytes, &frame), good ? RH_OK : RH_E_FRAMING, "size %u, doff %u", size, doff);
            if (!good) continue;
            cr_assert_eq(frame.body.p, bytes + doff * 4);
            cr_assert_eq(frame.body.n, size - doff * 4);
        }
}

Test(frame, a_frame_that_is_not_all_there_waits)
{
    static const uint32_t sizes[] = { 8, 9, 511, 512, 513, 65535, 65536, 65537 };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        uint8_t *bytes = calloc(1, sizes[i]);
        rh_frame frame;
        rh_frame_put(bytes, sizes[i], RH_FRAME_AMQP, 7);
        cr_expect_eq(rh_frame_parse(bytes, sizes[i], &frame), RH_OK);
        cr_expect_eq(frame.size, sizes[i]);
        cr_expect_eq(rh_frame_parse(bytes, sizes[i] - 1, &frame), RH_AGAIN);
        cr_expect_eq(rh_frame_size(bytes, sizes[i]), sizes[i]);
        free(bytes);
    }
    uint8_t  huge[8];
    rh_frame frame;
    rh_frame_put(huge, UINT32_MAX, RH_FRAME_AMQP, 0);
    cr_expect_eq(rh_frame_size(huge, sizeof huge), UINT32_MAX);
    cr_expect_eq(rh_frame_parse(huge, sizeof huge, &frame), RH_AGAIN);
    for (size_t n = 0; n < sizeof huge; n++) cr_expect_eq(rh_frame_parse(huge, n, &frame), RH_AGAIN);
}

Test(frame, a_header_that_was_put_reads_as_it_was)
{
    static const uint8_t expected[] = { 0x00, 0x01, 0x00, 0x08, 2, RH_FRAME_SASL, 0xab, 0xcd };
    uint8_t bytes[8];
    rh_frame_put(bytes, 0x10008, RH_FRAME_SASL, 0xabcd);
    cr_expect_arr_eq(bytes, expected, sizeof expected);

    uint8_t  heartbeat[8];
    rh_frame frame;
    rh_frame_put(heartbeat, 8, RH_FRAME_AMQP, 0x1234);
    cr_assert_eq(rh_frame_parse(heartbeat, sizeof heartbeat, &frame), RH_OK);
    cr_expect_eq(frame.type, RH_FRAME_AMQP);
    cr_expect_eq(frame.channel, 0x1234);
    cr_expect_eq(frame.doff, 2);
    cr_expect_eq(frame.body.n, 0);
    cr_expect_not_null(frame.body.p);
}
