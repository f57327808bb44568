/* handing_test.c — a table of descriptors goes to another process, each to its number, whatever that one has there. */
#include "supervisor/inherit/handing.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum {
    FIRST = 40,
    HELD = 150,
    CELL = FIRST,
    EPOLL = FIRST + 1,
    DOOR = FIRST + 2,
    LEDGER = FIRST + 3,
    TALLY = FIRST + 4
};
enum { OWN_CONTROL = FIRST + 7, OWN_KEEPER = FIRST + 33, OWN_SNAPSHOT = FIRST + 64, OWN_HANDS = FIRST + 100 };

static const struct birth keepers = {
    .cell_fd = CELL, .epoll_fd = EPOLL, .door_fd = DOOR, .ledger_fd = LEDGER, .tally_fd = TALLY};

/* A memory file that says NUMBER, at that number. */
static void hold(int number, int says, int flags)
{
    int fd = memfd_create("held", 0);
    if (fd < 0 || dprintf(fd, "%d", says) < 1 || dup3(fd, number, flags) != number || close(fd) != 0) {
        abort();
    }
}

static int what_says(int fd)
{
    char text[16] = "";
    return pread(fd, text, sizeof text - 1, 0) > 0 ? atoi(text) : -1;
}

static void hold_all(void)
{
    for (int number = FIRST; number < FIRST + HELD; number++) {
        hold(number, number, 0);
    }
}

static void close_all(void)
{
    for (int number = FIRST; number < FIRST + HELD; number++) {
        close(number);
    }
}

/* The successor's own, at numbers at which the keeper has something. */
static struct birth own(int hands)
{
    hold(OWN_CONTROL, 1, O_CLOEXEC);
    hold(OWN_KEEPER, 2, O_CLOEXEC);
    hold(OWN_SNAPSHOT, 3, O_CLOEXEC);
    if (dup2(hands, OWN_HANDS) != OWN_HANDS) {
        abort();
    }
    close(hands);
    return (struct birth){.control_fd = OWN_CONTROL,
                          .keeper_fd = OWN_KEEPER,
                          .snapshot_fd = OWN_SNAPSHOT,
                          .access_log_fd = -1,
                          .cell_fd = -1,
                          .epoll_fd = -1,
                          .handed_fd = OWN_HANDS};
}

/* In the successor: 0 if all is as it should be, or which check failed. */
static int look(const struct birth *birth)
{
    if (birth->cell_fd != CELL || birth->epoll_fd != EPOLL || birth->door_fd != DOOR || birth->ledger_fd != LEDGER ||
        birth->tally_fd != TALLY) {
        return 1;
    }
    if (what_says(birth->control_fd) != 1 || what_says(birth->keeper_fd) != 2 || what_says(birth->snapshot_fd) != 3) {
        return 2;
    }
    for (int number = FIRST; number < FIRST + HELD; number++) {
        if (what_says(number) != number || (fcntl(number, F_GETFD) & FD_CLOEXEC) != 0) {
            return 3;
        }
    }
    return birth->handed_fd == -1 ? 0 : 4;
}

/* Fork a successor that was given nothing but the other end of *HANDS. WHAT it makes of it is its exit code. */
static pid_t fork_successor(int *hands, int (*what)(int hands))
{
    int ends[2];
    assert_int_equal(channel_pair(ends), 0);
    pid_t pid = fork();
    if (pid == 0) {
        close(ends[0]);
        _exit(what(ends[1]));
    }
    assert_true(pid > 0);
    close(ends[1]);
    *hands = ends[0];
    return pid;
}

static int exit_of(pid_t pid)
{
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int take_all(int hands)
{
    struct birth birth = own(hands);
    return handing_take(&birth) ? look(&birth) : 10;
}

static int die_at_once(int hands)
{
    (void)hands;
    return 20;
}

static void everything_gets_to_its_number(void **state)
{
    (void)state;
    int hands;
    pid_t successor = fork_successor(&hands, take_all);
    hold_all();
    assert_int_equal(handing_give(&keepers, hands, false), successor);
    handing_let_go(hands);
    assert_int_equal(exit_of(successor), 0);
    for (int number = FIRST; number < FIRST + HELD; number++) {
        assert_int_equal(what_says(number), number); /* and the keeper has it still */
    }
    close(hands);
    close_all();
}

static void nobody_goes_on_that_is_not_let_go(void **state)
{
    (void)state;
    int hands;
    pid_t successor = fork_successor(&hands, take_all);
    hold_all();
    assert_int_equal(handing_give(&keepers, hands, false), successor);
    close(hands);
    assert_int_equal(exit_of(successor), 10);
    close_all();
}

static void one_that_dies_meanwhile_has_taken_nothing(void **state)
{
    (void)state;
    int hands;
    pid_t successor = fork_successor(&hands, die_at_once);
    hold_all();
    assert_int_equal(handing_give(&keepers, hands, false), 0);
    assert_int_equal(exit_of(successor), 20);
    close(hands);
    close_all();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_gets_to_its_number),
        cmocka_unit_test(nobody_goes_on_that_is_not_let_go),
        cmocka_unit_test(one_that_dies_meanwhile_has_taken_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
