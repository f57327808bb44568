/* watchdog_test.c — the manager's watchdog is fed at half its interval, and not for a worker that stays silent. */
#include "supervisor/watchdog.h"

#include "supervisor/notify.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

enum { HANG_TIMEOUT_MS = 1000 };

/* A supervisor of two workers, as far as the watchdog looks, and the manager that hears it. */
struct fixture {
    struct supervisor supervisor;
    struct ledger ledger;
    struct settings settings;
    struct cell_header headers[2];
    int manager;
};

static void listen_as_manager(struct fixture *f)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char *name = address.sun_path + 1; /* abstract */
    int length = snprintf(name, sizeof address.sun_path - 1, "perdure-watchdog-%d", (int)getpid());
    char variable[sizeof address.sun_path + 1];
    snprintf(variable, sizeof variable, "@%s", name);
    f->manager = socket(AF_UNIX, SOCK_DGRAM, 0);
    socklen_t bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length);
    assert_int_equal(bind(f->manager, (const struct sockaddr *)&address, bytes), 0);
    setenv("NOTIFY_SOCKET", variable, 1);
    setenv("WATCHDOG_USEC", "30000000", 1);
    unsetenv("WATCHDOG_PID");
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    f->supervisor.ledger = &f->ledger;
    f->supervisor.settings = &f->settings;
    f->settings.hang_timeout_ms = HANG_TIMEOUT_MS;
    f->ledger.workers.count = 2;
    for (uint32_t i = 0; i < 2; i++) {
        f->ledger.workers.all[i] = (struct worker){.slot = i, .pid = 4711, .state = WORKER_SERVING};
        f->headers[i].beat_ms = clock_now().ms;
        f->supervisor.cells[i].header = &f->headers[i];
    }
    listen_as_manager(f);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    close(f->manager);
    free(f);
    return 0;
}

static bool is_fed(const struct fixture *f)
{
    char text[64];
    ssize_t got = recv(f->manager, text, sizeof text, MSG_DONTWAIT);
    return got == 10 && memcmp(text, "WATCHDOG=1", 10) == 0;
}

static void make_silent_since(struct fixture *f, uint64_t ms)
{
    f->headers[1].beat_ms = clock_now().ms - ms;
}

static void make_silent(struct fixture *f)
{
    make_silent_since(f, HANG_TIMEOUT_MS + 2001);
}

/* The next turn is half an interval later. */
static void let_time_pass(struct fixture *f)
{
    f->supervisor.watchdog_told_ms -= 15000;
}

static void it_is_fed_at_half_its_interval(void **state)
{
    struct fixture *f = *state;
    uint64_t before = clock_now().ms;
    uint64_t next = watchdog_turn(&f->supervisor);
    assert_true(is_fed(f));
    assert_in_range(next, before + 15000, clock_now().ms + 15000);
    assert_int_equal(watchdog_turn(&f->supervisor), next);
    assert_false(is_fed(f));
    let_time_pass(f);
    watchdog_turn(&f->supervisor);
    assert_true(is_fed(f));
}

static void a_worker_that_stays_silent_starves_it(void **state)
{
    struct fixture *f = *state;
    make_silent(f);
    assert_true(watchdog_turn(&f->supervisor) == UINT64_MAX);
    assert_false(is_fed(f));
    f->ledger.workers.all[1].state = WORKER_SHOT; /* killed, and not gone: then it cannot be killed */
    watchdog_turn(&f->supervisor);
    assert_false(is_fed(f));
}

static void a_worker_that_is_just_found_to_hang_starves_nobody(void **state)
{
    struct fixture *f = *state;
    make_silent_since(f, HANG_TIMEOUT_MS + 1000);
    f->ledger.workers.all[1].state = WORKER_SHOT;
    watchdog_turn(&f->supervisor);
    assert_true(is_fed(f));
}

static void it_is_fed_as_soon_as_all_make_their_turns_again(void **state)
{
    struct fixture *f = *state;
    make_silent(f);
    watchdog_turn(&f->supervisor);
    f->headers[1].beat_ms = clock_now().ms;
    watchdog_turn(&f->supervisor);
    assert_true(is_fed(f));
}

static void a_worker_that_gets_ready_starves_nobody(void **state)
{
    static const enum worker_state ready_timeout_is_for[] = {WORKER_STARTING, WORKER_ADOPTING};
    struct fixture *f = *state;
    make_silent(f);
    for (size_t i = 0; i < 2; i++) {
        f->ledger.workers.all[1].state = ready_timeout_is_for[i];
        watchdog_turn(&f->supervisor);
        assert_true(is_fed(f));
        let_time_pass(f);
    }
}

static void a_manager_that_did_not_ask_is_told_nothing(void **state)
{
    struct fixture *f = *state;
    unsetenv("WATCHDOG_USEC");
    assert_true(watchdog_turn(&f->supervisor) == UINT64_MAX);
    assert_false(is_fed(f));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(it_is_fed_at_half_its_interval, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_worker_that_stays_silent_starves_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_worker_that_is_just_found_to_hang_starves_nobody, set_up, tear_down),
        cmocka_unit_test_setup_teardown(it_is_fed_as_soon_as_all_make_their_turns_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_worker_that_gets_ready_starves_nobody, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_manager_that_did_not_ask_is_told_nothing, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
