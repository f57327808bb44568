/* query_test.c — what may be asked about, and how what may not is answered. */
#include "supervisor/why/query.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct facts facts;
static char wrong[ADDRESS_WHY_BYTES];

static void a_port_alone_asks_for_every_address_of_both_families(void **state)
{
    static const char *const texts[] = {"8000", ":8000", "*:8000"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        assert_true(query_parse(texts[i], &facts, wrong));
        assert_int_equal(facts.port, 8000);
        assert_int_equal(facts.targets_count, 2);
        assert_string_equal(facts.targets[0].text, "0.0.0.0:8000");
        assert_string_equal(facts.targets[1].text, "[::]:8000");
        assert_true(end_is_wildcard(&facts.targets[0].end) && end_is_wildcard(&facts.targets[1].end));
        assert_int_equal(facts.targets[0].trial.with, FACTS_NOT_TRIED);
    }
    (void)state;
}

static void one_address_asks_for_that_alone(void **state)
{
    assert_true(query_parse("127.0.0.1:80", &facts, wrong));
    assert_int_equal(facts.targets_count, 1);
    assert_true(IN6_IS_ADDR_V4MAPPED(&facts.targets[0].end.host));
    assert_false(end_is_wildcard(&facts.targets[0].end));
    assert_true(query_parse("[::1]:80", &facts, wrong));
    assert_int_equal(facts.targets[0].family, AF_INET6);
    (void)state;
}

static void a_path_asks_for_a_unix_socket(void **state)
{
    static const char *const texts[] = {"unix:/run/a.sock", "/run/a.sock"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        assert_true(query_parse(texts[i], &facts, wrong));
        assert_true(facts.is_unix);
        assert_string_equal(facts.path, "/run/a.sock");
        assert_string_equal(facts.targets[0].text, "unix:/run/a.sock");
    }
    (void)state;
}

static void what_is_no_address_is_told_with_what_would_be(void **state)
{
    static const struct {
        const char *text, *says;
    } rows[] = {
        {"0", "\"0\" is not a port; write a number from 1 to 65535"},
        {"65536", "\"65536\" is not a port"},
        {"080", "\"080\" is not a port"},
        {"", "the address is empty"},
        {"localhost:80", "names are not looked up"},
        {"1.2.3.4", "has no port"},
        {"::1:80", "needs brackets"},
        {"unix:a.sock", "must be absolute"},
        {"http", "\"http\" is no port (names are not looked up)"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_false(query_parse(rows[i].text, &facts, wrong));
        if (strstr(wrong, rows[i].says) == NULL) {
            fail_msg("%s: %s", rows[i].text, wrong);
        }
    }
    (void)state;
}

static void the_sockaddr_is_what_was_asked_for(void **state)
{
    struct sockaddr_storage name;
    const struct sockaddr_in *four = (const struct sockaddr_in *)&name;
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)&name;
    assert_true(query_parse("127.0.0.2:81", &facts, wrong));
    assert_int_equal(query_sockaddr(&facts.targets[0], &name), sizeof *four);
    assert_int_equal(ntohl(four->sin_addr.s_addr), 0x7f000002);
    assert_int_equal(ntohs(four->sin_port), 81);
    assert_true(query_parse("[::1]:82", &facts, wrong));
    assert_int_equal(query_sockaddr(&facts.targets[0], &name), sizeof *six);
    assert_true(IN6_IS_ADDR_LOOPBACK(&six->sin6_addr));
    assert_int_equal(ntohs(six->sin6_port), 82);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_port_alone_asks_for_every_address_of_both_families),
        cmocka_unit_test(one_address_asks_for_that_alone),
        cmocka_unit_test(a_path_asks_for_a_unix_socket),
        cmocka_unit_test(what_is_no_address_is_told_with_what_would_be),
        cmocka_unit_test(the_sockaddr_is_what_was_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
