/* tally_test.c — what an address has of all workers is never counted too low, and dies with nobody. */
#include "supervisor/inherit/tally.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct client_address v4(uint32_t number)
{
    const uint32_t bytes = htonl(number);
    return client_address_v4((const uint8_t *)&bytes);
}

static struct client_address v6(const char *text)
{
    uint8_t bytes[16];
    assert_int_equal(inet_pton(AF_INET6, text, bytes), 1);
    return client_address_v6(bytes);
}

static const struct instant begin = {.ms = 1000000};

static void connections_of_all_workers_add_up(void **state)
{
    (void)state;
    struct tally one, other;
    struct client_address client = v4(0x7f000001), stranger = v4(0x7f000002);
    int fd = tally_create();
    assert_true(tally_open(&one, fd, 0));
    assert_true(tally_open(&other, fd, 7));
    tally_add_connection(&one, &client);
    tally_add_connection(&one, &client);
    tally_add_connection(&other, &client);
    assert_int_equal(tally_connections(&one, &client), 3);
    assert_int_equal(tally_connections(&other, &client), 3);
    assert_int_equal(tally_connections(&one, &stranger), 0);
    tally_drop_connection(&one, &client);
    assert_int_equal(tally_connections(&other, &client), 2);
    tally_close(&one);
    tally_close(&other);
    close(fd);
}

static void a_dead_workers_row_is_forgotten(void **state)
{
    (void)state;
    struct tally one, other;
    struct client_address client = v4(1);
    int fd = tally_create();
    assert_true(tally_open(&one, fd, 0));
    assert_true(tally_open(&other, fd, 1));
    tally_add_connection(&one, &client);
    tally_add_connection(&other, &client);
    tally_close(&one);
    assert_true(tally_open(&one, fd, 0)); /* its successor counts anew */
    assert_int_equal(tally_connections(&one, &client), 1);
    tally_forget(fd, 1); /* nobody comes after this one */
    assert_int_equal(tally_connections(&one, &client), 0);
    tally_close(&one);
    tally_close(&other);
    close(fd);
}

static void one_too_many_is_dropped_below_nothing(void **state)
{
    (void)state;
    struct tally tally;
    struct client_address client = v4(1);
    int fd = tally_create();
    assert_true(tally_open(&tally, fd, 0));
    tally_drop_connection(&tally, &client);
    assert_int_equal(tally_connections(&tally, &client), 0);
    tally_close(&tally);
    close(fd);
}

static void a_network_of_ipv6_is_one_client(void **state)
{
    (void)state;
    struct tally tally;
    struct client_address one = v6("2001:db8:1:2::1"), same = v6("2001:db8:1:2:ffff::2"), other = v6("2001:db8:1:3::1");
    int fd = tally_create();
    assert_true(tally_open(&tally, fd, 0));
    tally_add_connection(&tally, &one);
    assert_int_equal(tally_connections(&tally, &same), 1);
    assert_int_equal(tally_connections(&tally, &other), 0);
    tally_close(&tally);
    close(fd);
}

/* Ten thousand clients of one connection each: nobody is counted too low, and hardly anybody much too high. */
static void a_crowd_is_counted_about_right(void **state)
{
    (void)state;
    enum { CROWD = 10000 };
    struct tally tally;
    unsigned high = 0;
    int fd = tally_create();
    assert_true(tally_open(&tally, fd, 0));
    for (uint32_t i = 0; i < CROWD; i++) {
        struct client_address client = v4(0x0a000000 + i);
        tally_add_connection(&tally, &client);
    }
    for (uint32_t i = 0; i < CROWD; i++) {
        struct client_address client = v4(0x0a000000 + i);
        uint64_t count = tally_connections(&tally, &client);
        assert_true(count >= 1);
        high += count > 8;
    }
    assert_true(high < CROWD / 100);
    tally_close(&tally);
    close(fd);
}

static void requests_beyond_the_limit_wait_for_the_next_second(void **state)
{
    (void)state;
    struct tally one, other;
    struct client_address client = v4(1), stranger = v4(2);
    int fd = tally_create();
    assert_true(tally_open(&one, fd, 0));
    assert_true(tally_open(&other, fd, 1));
    for (int i = 0; i < 5; i++) {
        assert_true(tally_request(&one, &client, 10, begin));
        assert_true(tally_request(&other, &client, 10, begin));
    }
    assert_false(tally_request(&one, &client, 10, begin));
    assert_false(tally_request(&other, &client, 10, begin));
    assert_true(tally_request(&other, &stranger, 10, begin));
    assert_false(tally_request(&one, &client, 10, (struct instant){.ms = begin.ms + 1000}));
    assert_true(tally_request(&one, &client, 10, (struct instant){.ms = begin.ms + 1200}));
    assert_true(tally_request(&one, &client, 10, (struct instant){.ms = begin.ms + 60000}));
    tally_close(&one);
    tally_close(&other);
    close(fd);
}

/* However it spreads them, it has its limit for each second, and hardly more. */
static void over_a_minute_the_rate_is_the_limit(void **state)
{
    (void)state;
    struct tally tally;
    struct client_address client = v4(1);
    unsigned passed = 0;
    int fd = tally_create();
    assert_true(tally_open(&tally, fd, 0));
    for (uint64_t ms = 0; ms < 60000; ms++) {
        passed += tally_request(&tally, &client, 50, (struct instant){.ms = begin.ms + ms});
    }
    assert_in_range(passed, 50 * 50, 60 * 51);
    tally_close(&tally);
    close(fd);
}

static void what_is_no_tally_is_not_opened(void **state)
{
    (void)state;
    struct tally tally;
    int fd = tally_create();
    assert_false(tally_open(&tally, -1, 0));
    assert_false(tally_open(&tally, STDIN_FILENO, 0));
    assert_false(tally_open(&tally, fd, TALLY_ROWS));
    assert_null(tally.head);
    assert_int_equal(ftruncate(fd, 0), -1); /* nobody can take the memory away from who has it mapped */
    close(fd);
}

static void addresses_are_written_as_people_do(void **state)
{
    (void)state;
    char text[INET6_ADDRSTRLEN];
    struct client_address address = v4(0x01020304), none = {0};
    assert_true(client_address_text(&address, text));
    assert_string_equal(text, "1.2.3.4");
    address = v6("2001:db8::1");
    assert_true(client_address_text(&address, text));
    assert_string_equal(text, "2001:db8::1");
    assert_false(client_address_text(&none, text));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connections_of_all_workers_add_up),
        cmocka_unit_test(a_dead_workers_row_is_forgotten),
        cmocka_unit_test(one_too_many_is_dropped_below_nothing),
        cmocka_unit_test(a_network_of_ipv6_is_one_client),
        cmocka_unit_test(a_crowd_is_counted_about_right),
        cmocka_unit_test(requests_beyond_the_limit_wait_for_the_next_second),
        cmocka_unit_test(over_a_minute_the_rate_is_the_limit),
        cmocka_unit_test(what_is_no_tally_is_not_opened),
        cmocka_unit_test(addresses_are_written_as_people_do),
    };
    return cmocka_run_group_tests_name("tally", tests, NULL, NULL);
}
