/* ports_test.c — what is said of listeners is what the kernel says; looking is cheap, and ends. */
#include "supervisor/ports.c"

#include <net/if.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cmocka.h>

/* A listener on a port of 127.0.0.1 that the kernel chooses. */
static struct listener listen_somewhere(int backlog)
{
    struct listener listener = {.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), .backlog = backlog};
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof name;
    assert_int_equal(bind(listener.fd, (const struct sockaddr *)&name, sizeof name), 0);
    assert_int_equal(listen(listener.fd, backlog), 0);
    assert_int_equal(getsockname(listener.fd, (struct sockaddr *)&name, &length), 0);
    snprintf(listener.address, sizeof listener.address, "127.0.0.1:%u", ntohs(name.sin_port));
    return listener;
}

static int connect_to(const struct listener *listener)
{
    struct sockaddr_in name;
    socklen_t length = sizeof name;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(getsockname(listener->fd, (struct sockaddr *)&name, &length), 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&name, sizeof name), 0);
    return fd;
}

/* A connection to LISTENER that was closed at the listener's end first. */
static void leave_time_wait(const struct listener *listener)
{
    int client = connect_to(listener), server = accept(listener->fd, NULL, NULL);
    char byte;
    close(server);
    assert_int_equal(read(client, &byte, 1), 0);
    close(client);
}

static void the_accept_queue_is_told(void **state)
{
    struct listeners listeners = {.count = 1, .all = {listen_somewhere(7)}};
    struct ports ports = {0};
    int clients[3];
    for (size_t i = 0; i < 3; i++) {
        clients[i] = connect_to(&listeners.all[0]);
    }
    ports_look(&ports, &listeners, clock_now());
    assert_int_equal(ports.all[0].waiting, 3);
    assert_int_equal(ports.all[0].waiting_limit, 7);
    assert_int_equal(ports.all[0].overflowed, 0);
    assert_true(ports.net.resets_sent >= 0 && ports.net.listen_overflows >= 0 && ports.net.listen_drops >= 0);
    for (size_t i = 0; i < 3; i++) {
        close(clients[i]);
    }
    close(listeners.all[0].fd);
    (void)state;
}

static void what_is_no_listener_is_not_known(void **state)
{
    struct listeners listeners = {.count = 2};
    struct ports ports = {0};
    snprintf(listeners.all[0].address, LISTENER_ADDRESS_BYTES, "unix:/nowhere");
    snprintf(listeners.all[1].address, LISTENER_ADDRESS_BYTES, "127.0.0.1:1");
    listeners.all[0].fd = listeners.all[1].fd = -1;
    ports_look(&ports, &listeners, clock_now());
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(ports.all[i].waiting, -1);
        assert_int_equal(ports.all[i].waiting_limit, -1);
        assert_int_equal(ports.all[i].overflowed, -1);
    }
    assert_int_equal(ports.all[0].time_wait, -1);
    assert_int_equal(ports.all[1].time_wait, 0);
    (void)state;
}

static void time_wait_is_counted_by_port_and_once_a_second(void **state)
{
    struct listeners listeners = {.count = 2, .all = {listen_somewhere(7), listen_somewhere(7)}};
    struct ports ports = {0};
    struct instant now = clock_now();
    leave_time_wait(&listeners.all[0]);
    leave_time_wait(&listeners.all[0]);
    ports_look(&ports, &listeners, now);
    assert_int_equal(ports.all[0].time_wait, 2);
    assert_int_equal(ports.all[1].time_wait, 0);
    assert_true(ports.counted_all);
    leave_time_wait(&listeners.all[1]);
    ports_look(&ports, &listeners, clock_after(now, COUNT_EVERY_MS - 1));
    assert_int_equal(ports.all[1].time_wait, 0);
    ports_look(&ports, &listeners, clock_after(now, COUNT_EVERY_MS));
    assert_int_equal(ports.all[0].time_wait, 2);
    assert_int_equal(ports.all[1].time_wait, 1);
    listeners.count = 1;
    listeners.all[0] = listeners.all[1]; /* a reload */
    ports_look(&ports, &listeners, clock_after(now, COUNT_EVERY_MS));
    assert_int_equal(ports.all[0].time_wait, 1);
    close(listeners.all[0].fd);
    (void)state;
}

static void counting_ends_when_its_time_is_over(void **state)
{
    struct listeners listeners = {.count = 1, .all = {listen_somewhere(7)}};
    struct ports ports = {.net.time_wait = 1};
    enum { MORE_THAN_FIT = ANSWER_BYTES / 72 };
    for (size_t i = 0; i < MORE_THAN_FIT; i++) {
        leave_time_wait(&listeners.all[0]);
    }
    count_time_wait(&ports, &listeners, 0);
    assert_in_range(ports.all[0].time_wait, 1, MORE_THAN_FIT - 1);
    assert_false(ports.counted_all);
    count_time_wait(&ports, &listeners, UINT64_MAX);
    assert_int_equal(ports.all[0].time_wait, MORE_THAN_FIT);
    assert_true(ports.counted_all);
    close(listeners.all[0].fd);
    (void)state;
}

/* The wildcard takes what came to any address. */
static void each_is_counted_at_the_listener_that_took_it(void **state)
{
    struct count count = {.addresses_count = 3};
    struct ports ports = {0};
    struct {
        struct nlmsghdr header;
        struct inet_diag_msg message;
    } one = {.header.nlmsg_len = sizeof one,
             .message = {.idiag_family = AF_INET, .idiag_state = STATE_TIME_WAIT, .id.idiag_sport = htons(80)}};
    char why[ADDRESS_WHY_BYTES];
    count.ports = &ports;
    assert_true(address_parse("0.0.0.0:81", &count.addresses[0], why));
    assert_true(address_parse("127.0.0.2:80", &count.addresses[1], why));
    assert_true(address_parse("[::]:80", &count.addresses[2], why));
    one.message.id.idiag_src[0] = htonl(0x7f000002);
    assert_int_equal(count_one(&one.header, &count), MNL_CB_OK);
    one.message.id.idiag_src[0] = htonl(0x7f000003); /* another program's */
    assert_int_equal(count_one(&one.header, &count), MNL_CB_OK);
    one.message.id.idiag_sport = htons(81);
    assert_int_equal(count_one(&one.header, &count), MNL_CB_OK);
    one.message.idiag_state = 5; /* FIN_WAIT2 */
    assert_int_equal(count_one(&one.header, &count), MNL_CB_OK);
    one.header.nlmsg_len = NLMSG_HDRLEN + 8;
    assert_int_equal(count_one(&one.header, &count), MNL_CB_OK);
    assert_int_equal(ports.all[0].time_wait, 1);
    assert_int_equal(ports.all[1].time_wait, 1);
    assert_int_equal(ports.all[2].time_wait, 0);
    (void)state;
}

static void as_many_listeners_as_there_may_be_are_counted(void **state)
{
    struct listeners listeners = {.count = CONTRACT_LISTENERS_MAX};
    struct ports ports = {.net.time_wait = 1};
    for (size_t i = 0; i < listeners.count; i++) {
        snprintf(listeners.all[i].address, LISTENER_ADDRESS_BYTES, "127.0.0.1:%zu", 100 + i);
        listeners.all[i].fd = -1;
    }
    for (size_t own = 0; own < listeners.count; own += 9) {
        struct listener kept = listeners.all[own];
        listeners.all[own] = listen_somewhere(7);
        leave_time_wait(&listeners.all[own]);
        count_time_wait(&ports, &listeners, UINT64_MAX);
        for (size_t i = 0; i < listeners.count; i++) {
            assert_int_equal(ports.all[i].time_wait, i == own);
        }
        assert_true(ports.counted_all);
        close(listeners.all[own].fd);
        listeners.all[own] = kept;
    }
    (void)state;
}

/* Where there are very many in TIME_WAIT the kernel keeps no more: root has a network to himself. */
static int have_own_network(void **state)
{
    struct ifreq loopback = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
    (void)state;
    if (geteuid() != 0 || unshare(CLONE_NEWNET) != 0) {
        return 0;
    }
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int done = ioctl(fd, SIOCSIFFLAGS, &loopback);
    close(fd);
    return done;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_accept_queue_is_told),
        cmocka_unit_test(what_is_no_listener_is_not_known),
        cmocka_unit_test(time_wait_is_counted_by_port_and_once_a_second),
        cmocka_unit_test(counting_ends_when_its_time_is_over),
        cmocka_unit_test(as_many_listeners_as_there_may_be_are_counted),
        cmocka_unit_test(each_is_counted_at_the_listener_that_took_it),
    };
    return cmocka_run_group_tests(tests, have_own_network, NULL);
}
