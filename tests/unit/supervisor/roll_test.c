/* roll_test.c — one worker at a time, and back when a new edition cannot live. */
#include "supervisor/roll.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct workers workers;

static int three_that_serve(void **state)
{
    (void)state;
    workers_clear(&workers);
    workers.wanted = 3;
    for (int i = 0; i < 3; i++) {
        struct worker *w = workers_take(&workers);
        w->state = WORKER_SERVING;
        w->generation = 1;
    }
    return 0;
}

/* For an edition of that generation whose program lays cells out as all of them do. */
static enum roll_outlook outlook(uint32_t generation, uint32_t *slot)
{
    struct ledger_edition edition = {.generation = generation};
    return roll_outlook(&workers, &edition, slot);
}

static void workers_are_rolled_one_at_a_time_in_order(void **state)
{
    uint32_t slot = 99;
    (void)state;
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(outlook(2, &slot), ROLL_NEXT);
        assert_int_equal(slot, i);
        workers.all[i].state = WORKER_RETIRING;
        assert_int_equal(outlook(2, &slot), ROLL_WAIT);
        workers.all[i].generation = 2;
        workers.all[i].state = WORKER_ADOPTING;
        assert_int_equal(outlook(2, &slot), ROLL_WAIT);
        workers.all[i].state = WORKER_SERVING;
    }
    assert_int_equal(outlook(2, &slot), ROLL_DONE);
}

static void one_that_is_dead_for_a_moment_holds_the_roll(void **state)
{
    uint32_t slot;
    (void)state;
    workers.all[2].state = WORKER_BACKING_OFF;
    assert_int_equal(outlook(2, &slot), ROLL_WAIT);
}

static void those_that_hand_over_are_rolled_too(void **state)
{
    uint32_t slot = 99;
    (void)state;
    workers.all[0].state = WORKER_GIVING;
    workers.all[0].heir = 2;
    workers.all[1].generation = workers.all[2].generation = 2;
    assert_int_equal(outlook(2, &slot), ROLL_NEXT);
    assert_int_equal(slot, 0);
    workers.all[0].state = WORKER_SUCCEEDING;
    assert_int_equal(outlook(2, &slot), ROLL_WAIT);
    workers.all[0].generation = 2;
    workers.all[0].state = WORKER_SERVING; /* and is not told to give again yet */
    assert_int_equal(outlook(2, &slot), ROLL_DONE);
    workers.all[0].state = WORKER_GIVING;
    assert_int_equal(outlook(2, &slot), ROLL_DONE);
}

static void those_that_are_gone_but_for_their_keepers_are_not_rolled(void **state)
{
    uint32_t slot;
    (void)state;
    workers.all[0].state = WORKER_ENDING;
    workers.all[0].heir = 2;
    workers.all[1].generation = workers.all[2].generation = 2;
    assert_int_equal(outlook(2, &slot), ROLL_DONE);
}

/* ---- an edition whose program lays its cells out in another way ---- */

static enum roll_outlook outlook_of_other(void)
{
    struct ledger_edition edition = {.generation = 2, .layout = 7};
    uint32_t slot;
    return roll_outlook(&workers, &edition, &slot);
}

static struct worker *add_other(enum worker_state state)
{
    struct worker *w = workers_take(&workers);
    w->state = state;
    w->generation = 2;
    w->layout = 7;
    return w;
}

static void those_that_cannot_be_adopted_are_replaced_one_at_a_time(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(outlook_of_other(), ROLL_ADD);
        struct worker *fresh = add_other(WORKER_STARTING);
        assert_int_equal(outlook_of_other(), ROLL_WAIT);
        fresh->state = WORKER_SERVING;
        assert_int_equal(outlook_of_other(), ROLL_WAIT); /* until an old one is on its way out */
        workers.all[i].state = WORKER_GIVING;
        workers.all[i].heir = 3;
    }
    assert_int_equal(outlook_of_other(), ROLL_DONE);
    workers.all[0].state = WORKER_ADOPTING; /* it died while it gave */
    assert_int_equal(outlook_of_other(), ROLL_DONE);
}

static void one_that_is_not_wanted_any_more_needs_an_heir_all_the_same(void **state)
{
    (void)state;
    workers.wanted = 1;
    assert_int_equal(outlook_of_other(), ROLL_ADD);
    add_other(WORKER_SERVING);
    assert_int_equal(outlook_of_other(), ROLL_WAIT);
    for (int i = 0; i < 3; i++) {
        workers.all[i].state = WORKER_GIVING;
        workers.all[i].heir = 3;
    }
    assert_int_equal(outlook_of_other(), ROLL_DONE);
}

/* Once, the roll was over while the old ones were dead for a moment, and they stayed. */
static void old_ones_that_are_dead_for_a_moment_are_replaced_before_they_are_back(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        workers.all[i].state = WORKER_SUCCEEDING;
    }
    for (int i = 0; i < 3; i++) {
        assert_int_equal(outlook_of_other(), ROLL_ADD);
        add_other(WORKER_SERVING);
    }
    assert_int_equal(outlook_of_other(), ROLL_DONE);
    workers.all[1].state = WORKER_SERVING;
    assert_int_equal(outlook_of_other(), ROLL_WAIT);
}

static void back_means_to_the_generation_before(void **state)
{
    uint32_t slot;
    (void)state;
    workers.all[1].generation = 2;
    assert_int_equal(outlook(1, &slot), ROLL_NEXT);
    assert_int_equal(slot, 1);
}

static void a_crash_before_ready_is_hopeless_at_once(void **state)
{
    uint32_t crashes = 0;
    (void)state;
    assert_true(roll_is_hopeless(&crashes, BACKOFF_CRASH, -1, 0));
}

static void young_crashes_are_hopeless_when_there_are_many(void **state)
{
    uint32_t crashes = 0;
    (void)state;
    for (int i = 1; i < ROLL_CRASHES_MAX; i++) {
        assert_false(roll_is_hopeless(&crashes, BACKOFF_CRASH, 100, 0));
    }
    assert_true(roll_is_hopeless(&crashes, BACKOFF_CRASH, 100, 0));
}

static void kills_and_old_age_are_no_argument_against_an_edition(void **state)
{
    uint32_t crashes = 0;
    (void)state;
    for (int i = 0; i < 100; i++) {
        assert_false(roll_is_hopeless(&crashes, BACKOFF_KILL, -1, 0));
        assert_false(roll_is_hopeless(&crashes, BACKOFF_KILL, 5, 0));
        assert_false(roll_is_hopeless(&crashes, BACKOFF_KILL, 5, BACKOFF_FREE_KILLS));
        assert_false(roll_is_hopeless(&crashes, BACKOFF_KILL, -1, BACKOFF_FREE_KILLS - 1));
        assert_true(roll_is_hopeless(&crashes, BACKOFF_KILL, -1, BACKOFF_FREE_KILLS)); /* nobody ever gets ready */
        assert_false(roll_is_hopeless(&crashes, BACKOFF_RETIRE, 5, 0));
        assert_false(roll_is_hopeless(&crashes, BACKOFF_CRASH, ROLL_TRIAL_MS, 0));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(workers_are_rolled_one_at_a_time_in_order, three_that_serve),
        cmocka_unit_test_setup(one_that_is_dead_for_a_moment_holds_the_roll, three_that_serve),
        cmocka_unit_test_setup(those_that_hand_over_are_rolled_too, three_that_serve),
        cmocka_unit_test_setup(those_that_are_gone_but_for_their_keepers_are_not_rolled, three_that_serve),
        cmocka_unit_test_setup(those_that_cannot_be_adopted_are_replaced_one_at_a_time, three_that_serve),
        cmocka_unit_test_setup(one_that_is_not_wanted_any_more_needs_an_heir_all_the_same, three_that_serve),
        cmocka_unit_test_setup(old_ones_that_are_dead_for_a_moment_are_replaced_before_they_are_back, three_that_serve),
        cmocka_unit_test_setup(back_means_to_the_generation_before, three_that_serve),
        cmocka_unit_test(a_crash_before_ready_is_hopeless_at_once),
        cmocka_unit_test(young_crashes_are_hopeless_when_there_are_many),
        cmocka_unit_test(kills_and_old_age_are_no_argument_against_an_edition),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
