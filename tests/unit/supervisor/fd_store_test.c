/* fd_store_test.c — the service manager's store follows the ledger: what is new is sent, what is gone is removed, in
 * this order, and never twice.
 *
 * This process is the manager: it binds NOTIFY_SOCKET, and the kernel lets it fall behind by a dozen messages. */
#include "supervisor/channels.h"
#include "supervisor/fd_store.h"
#include "supervisor/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

static const char manager_name[] = "@perdure-fd-store-test";

struct world {
    int manager;
    struct supervisor *s;
};

static int prepare(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char name[64];
    snprintf(name, sizeof name, "%s-%d", manager_name, (int)getpid());
    memcpy(address.sun_path + 1, name + 1, strlen(name) - 1);
    world->manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name));
    assert_int_equal(bind(world->manager, (const struct sockaddr *)&address, length), 0);
    setenv("NOTIFY_SOCKET", name, 1);
    setenv("FDSTORE", "100", 1);
    world->s = calloc(1, sizeof *world->s);
    world->s->phase = PHASE_RUNNING;
    world->s->spares.count = FD_STORE_SPARES; /* which are none: fewer messages to look at */
    memset(world->s->spares.ends, -1, sizeof world->s->spares.ends);
    world->s->ledger = ledger_create(&world->s->ledger_fd);
    *state = world;
    return 0;
}

static int tidy(void **state)
{
    struct world *world = *state;
    munmap(world->s->ledger, sizeof *world->s->ledger);
    close(world->s->ledger_fd);
    close(world->manager);
    free(world->s);
    free(world);
    return 0;
}

/* The next message, its lines as blanks; *FD is what came with it, -1: nothing. "": there is none. */
static const char *heard(struct world *world, int *fd)
{
    static char text[256];
    union {
        struct cmsghdr aligned;
        char bytes[CMSG_SPACE(sizeof(int))];
    } ancillary;
    struct iovec piece = {.iov_base = text, .iov_len = sizeof text - 1};
    struct msghdr packet = {
        .msg_iov = &piece, .msg_iovlen = 1, .msg_control = ancillary.bytes, .msg_controllen = sizeof ancillary.bytes};
    ssize_t got = recvmsg(world->manager, &packet, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    text[got > 0 ? got : 0] = '\0';
    *fd = -1;
    if (got > 0 && packet.msg_controllen > 0) {
        memcpy(fd, CMSG_DATA(CMSG_FIRSTHDR(&packet)), sizeof *fd);
    }
    for (char *end = text; (end = strchr(end, '\n')) != NULL;) {
        *end = ' ';
    }
    return text;
}

static bool is_same_file(int one, int other)
{
    struct stat first;
    struct stat second;
    return fstat(one, &first) == 0 && fstat(other, &second) == 0 && first.st_dev == second.st_dev &&
           first.st_ino == second.st_ino;
}

static void assert_stored(struct world *world, int expected, const char *name)
{
    char text[128];
    int fd;
    snprintf(text, sizeof text, "FDSTORE=1 FDNAME=%s FDPOLL=0", name);
    assert_string_equal(heard(world, &fd), text);
    assert_true(is_same_file(fd, expected));
    close(fd);
}

static void assert_removed(struct world *world, const char *name)
{
    char text[128];
    int fd;
    snprintf(text, sizeof text, "FDSTOREREMOVE=1 FDNAME=%s", name);
    assert_string_equal(heard(world, &fd), text);
    assert_int_equal(fd, -1);
}

static void assert_silent(struct world *world)
{
    int fd;
    assert_string_equal(heard(world, &fd), "");
}

static int new_file(void)
{
    return memfd_create("one", MFD_CLOEXEC);
}

static void turn(struct world *world)
{
    assert_true(fd_store_turn(world->s) == UINT64_MAX);
}

/* ---- names ---- */

static void names_of_ours_are_numbers_and_no_others_are(void **state)
{
    static const char *const foreign[] = {"",
                                          "perdure",
                                          "perdure-",
                                          "perdure-0",
                                          "perdure-01",
                                          "perdure-x",
                                          "perdure-1x",
                                          "perdure--1",
                                          "http",
                                          "perdure- 1",
                                          "Perdure-1",
                                          "xperdure-1",
                                          "perdure-4294967296",
                                          "perdure-99999999999999999999"};
    char name[32];
    (void)state;
    for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++) {
        assert_int_equal(fd_store_serial(foreign[i]), 0);
    }
    assert_int_equal(fd_store_serial("perdure-7"), 7);
    fd_store_name(UINT32_MAX, name, sizeof name);
    assert_int_equal(fd_store_serial(name), UINT32_MAX);
}

/* ---- the difference ---- */

static struct fd_store_place place(int32_t fd, uint32_t serial, uint64_t inode)
{
    return (struct fd_store_place){.fd = fd, .serial = serial, .device = 1, .inode = inode};
}

static void a_file_keeps_its_serial_whatever_its_number(void **state)
{
    static struct fd_store_list present;
    static struct fd_store_list next;
    (void)state;
    present.count = 3;
    present.all[0] = place(4, 1, 100);
    present.all[1] = place(5, 2, 101);
    present.all[2] = place(6, 3, 102);
    next.count = 3;
    next.all[0] = place(4, 0, 100); /* stays */
    next.all[1] = place(5, 0, 103); /* the number has another file */
    next.all[2] = place(9, 0, 102); /* the file has another number */
    assert_false(fd_store_is_in_step(&present, &next));
    fd_store_carry_over(&present, &next);
    assert_int_equal(next.count, 4);
    assert_int_equal(next.all[0].serial, 1);
    assert_int_equal(next.all[1].serial, 0);
    assert_int_equal(next.all[2].serial, 3);
    assert_int_equal(next.all[3].serial, 2); /* to be removed */
    assert_int_equal(next.all[3].fd, -1);
}

static void what_is_not_stored_yet_or_still_to_be_removed_is_not_in_step(void **state)
{
    static struct fd_store_list present;
    static struct fd_store_list found;
    (void)state;
    present.count = found.count = 1;
    present.all[0] = place(4, 7, 100);
    found.all[0] = place(4, 0, 100);
    assert_true(fd_store_is_in_step(&present, &found));
    present.all[0].serial = 0;
    assert_false(fd_store_is_in_step(&present, &found));
    present.all[0].serial = 7;
    present.all[present.count++] = place(-1, 8, 101);
    assert_false(fd_store_is_in_step(&present, &found));
}

/* ---- the store ---- */

static void the_ledger_is_the_first_and_what_is_stored_is_not_sent_again(void **state)
{
    struct world *world = *state;
    struct supervisor *s = world->s;
    s->ledger->lock_fd = new_file();
    turn(world);
    assert_stored(world, s->ledger_fd, "perdure-1");
    assert_stored(world, s->ledger->lock_fd, "perdure-2");
    turn(world);
    assert_silent(world);
    close(s->ledger->lock_fd);
}

static void a_number_with_another_file_is_stored_anew_before_the_old_one_is_removed(void **state)
{
    struct world *world = *state;
    struct supervisor *s = world->s;
    int former = new_file();
    s->ledger->lock_fd = former;
    turn(world);
    assert_stored(world, s->ledger_fd, "perdure-1");
    assert_stored(world, former, "perdure-2");
    int other = new_file();
    dup2(other, s->ledger->lock_fd);
    turn(world);
    assert_stored(world, other, "perdure-3");
    assert_removed(world, "perdure-2");
    assert_silent(world);
    close(other);
    close(former);
}

static void a_file_with_two_numbers_is_stored_once_and_removed_with_the_last(void **state)
{
    struct world *world = *state;
    struct ledger *ledger = world->s->ledger;
    ledger->present.snapshot_fd = new_file();
    ledger->good.snapshot_fd = fcntl(ledger->present.snapshot_fd, F_DUPFD_CLOEXEC, 3);
    turn(world);
    assert_stored(world, world->s->ledger_fd, "perdure-1");
    assert_stored(world, ledger->good.snapshot_fd, "perdure-2");
    close_fd(&ledger->present.snapshot_fd);
    turn(world);
    assert_silent(world);
    close_fd(&ledger->good.snapshot_fd);
    turn(world);
    assert_removed(world, "perdure-2");
    assert_silent(world);
}

static void a_number_that_is_stored_at_once_takes_the_place_of_its_former_file(void **state)
{
    struct world *world = *state;
    struct worker *w = workers_take(&world->s->ledger->workers);
    w->control_fd = new_file();
    fd_store_add(world->s, w->control_fd); /* nothing is stored yet: the first turn stores it all */
    assert_silent(world);
    turn(world);
    assert_stored(world, world->s->ledger_fd, "perdure-1");
    assert_stored(world, w->control_fd, "perdure-2");
    int other = new_file();
    dup2(other, w->control_fd);
    fd_store_add(world->s, w->control_fd);
    assert_stored(world, other, "perdure-3");
    turn(world);
    assert_removed(world, "perdure-2");
    turn(world);
    assert_silent(world);
    close(other);
    close(w->control_fd);
}

/* It must not see them closed because we die before the turn is over. */
static void the_channels_of_a_process_are_stored_before_it_is_born(void **state)
{
    struct world *world = *state;
    struct worker *w = workers_take(&world->s->ledger->workers);
    int ends[2];
    world->s->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    world->s->spares.count = 0;
    turn(world);
    assert_stored(world, world->s->ledger_fd, "perdure-1");
    for (int i = 0; i < FD_STORE_SPARES; i++) {
        int fd;
        assert_string_not_equal(heard(world, &fd), "");
        close(fd);
    }
    worker_enter(w, WORKER_STARTING, clock_now().ms);
    worker_enter(w, WORKER_SERVING, clock_now().ms);
    worker_enter(w, WORKER_SUCCEEDING, clock_now().ms);
    assert_true(channels_open_next(world->s, w, ends));
    assert_true(fd_store_turn(world->s) != UINT64_MAX);
    assert_silent(world); /* spares were stored already, and nobody is woken before it is over */
    world->s->spares.count = 0;
    fd_store_add(world->s, w->next_control_fd);
    assert_silent(world);
    close(ends[0]);
    close(ends[1]);
    watch_close(world->s, &w->next_control_fd);
    watch_close(world->s, &w->next_keeper_fd);
    close(world->s->epoll_fd);
}

/* Read all that waits, each name once. Returns how many. */
static size_t read_all(struct world *world, bool seen[], size_t room)
{
    size_t count = 0;
    int fd = -1;
    for (const char *text = heard(world, &fd); text[0] != '\0'; text = heard(world, &fd)) {
        char name[32] = "";
        assert_int_equal(sscanf(text, "FDSTORE=1 FDNAME=%31s", name), 1);
        uint32_t serial = fd_store_serial(name);
        assert_in_range(serial, 1, room - 1);
        assert_false(seen[serial]);
        seen[serial] = true;
        count++;
        close(fd);
    }
    return count;
}

static void a_manager_that_falls_behind_gets_the_rest_later(void **state)
{
    enum { MANY = 60 };
    struct world *world = *state;
    struct listeners *listeners = &world->s->ledger->listeners;
    for (listeners->count = 0; listeners->count < MANY; listeners->count++) {
        listeners->all[listeners->count].fd = new_file();
    }
    bool seen[2 * MANY] = {false};
    size_t stored = 0;
    assert_true(fd_store_turn(world->s) != UINT64_MAX); /* it wants to look again soon */
    do {
        stored += read_all(world, seen, 2 * MANY);
    } while (fd_store_turn(world->s) != UINT64_MAX);
    stored += read_all(world, seen, 2 * MANY);
    assert_int_equal(stored, MANY + 1);
    for (size_t i = 0; i < MANY; i++) {
        close(listeners->all[i].fd);
    }
}

static void a_store_that_is_too_small_is_given_nothing(void **state)
{
    struct world *world = *state;
    struct ledger *ledger = world->s->ledger;
    ledger->lock_fd = new_file();
    turn(world);
    assert_stored(world, world->s->ledger_fd, "perdure-1");
    assert_stored(world, ledger->lock_fd, "perdure-2");
    setenv("FDSTORE", "1", 1);
    turn(world);
    assert_removed(world, "perdure-2");
    assert_removed(world, "perdure-1");
    turn(world);
    assert_silent(world);
    setenv("FDSTORE", "2", 1);
    turn(world);
    assert_stored(world, world->s->ledger_fd, "perdure-1");
    assert_stored(world, ledger->lock_fd, "perdure-3");
    close(ledger->lock_fd);
}

static void without_a_store_and_before_it_serves_nothing_is_sent(void **state)
{
    struct world *world = *state;
    world->s->phase = PHASE_STARTING;
    turn(world);
    world->s->phase = PHASE_RUNNING;
    unsetenv("FDSTORE");
    turn(world);
    assert_silent(world);
}

static void at_the_end_the_store_is_emptied(void **state)
{
    struct world *world = *state;
    struct ledger *ledger = world->s->ledger;
    ledger->lock_fd = new_file();
    turn(world);
    assert_stored(world, world->s->ledger_fd, "perdure-1");
    assert_stored(world, ledger->lock_fd, "perdure-2");
    fd_store_empty(ledger);
    assert_removed(world, "perdure-1");
    assert_removed(world, "perdure-2");
    assert_silent(world);
    close(ledger->lock_fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_of_ours_are_numbers_and_no_others_are),
        cmocka_unit_test(a_file_keeps_its_serial_whatever_its_number),
        cmocka_unit_test(what_is_not_stored_yet_or_still_to_be_removed_is_not_in_step),
        cmocka_unit_test_setup_teardown(the_ledger_is_the_first_and_what_is_stored_is_not_sent_again, prepare, tidy),
        cmocka_unit_test_setup_teardown(a_number_with_another_file_is_stored_anew_before_the_old_one_is_removed,
                                        prepare, tidy),
        cmocka_unit_test_setup_teardown(a_file_with_two_numbers_is_stored_once_and_removed_with_the_last, prepare,
                                        tidy),
        cmocka_unit_test_setup_teardown(a_number_that_is_stored_at_once_takes_the_place_of_its_former_file, prepare,
                                        tidy),
        cmocka_unit_test_setup_teardown(the_channels_of_a_process_are_stored_before_it_is_born, prepare, tidy),
        cmocka_unit_test_setup_teardown(a_manager_that_falls_behind_gets_the_rest_later, prepare, tidy),
        cmocka_unit_test_setup_teardown(a_store_that_is_too_small_is_given_nothing, prepare, tidy),
        cmocka_unit_test_setup_teardown(without_a_store_and_before_it_serves_nothing_is_sent, prepare, tidy),
        cmocka_unit_test_setup_teardown(at_the_end_the_store_is_emptied, prepare, tidy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
