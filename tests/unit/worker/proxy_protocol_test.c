/* proxy_protocol_test.c — a PROXY header is read in one way or refused, whole or in pieces, and never beyond its bytes.
 */
#include "worker/proxy_protocol.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const uint8_t signature[12] = {0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a};

/* In memory of exactly that size, so that the sanitizers see a byte too many. */
static enum proxy_verdict parse(const void *bytes, size_t count, struct proxy_header *header)
{
    char *copy = malloc(count + (count == 0));
    memcpy(copy, bytes, count);
    enum proxy_verdict verdict = proxy_header_parse(copy, count, header);
    free(copy);
    return verdict;
}

/* Whole, and every beginning of it may become one; what stands behind it is not looked at. CLIENT NULL: none. */
static void assert_whole(const void *bytes, size_t count, const char *client)
{
    struct proxy_header header;
    char text[INET6_ADDRSTRLEN] = "none";
    char more[PROXY_HEADER_MOST + 64];
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(parse(bytes, i, &header), PROXY_PARTIAL);
    }
    memcpy(more, bytes, count);
    memcpy(more + count, "GET / HTTP/1.1", 14);
    for (size_t behind = 0; behind < 14; behind += 13) {
        assert_int_equal(parse(more, count + behind, &header), PROXY_WHOLE);
        assert_int_equal(header.bytes, count);
        client_address_text(&header.client, text);
        assert_string_equal(text, client != NULL ? client : "none");
    }
}

static void assert_refused(const void *bytes, size_t count)
{
    struct proxy_header header;
    assert_int_equal(parse(bytes, count, &header), PROXY_REFUSED);
}

static void a_line_says_who_it_is(void **state)
{
    (void)state;
    static const struct {
        const char *line, *client;
    } good[] = {
        {"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n", "192.0.2.7"},
        {"PROXY TCP4 0.0.0.0 255.255.255.255 0 65535\r\n", "0.0.0.0"},
        {"PROXY TCP6 2001:db8::7 2001:db8::1 1 2\r\n", "2001:db8::7"},
        {"PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
         "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
        {"PROXY UNKNOWN\r\n", NULL},
        {"PROXY UNKNOWN whatever it 1 2 says\r\n", NULL},
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_whole(good[i].line, strlen(good[i].line), good[i].client);
    }
}

static void what_is_not_quite_a_line_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "GET / HTTP/1.1\r\n",
        "PROXX",
        "proxy TCP4 1.2.3.4 1.2.3.4 1 2\r\n",
        "PROXY  TCP4 1.2.3.4 1.2.3.4 1 2\r\n",
        "PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n",
        "PROXY TCP4  1.2.3.4 1.2.3.4 1 2\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 2 \r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 -2\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 +2\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 000002\r\n",
        "PROXY TCP4 1.2.3.256 1.2.3.4 1 2\r\n",
        "PROXY TCP4 1.2.3 1.2.3.4 1 2\r\n",
        "PROXY TCP4 1.2.3.04 1.2.3.4 1 2\r\n",
        "PROXY TCP4 ::1 ::1 1 2\r\n",
        "PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n",
        "PROXY TCP6 ::1%lo ::1 1 2\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r ",
        "PROXY UNKNOWNX\r\n",
        "PROXY \r\n",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_refused(bad[i], strlen(bad[i]));
    }
}

static void a_line_ends_within_107_bytes(void **state)
{
    (void)state;
    char line[128] = "PROXY UNKNOWN ";
    memset(line + 14, 'x', sizeof line - 14);
    memcpy(line + 105, "\r\n", 2);
    assert_whole(line, 107, NULL);
    line[105] = 'x';
    memcpy(line + 106, "\r\n", 2);
    assert_refused(line, 107);
    assert_refused(line, 108);
}

/* A version 2 header with LENGTH bytes behind the fixed ones, which begin with ADDRESSES. */
static size_t binary(uint8_t *bytes, uint8_t command, uint8_t family, size_t length, const char *addresses)
{
    memset(bytes, 0, 16 + length);
    memcpy(bytes, signature, sizeof signature);
    bytes[12] = command;
    bytes[13] = family;
    bytes[14] = (uint8_t)(length >> 8);
    bytes[15] = (uint8_t)length;
    memcpy(bytes + 16, addresses, strlen(addresses));
    return 16 + length;
}

static void binary_headers_say_who_it_is(void **state)
{
    (void)state;
    uint8_t bytes[PROXY_HEADER_MOST] = {0};
    assert_whole(bytes, binary(bytes, 0x21, 0x11, 12, "\x01\x02\x03\x04"), "1.2.3.4");
    assert_whole(bytes, binary(bytes, 0x21, 0x21, 36, "\x20\x01\x0d\xb8"), "2001:db8::");
    assert_whole(bytes, binary(bytes, 0x21, 0x31, 216, "/run/x"), NULL);
    assert_whole(bytes, binary(bytes, 0x21, 0x00, 0, ""), NULL);
    assert_whole(bytes, binary(bytes, 0x20, 0x00, 0, ""), NULL);
    assert_whole(bytes, binary(bytes, 0x20, 0x11, 12, "\x01\x02\x03\x04"), NULL); /* it speaks for itself */
    assert_whole(bytes, binary(bytes, 0x21, 0x11, PROXY_HEADER_MOST - 16, "\x01\x02\x03\x04"), "1.2.3.4");
}

static void binary_headers_that_are_not_ours_are_refused(void **state)
{
    (void)state;
    uint8_t bytes[PROXY_HEADER_MOST + 16] = {0};
    assert_refused(bytes, binary(bytes, 0x11, 0x11, 12, ""));
    assert_refused(bytes, binary(bytes, 0x22, 0x11, 12, ""));
    assert_refused(bytes, binary(bytes, 0x21, 0x12, 12, ""));
    assert_refused(bytes, binary(bytes, 0x21, 0x41, 36, ""));
    assert_refused(bytes, binary(bytes, 0x21, 0x11, 11, ""));
    assert_refused(bytes, binary(bytes, 0x21, 0x21, 35, ""));
    assert_refused(bytes, binary(bytes, 0x21, 0x31, 215, ""));
    assert_refused(bytes, binary(bytes, 0x21, 0x11, PROXY_HEADER_MOST - 15, ""));
    for (size_t i = 0; i < 13; i++) {
        binary(bytes, 0x21, 0x11, 12, "");
        bytes[i] ^= 0x04;
        assert_refused(bytes, i + 1); /* with the first byte that is wrong */
    }
}

/* Whatever the bytes are, a verdict, and none beyond what is bounded. */
static void any_bytes_get_a_verdict(void **state)
{
    (void)state;
    uint8_t bytes[256];
    struct proxy_header header;
    srandom(11);
    for (int i = 0; i < 200000; i++) {
        size_t count = (size_t)random() % sizeof bytes;
        for (size_t at = 0; at < count; at++) {
            bytes[at] = (uint8_t) "PROXY TCP46UNKN.:0123\r\n \xff"[random() % 25];
        }
        if (random() % 2 != 0) {
            memcpy(bytes, i % 3 == 0 ? (const void *)"PROXY TCP4 " : (const void *)signature, count < 11 ? count : 11);
        }
        if (parse(bytes, count, &header) == PROXY_WHOLE) {
            assert_true(header.bytes <= count && header.bytes <= PROXY_HEADER_MOST);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_says_who_it_is),
        cmocka_unit_test(what_is_not_quite_a_line_is_refused),
        cmocka_unit_test(a_line_ends_within_107_bytes),
        cmocka_unit_test(binary_headers_say_who_it_is),
        cmocka_unit_test(binary_headers_that_are_not_ours_are_refused),
        cmocka_unit_test(any_bytes_get_a_verdict),
    };
    return cmocka_run_group_tests_name("proxy_protocol", tests, NULL, NULL);
}
