/* ledger_mend_test.c — whatever is scribbled over a ledger, what is read from it afterwards is within its bounds, and a
 * ledger that adds up is left as it is. */
#include "tests/unit/supervisor/ledger_life.h"

#include "supervisor/inherit/log.h"
#include "supervisor/ledger_fds.h"

enum { ROUNDS = 4000 };

/* ---- the tests ---- */

static void one_that_adds_up_is_left_as_it_is(void **state)
{
    int fd;
    struct ledger *ledger = make_ledger(&fd);
    struct ledger *before = malloc(sizeof *before);
    (void)state;
    assert_non_null(before);
    *before = *ledger;
    assert_int_equal(mend_ledger(ledger), 0);
    assert_int_equal(ledger_check_fds(ledger, &fd, 1), 0);
    assert_memory_equal(ledger, before, sizeof *before);
    free(before);
    unmake_ledger(ledger, fd);
}

static void an_empty_one_is_left_as_it_is(void **state)
{
    int fd;
    struct ledger *ledger = ledger_create(&fd);
    (void)state;
    ledger->present.generation = ledger->generation = ledger->workers.wanted = 1;
    assert_int_equal(mend_ledger(ledger), 0);
    munmap(ledger, sizeof *ledger);
    close(fd);
}

static uint32_t chance(uint32_t below)
{
    return (uint32_t)random() % below;
}

/* Numbers that faults are made of, and any. */
static uint32_t nasty(void)
{
    static const uint32_t some[] = {0,         1, 2, 3, 7, 64, 1023, 1024, 1025, 65536, INT32_MAX, (uint32_t)INT32_MIN,
                                    UINT32_MAX};
    return chance(3) != 0 ? some[chance(sizeof some / sizeof some[0])] : (uint32_t)random() * 3;
}

static void scribble(struct ledger *ledger)
{
    const size_t head = offsetof(struct ledger, supervisor_pid);
    /* Half of all hit what is in use of the table. */
    size_t at = chance(2) != 0 ? offsetof(struct ledger, workers) + chance((SLOTS + 1) * sizeof(struct worker))
                               : head + chance((uint32_t)(sizeof *ledger - head));
    size_t words = chance(20) == 0 ? chance(4096) : 1 + chance(3);
    for (at = at / 4 * 4; words > 0 && at + 4 <= sizeof *ledger; words--, at += 4) {
        uint32_t value = nasty();
        memcpy((char *)ledger + at, &value, sizeof value);
    }
}

static void whatever_is_scribbled_over_it_stays_within_its_bounds(void **state)
{
    int fd;
    unsigned mended = 0;
    struct ledger *ledger = make_ledger(&fd);
    struct ledger *whole = malloc(sizeof *whole);
    (void)state;
    assert_non_null(whole);
    *whole = *ledger;
    srandom(11);
    for (int round = 0; round < ROUNDS; round++) {
        for (uint32_t i = chance(4) + 1; i > 0; i--) {
            scribble(ledger);
        }
        struct ledger *adopted = ledger_adopt(fd);
        assert_non_null(adopted);
        mended += mend_ledger(adopted);
        check_bounds(adopted);
        ledger_check_fds(adopted, &fd, 1);
        mend_ledger(adopted);
        assert_int_equal(mend_ledger(adopted), 0); /* it adds up now */
        check_bounds(adopted);
        read_all(adopted);
        munmap(adopted, sizeof *adopted);
        *ledger = *whole;
    }
    assert_true(mended > ROUNDS / 4);
    free(whole);
    unmake_ledger(ledger, fd);
}

static void a_state_that_contradicts_a_serving_worker_is_serving(void **state)
{
    static const uint32_t wrong[] = {WORKER_EMPTY,  WORKER_STARTING,    WORKER_SUCCEEDING, WORKER_ADOPTING,
                                     WORKER_GIVING, WORKER_BACKING_OFF, WORKER_STOPPING,   WORKER_ENDING,
                                     WORKER_STATES, UINT32_MAX};
    int fd;
    struct ledger *ledger = make_ledger(&fd);
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        ledger->workers.all[1].state = wrong[i];
        assert_int_equal(mend_ledger(ledger), 1);
        assert_int_equal(ledger->workers.all[1].state, WORKER_SERVING);
    }
    unmake_ledger(ledger, fd);
}

static void counts_are_counted_anew(void **state)
{
    static const uint32_t wrong[] = {0, 1, WORKERS_MAX + 1, UINT32_MAX};
    int fd;
    struct ledger *ledger = make_ledger(&fd);
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        ledger->workers.count = wrong[i];
        ledger->listeners.count = wrong[i] == 1 ? 2 : wrong[i];
        assert_int_equal(mend_ledger(ledger), 2);
        assert_int_equal(ledger->workers.count, SLOTS);
        assert_int_equal(ledger->listeners.count, 1);
    }
    unmake_ledger(ledger, fd);
}

/* 0 is no generation, and comes behind the highest number. */
static void generations_never_run_out(void **state)
{
    int fd;
    struct ledger *ledger = make_ledger(&fd);
    (void)state;
    ledger->good.generation = UINT32_MAX;
    ledger->present.generation = 0;
    mend_ledger(ledger);
    assert_int_equal(ledger->good.generation, 0);
    assert_int_equal(ledger->present.generation, 1);
    ledger->present.generation = ledger->generation = UINT32_MAX;
    mend_ledger(ledger);
    assert_int_equal(ledger->present.generation, 1);
    assert_int_equal(ledger->generation, 1);
    unmake_ledger(ledger, fd);
}

static void a_roll_to_nowhere_is_none(void **state)
{
    int fd;
    struct ledger *ledger = make_ledger(&fd);
    (void)state;
    ledger->rolling = ROLLING_ON; /* its end would close every listener */
    assert_int_equal(mend_ledger(ledger), 1);
    assert_int_equal(ledger->rolling, ROLLING_NOT);
    unmake_ledger(ledger, fd);
}

static void a_descriptor_that_is_something_else_is_dropped_and_stays_open(void **state)
{
    int fd;
    struct ledger *ledger = make_ledger(&fd);
    struct worker *w = &ledger->workers.all[0];
    int32_t cell_fd = w->cell_fd;
    int32_t control_fd = w->control_fd;
    (void)state;
    w->control_fd = ledger->listeners.all[0].fd;
    w->cell_fd = ledger->present.snapshot_fd;
    ledger->access_log_fd = ledger->keeper_fd;
    ledger->ready_fd = ledger->lock_fd; /* it would have been written to, and closed */
    assert_int_equal(ledger_check_fds(ledger, &fd, 1), 4);
    assert_int_equal(ledger->ready_fd, -1);
    assert_int_equal(w->control_fd, -1);
    assert_int_equal(w->cell_fd, -1);
    assert_int_equal(ledger->access_log_fd, -1);
    assert_true(fcntl(ledger->listeners.all[0].fd, F_GETFD) >= 0);
    assert_true(fcntl(ledger->present.snapshot_fd, F_GETFD) >= 0);
    w->control_fd = control_fd;
    w->cell_fd = cell_fd;
    unmake_ledger(ledger, fd);
}

static void a_descriptor_in_two_places_is_neithers(void **state)
{
    int fd;
    struct ledger *ledger = make_ledger(&fd);
    struct worker *all = ledger->workers.all;
    int32_t one = all[0].control_fd;
    int32_t other = all[1].control_fd;
    (void)state;
    all[0].control_fd = other;
    all[2].next_control_fd = all[2].control_fd; /* one worker's may be on its way from here to there */
    assert_int_equal(ledger_check_fds(ledger, &fd, 1), 2);
    assert_int_equal(all[0].control_fd, -1);
    assert_int_equal(all[1].control_fd, -1);
    assert_true(all[2].control_fd >= 0);
    all[2].next_control_fd = -1;
    all[0].control_fd = one;
    all[1].control_fd = other;
    unmake_ledger(ledger, fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_that_adds_up_is_left_as_it_is),
        cmocka_unit_test(an_empty_one_is_left_as_it_is),
        cmocka_unit_test(whatever_is_scribbled_over_it_stays_within_its_bounds),
        cmocka_unit_test(a_state_that_contradicts_a_serving_worker_is_serving),
        cmocka_unit_test(counts_are_counted_anew),
        cmocka_unit_test(generations_never_run_out),
        cmocka_unit_test(a_roll_to_nowhere_is_none),
        cmocka_unit_test(a_descriptor_that_is_something_else_is_dropped_and_stays_open),
        cmocka_unit_test(a_descriptor_in_two_places_is_neithers),
    };
    log_threshold(LOG_LEVEL_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
