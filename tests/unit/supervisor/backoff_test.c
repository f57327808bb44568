/* backoff_test.c — a worker that cannot live is given longer and longer rests; a storm of kills delays nothing. */
#include "supervisor/backoff.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void the_first_crash_is_succeeded_at_once(void **state)
{
    struct backoff backoff = {0};
    (void)state;
    assert_int_equal(backoff_after(&backoff, BACKOFF_CRASH, 5), 0);
}

static void each_early_crash_doubles_the_delay_up_to_the_cap(void **state)
{
    static const uint32_t expected[] = {0, 10, 20, 40, 80, 160, 320, 640, 1280, 2560, 5000, 5000, 5000};
    struct backoff backoff = {0};
    (void)state;
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        assert_int_equal(backoff_after(&backoff, BACKOFF_CRASH, -1), expected[i]);
    }
}

static void a_crash_after_a_second_of_life_is_succeeded_at_once(void **state)
{
    struct backoff backoff = {0};
    (void)state;
    for (int i = 0; i < 100; i++) {
        assert_int_equal(backoff_after(&backoff, BACKOFF_CRASH, BACKOFF_SHORT_LIFE_MS), 0);
    }
    assert_int_equal(backoff_after(&backoff, BACKOFF_CRASH, 0), 10);
}

static void a_long_life_makes_all_forgiven(void **state)
{
    struct backoff backoff = {0};
    (void)state;
    for (int i = 0; i < 8; i++) {
        backoff_after(&backoff, BACKOFF_CRASH, 0);
    }
    assert_int_equal(backoff_after(&backoff, BACKOFF_CRASH, BACKOFF_LONG_LIFE_MS), 0);
    assert_int_equal(backoff_after(&backoff, BACKOFF_CRASH, 0), 10);
}

static void a_storm_of_kills_of_ready_workers_never_delays(void **state)
{
    struct backoff backoff = {0};
    (void)state;
    for (int i = 0; i < 10000; i++) {
        assert_int_equal(backoff_after(&backoff, BACKOFF_KILL, i % 50), 0);
    }
}

static void kills_before_ready_delay_only_after_many_in_a_row(void **state)
{
    struct backoff backoff = {0};
    (void)state;
    for (int i = 0; i < BACKOFF_FREE_KILLS; i++) {
        assert_int_equal(backoff_after(&backoff, BACKOFF_KILL, -1), 0);
    }
    assert_int_equal(backoff_after(&backoff, BACKOFF_KILL, -1), 10);
    assert_int_equal(backoff_after(&backoff, BACKOFF_KILL, -1), 20);
}

static void one_that_got_ready_in_between_begins_the_count_of_kills_anew(void **state)
{
    struct backoff backoff = {0};
    (void)state;
    for (int i = 0; i < 100; i++) {
        assert_int_equal(backoff_after(&backoff, BACKOFF_KILL, i % BACKOFF_FREE_KILLS == 0 ? 0 : -1), 0);
    }
}

static void retiring_on_order_is_no_crash_and_forgives(void **state)
{
    struct backoff backoff = {.crashes = 7, .delay_ms = 640};
    (void)state;
    assert_int_equal(backoff_after(&backoff, BACKOFF_RETIRE, 0), 0);
    assert_int_equal(backoff_after(&backoff, BACKOFF_CRASH, 0), 0);
}

static void counters_at_their_end_do_not_wrap(void **state)
{
    struct backoff backoff = {.crashes = UINT32_MAX, .kills = UINT32_MAX, .delay_ms = BACKOFF_LONGEST_MS};
    (void)state;
    assert_int_equal(backoff_after(&backoff, BACKOFF_CRASH, 0), BACKOFF_LONGEST_MS);
    assert_int_equal(backoff_after(&backoff, BACKOFF_KILL, -1), BACKOFF_LONGEST_MS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_crash_is_succeeded_at_once),
        cmocka_unit_test(each_early_crash_doubles_the_delay_up_to_the_cap),
        cmocka_unit_test(a_crash_after_a_second_of_life_is_succeeded_at_once),
        cmocka_unit_test(a_long_life_makes_all_forgiven),
        cmocka_unit_test(a_storm_of_kills_of_ready_workers_never_delays),
        cmocka_unit_test(kills_before_ready_delay_only_after_many_in_a_row),
        cmocka_unit_test(one_that_got_ready_in_between_begins_the_count_of_kills_anew),
        cmocka_unit_test(retiring_on_order_is_no_crash_and_forgives),
        cmocka_unit_test(counters_at_their_end_do_not_wrap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
