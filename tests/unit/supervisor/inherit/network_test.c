/* network_test.c — a network means the addresses that it looks like, or it is none. */
#include "supervisor/inherit/network.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static struct client_address address(const char *text)
{
    uint8_t bytes[16];
    if (inet_pton(AF_INET, text, bytes) == 1) {
        return client_address_v4(bytes);
    }
    assert_int_equal(inet_pton(AF_INET6, text, bytes), 1);
    return client_address_v6(bytes);
}

static bool has(const char *text, const char *member)
{
    struct network network;
    struct client_address wanted = address(member);
    assert_true(network_parse(text, &network));
    return network_has(&network, &wanted);
}

static void a_network_has_what_it_looks_like(void **state)
{
    (void)state;
    assert_true(has("10.0.0.0/8", "10.255.0.1"));
    assert_false(has("10.0.0.0/8", "11.0.0.1"));
    assert_true(has("10.1.2.3", "10.1.2.3"));
    assert_false(has("10.1.2.3", "10.1.2.2"));
    assert_true(has("192.0.2.128/25", "192.0.2.200"));
    assert_false(has("192.0.2.128/25", "192.0.2.100"));
    assert_true(has("0.0.0.0/0", "1.2.3.4"));
    assert_false(has("0.0.0.0/0", "2001:db8::1"));
    assert_true(has("2001:db8::/32", "2001:db8:1::1"));
    assert_false(has("2001:db8::/32", "2001:db9::1"));
    assert_false(has("2001:db8::/32", "10.0.0.1"));
    assert_true(has("::1", "::1"));
    assert_true(has("::/0", "2001:db8::1"));
}

static void what_is_no_network_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"",          "10.0.0.0/33", "10.0.0.1/8",   "10.0.0.0/",    "10.0.0.0/08",
                                      "10.0.0/8",  "/8",          "10.0.0.0/8/8", "10.0.0.0/-1",  "::/129",
                                      "localhost", "[::1]",       "::1/64",       "10.0.0.0 / 8", "10.0.0.0/8 "};
    struct network network;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(network_parse(bad[i], &network));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_network_has_what_it_looks_like),
        cmocka_unit_test(what_is_no_network_is_refused),
    };
    return cmocka_run_group_tests_name("network", tests, NULL, NULL);
}
