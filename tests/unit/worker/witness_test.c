/* witness_test.c — the kernel's counts are exact, whatever was read, written, buffered or closed. */
#include "worker/witness.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

struct pair {
    int client;
    int server;
};

static struct pair connect_pair(void)
{
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    assert_int_equal(bind(listener, (struct sockaddr *)&address, length), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &length), 0);
    struct pair pair = {.client = socket(AF_INET, SOCK_STREAM, 0)};
    assert_int_equal(connect(pair.client, (struct sockaddr *)&address, length), 0);
    pair.server = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    assert_true(pair.server >= 0);
    assert_int_equal(fcntl(pair.client, F_SETFL, O_NONBLOCK), 0);
    close(listener);
    return pair;
}

static void close_pair(struct pair pair)
{
    close(pair.client);
    close(pair.server);
}

static uint64_t count(ssize_t result)
{
    return result > 0 ? (uint64_t)result : 0;
}

static void counts_are_exact_at_random_points(void **state)
{
    (void)state;
    static char bytes[100000];
    struct pair pair = connect_pair();
    uint64_t received = 0;
    uint64_t sent = 0;
    srandom(1);
    for (int i = 0; i < 20000; i++) {
        size_t some = (size_t)random() % 3000 + 1;
        switch (random() % 4) {
        case 0:
            (void)count(send(pair.client, bytes, some, MSG_NOSIGNAL));
            break;
        case 1:
            received += count(recv(pair.server, bytes, some, 0));
            break;
        case 2:
            sent += count(send(pair.server, bytes, some * 10, MSG_NOSIGNAL));
            break;
        default:
            (void)count(recv(pair.client, bytes, some * 10, 0));
            break;
        }
        struct testimony testimony;
        assert_true(witness_ask(pair.server, &testimony));
        assert_int_equal(testimony.received, received);
        assert_int_equal(testimony.sent, sent);
    }
    close_pair(pair);
}

/* The peer's FIN is a byte in the kernel's count of what came, but not one that recv() ever returns. */
static void the_clients_fin_is_not_counted(void **state)
{
    (void)state;
    char bytes[16];
    struct testimony testimony;
    struct pair pair = connect_pair();
    assert_int_equal(send(pair.client, "0123456789", 10, 0), 10);
    assert_int_equal(shutdown(pair.client, SHUT_WR), 0);
    assert_true(witness_ask(pair.server, &testimony));
    assert_int_equal(testimony.received, 0);
    assert_int_equal(recv(pair.server, bytes, 4, 0), 4);
    assert_true(witness_ask(pair.server, &testimony));
    assert_int_equal(testimony.received, 4);
    assert_int_equal(recv(pair.server, bytes, 16, 0), 6);
    assert_true(witness_ask(pair.server, &testimony));
    assert_int_equal(testimony.received, 10);
    close_pair(pair);
}

static void a_reset_connection_says_so(void **state)
{
    (void)state;
    struct testimony testimony;
    struct pair pair = connect_pair();
    struct linger hard = {.l_onoff = 1, .l_linger = 0};
    assert_int_equal(setsockopt(pair.client, SOL_SOCKET, SO_LINGER, &hard, sizeof hard), 0);
    close(pair.client);
    assert_false(witness_ask(pair.server, &testimony));
    close(pair.server);
}

static void what_is_no_tcp_connection_is_refused(void **state)
{
    (void)state;
    struct testimony testimony;
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    assert_false(witness_ask(ends[0], &testimony));
    assert_false(witness_ask(-1, &testimony));
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_are_exact_at_random_points),
        cmocka_unit_test(the_clients_fin_is_not_counted),
        cmocka_unit_test(a_reset_connection_says_so),
        cmocka_unit_test(what_is_no_tcp_connection_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
