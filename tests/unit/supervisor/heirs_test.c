/* heirs_test.c — fewer workers: who goes, and who takes their connections. */
#include "supervisor/heirs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct workers workers;
static struct heirs heirs;

static int four_that_serve(void **state)
{
    (void)state;
    memset(&heirs, 0, sizeof heirs);
    workers_clear(&workers);
    for (int i = 0; i < 4; i++) {
        workers_take(&workers)->state = WORKER_SERVING;
    }
    heirs.end = workers.count;
    return 0;
}

static uint32_t chosen(void)
{
    const struct worker *heir = heirs_choose(&workers, &heirs);
    return heir != NULL ? heir->slot : WORKERS_MAX;
}

static void the_highest_are_surplus(void **state)
{
    (void)state;
    assert_int_equal(heirs_end(&workers, 0), 4);
    assert_int_equal(heirs_end(&workers, 2), 2);
    workers.all[3].state = WORKER_GIVING; /* is on its way already */
    assert_int_equal(heirs_end(&workers, 2), 1);
}

static void one_that_serves_always_stays(void **state)
{
    (void)state;
    assert_int_equal(heirs_end(&workers, 9), 1);
    workers.all[0].state = WORKER_BACKING_OFF;
    assert_int_equal(heirs_end(&workers, 9), 2);
    for (int i = 0; i < 4; i++) {
        workers.all[i].state = WORKER_BACKING_OFF;
    }
    assert_int_equal(heirs_end(&workers, 9), 4); /* nobody serves: nobody can be told to give */
}

static void the_heir_is_the_one_with_the_fewest_connections(void **state)
{
    (void)state;
    heirs.load[0].connections = 30;
    heirs.load[1].connections = 20;
    heirs.load[2].connections = 20;
    heirs.load[3].connections = 25;
    assert_int_equal(chosen(), 1);
    heirs.load[2].connections = 19;
    assert_int_equal(chosen(), 2);
}

static void who_is_surplus_dead_or_a_giver_is_no_heir(void **state)
{
    (void)state;
    heirs.load[0].connections = 30;
    heirs.load[1].connections = 20;
    heirs.end = 2; /* workers 2 and 3 have no connection at all */
    assert_int_equal(chosen(), 1);
    workers.all[1].state = WORKER_ADOPTING;
    assert_int_equal(chosen(), 0);
    workers.all[0].heir = 1; /* it succeeded a giver, and is about to go on with that */
    assert_int_equal(chosen(), WORKERS_MAX);
}

static void who_is_of_another_generation_is_no_heir(void **state)
{
    (void)state;
    heirs.generation = 2;
    assert_int_equal(chosen(), WORKERS_MAX);
    workers.all[2].generation = 2;
    assert_int_equal(chosen(), 2);
    assert_false(heirs_has_room(&workers.all[1], &heirs));
}

static void several_givers_go_to_several_heirs(void **state)
{
    (void)state;
    heirs.end = 2;
    heirs.load[0].connections = 1000;
    assert_int_equal(chosen(), 1);
    heirs_add(&heirs, 1, 5);
    assert_int_equal(chosen(), 0);
    heirs_add(&heirs, 0, 5);
    assert_int_equal(chosen(), 1);
}

static void nobody_has_more_givers_than_it_can_watch(void **state)
{
    (void)state;
    heirs.end = 1;
    for (int i = 0; i < CELL_TAKING_MAX; i++) {
        assert_int_equal(chosen(), 0);
        heirs_add(&heirs, 0, 1);
    }
    assert_int_equal(chosen(), WORKERS_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_highest_are_surplus, four_that_serve),
        cmocka_unit_test_setup(one_that_serves_always_stays, four_that_serve),
        cmocka_unit_test_setup(the_heir_is_the_one_with_the_fewest_connections, four_that_serve),
        cmocka_unit_test_setup(who_is_surplus_dead_or_a_giver_is_no_heir, four_that_serve),
        cmocka_unit_test_setup(who_is_of_another_generation_is_no_heir, four_that_serve),
        cmocka_unit_test_setup(several_givers_go_to_several_heirs, four_that_serve),
        cmocka_unit_test_setup(nobody_has_more_givers_than_it_can_watch, four_that_serve),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
