/* orphan_test.c — a worker without a supervisor gives all to its heir, and nothing to anybody else. */
#include "worker/orphan.h"

#include "tests/unit/worker/fixture.h"
#include "worker/orders.h"

#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { NOBODY = 65534, PATIENCE_MS = 5000 };

static struct sockaddr_un door_name(const struct fixture *f)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    snprintf(name.sun_path, sizeof name.sun_path, "%s/door", f->root);
    return name;
}

/* A worker with a door that the file system opens to everybody, and whose supervisor has gone. */
static int open_fixture(void **state)
{
    struct fixture *f = malloc(sizeof *f);
    fixture_open(f, 128);
    struct sockaddr_un name = door_name(f);
    f->w.birth.door_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    f->w.birth.ledger_fd = memfd_create("perdure-ledger", MFD_CLOEXEC);
    f->w.birth.snapshot_fd = memfd_create("perdure-snapshot", MFD_CLOEXEC);
    assert_int_equal(bind(f->w.birth.door_fd, (struct sockaddr *)&name, sizeof name), 0);
    assert_int_equal(listen(f->w.birth.door_fd, 1), 0);
    assert_int_equal(chmod(f->root, 0711), 0);
    assert_int_equal(chmod(name.sun_path, 0666), 0);
    close(f->control);
    f->control = -1;
    fcntl(f->w.birth.control_fd, F_SETFL, O_NONBLOCK);
    orders_obey(&f->w);
    assert_true(orphan_is(&f->w));
    *state = f;
    return 0;
}

static int close_fixture(void **state)
{
    struct fixture *f = *state;
    close(f->w.birth.door_fd);
    close(f->w.birth.ledger_fd);
    close(f->w.birth.snapshot_fd);
    fixture_close(f);
    free(f);
    return 0;
}

/* Connect to the door and say KIND, of contract VERSION. */
static int knock(const struct fixture *f, enum order_kind kind, uint32_t version)
{
    const struct order order = {.kind = kind, .birth = {.version = version}};
    struct sockaddr_un name = door_name(f);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (connect(fd, (struct sockaddr *)&name, sizeof name) != 0) {
        _exit(2);
    }
    (void)channel_send(fd, &order, sizeof order, NULL, 0); /* the door may be closed already */
    return fd;
}

/* 1: with all that belongs to it, 0: the door was closed, -1: neither within PATIENCE_MS. */
static int receive_all(int fd)
{
    struct orphan_words words;
    int fds[CONTRACT_FDS_MAX];
    size_t count = CONTRACT_FDS_MAX;
    struct pollfd answer = {.fd = fd, .events = POLLIN};
    if (poll(&answer, 1, PATIENCE_MS) != 1) {
        return -1;
    }
    int got = channel_receive(fd, &words, sizeof words, fds, &count, NULL);
    for (size_t i = 0; i < count; i++) {
        close(fds[i]);
    }
    return got > 0 && count == ORPHAN_FDS ? 1 : 0;
}

static void its_heir_gets_all_and_gives_orders_from_then_on(void **state)
{
    struct fixture *f = *state;
    int heir = knock(f, ORDER_INHERIT, CONTRACT_VERSION);
    orders_obey(&f->w);
    assert_int_equal(receive_all(heir), 1);
    assert_false(orphan_is(&f->w));
    const struct order stop = {.kind = ORDER_STOP, .deadline_ms = UINT64_MAX};
    assert_int_equal(channel_send(heir, &stop, sizeof stop, NULL, 0), 0);
    orders_obey(&f->w);
    assert_true(f->w.stopping);
    close(heir);
}

static void an_heir_that_goes_is_followed_by_another(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 3; i++) {
        int heir = knock(f, ORDER_INHERIT, CONTRACT_VERSION);
        orders_obey(&f->w);
        assert_int_equal(receive_all(heir), 1);
        close(heir);
        orders_obey(&f->w);
        assert_true(orphan_is(&f->w));
    }
}

static void assert_gets_nothing(struct fixture *f, int stranger)
{
    orders_obey(&f->w);
    assert_int_equal(receive_all(stranger), 0);
    assert_true(orphan_is(&f->w));
    close(stranger);
}

static void who_wants_something_else_or_is_of_another_version_gets_nothing(void **state)
{
    struct fixture *f = *state;
    assert_gets_nothing(f, knock(f, ORDER_STOP, CONTRACT_VERSION));
    assert_gets_nothing(f, knock(f, ORDER_INHERIT, CONTRACT_VERSION + 1));
    assert_false(f->w.stopping);
}

/* Even when the file's mode lets him in. */
static void another_user_gets_nothing(void **state)
{
    struct fixture *f = *state;
    int status;
    if (geteuid() != 0) {
        skip();
    }
    pid_t pid = fork();
    if (pid == 0) {
        _exit(setresuid(NOBODY, NOBODY, NOBODY) != 0 || receive_all(knock(f, ORDER_INHERIT, CONTRACT_VERSION)) != 0);
    }
    struct pollfd door = {.fd = f->w.birth.control_fd, .events = POLLIN};
    assert_int_equal(poll(&door, 1, PATIENCE_MS), 1);
    orders_obey(&f->w);
    assert_true(orphan_is(&f->w));
    waitpid(pid, &status, 0);
    assert_int_equal(status, 0);
}

static void sigterm_ends_it_gracefully_but_not_once_it_has_an_heir(void **state)
{
    struct fixture *f = *state;
    signal(SIGTERM, SIG_IGN); /* as a worker does */
    int heir = knock(f, ORDER_INHERIT, CONTRACT_VERSION);
    orders_obey(&f->w);
    assert_int_equal(receive_all(heir), 1);
    raise(SIGTERM);
    orders_obey(&f->w);
    assert_false(f->w.stopping);
    close(heir);
    orders_obey(&f->w);
    orders_obey(&f->w);
    assert_true(orphan_is(&f->w));
    assert_false(f->w.stopping);
    raise(SIGTERM);
    orders_obey(&f->w);
    assert_true(f->w.stopping);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(its_heir_gets_all_and_gives_orders_from_then_on, open_fixture, close_fixture),
        cmocka_unit_test_setup_teardown(an_heir_that_goes_is_followed_by_another, open_fixture, close_fixture),
        cmocka_unit_test_setup_teardown(who_wants_something_else_or_is_of_another_version_gets_nothing, open_fixture,
                                        close_fixture),
        cmocka_unit_test_setup_teardown(another_user_gets_nothing, open_fixture, close_fixture),
        cmocka_unit_test_setup_teardown(sigterm_ends_it_gracefully_but_not_once_it_has_an_heir, open_fixture,
                                        close_fixture),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
