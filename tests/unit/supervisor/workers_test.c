/* workers_test.c — the table of workers: every transition is known, slots are found and given back. */
#include "supervisor/workers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct workers workers;

static int empty_table(void **state)
{
    (void)state;
    memset(&workers, 0xA5, sizeof workers);
    workers_clear(&workers);
    return 0;
}

static void an_empty_table_has_no_descriptor_and_no_pid(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < WORKERS_MAX; i++) {
        const struct worker *w = &workers.all[i];
        assert_int_equal(w->slot, i);
        assert_int_equal(w->state, WORKER_EMPTY);
        assert_int_equal(w->pid, 0);
        assert_int_equal(w->control_fd, -1);
        assert_int_equal(w->next_keeper_fd, -1);
        assert_int_equal(w->cell_fd, -1);
        assert_int_equal(w->heir, -1);
        assert_true(worker_is_alone(w));
    }
}

static void every_state_has_a_name_a_way_in_and_a_way_out(void **state)
{
    (void)state;
    for (unsigned one = 0; one < WORKER_STATES; one++) {
        bool in = false;
        bool out = false;
        assert_non_null(worker_state_name[one]);
        for (unsigned other = 0; other < WORKER_STATES; other++) {
            in = in || worker_may_enter((enum worker_state)other, (enum worker_state)one);
            out = out || worker_may_enter((enum worker_state)one, (enum worker_state)other);
        }
        assert_true(in);
        assert_true(out);
    }
}

static void nobody_serves_without_having_been_on_its_way(void **state)
{
    (void)state;
    for (unsigned from = 0; from < WORKER_STATES; from++) {
        bool on_its_way = from == WORKER_STARTING || from == WORKER_ADOPTING;
        bool was_not_told = from == WORKER_RETIRING;
        assert_int_equal(worker_may_enter((enum worker_state)from, WORKER_SERVING), on_its_way || was_not_told);
    }
}

static void a_slot_is_emptied_only_after_its_keepers_are_gone(void **state)
{
    (void)state;
    for (unsigned from = 0; from < WORKER_STATES; from++) {
        assert_int_equal(worker_may_enter((enum worker_state)from, WORKER_EMPTY), from == WORKER_ENDING);
    }
}

static void a_new_state_ends_the_patience_with_the_old_one(void **state)
{
    struct worker *w = workers_take(&workers);
    (void)state;
    w->deadline_ms = 5;
    worker_enter(w, WORKER_STARTING, 42);
    assert_int_equal(w->state, WORKER_STARTING);
    assert_int_equal(w->entered_ms, 42);
    assert_int_equal(w->deadline_ms, 0);
}

static void a_transition_that_cannot_be_is_made_all_the_same(void **state)
{
    struct worker *w = workers_take(&workers);
    (void)state;
    worker_enter(w, WORKER_SERVING, 1);
    assert_int_equal(w->state, WORKER_SERVING);
}

static void taking_gives_the_lowest_empty_slot_until_the_table_is_full(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < WORKERS_MAX; i++) {
        struct worker *w = workers_take(&workers);
        assert_int_equal(w->slot, i);
        w->state = WORKER_SERVING;
    }
    assert_null(workers_take(&workers));
    workers.all[7].state = WORKER_EMPTY;
    assert_int_equal(workers_take(&workers)->slot, 7);
}

static void trimming_leaves_holes_but_no_empty_end(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        workers_take(&workers)->state = WORKER_SERVING;
    }
    worker_clear(&workers.all[1]);
    workers_trim(&workers);
    assert_int_equal(workers.count, 4);
    worker_clear(&workers.all[3]);
    worker_clear(&workers.all[2]);
    workers_trim(&workers);
    assert_int_equal(workers.count, 1);
}

static void a_pid_is_found_in_every_role(void **state)
{
    enum worker_role role;
    (void)state;
    workers_take(&workers)->state = WORKER_SERVING;
    struct worker *w = workers_take(&workers);
    w->state = WORKER_SERVING;
    w->pid = 11;
    w->keeper_pid = 12;
    w->next_keeper_pid = 13;
    w->leaving[3].pid = 14;
    static const enum worker_role expected[] = {ROLE_WORKER, ROLE_KEEPER, ROLE_NEXT_KEEPER, ROLE_LEAVING};
    for (int i = 0; i < 4; i++) {
        assert_ptr_equal(workers_find(&workers, 11 + i, &role), w);
        assert_int_equal(role, expected[i]);
    }
    assert_null(workers_find(&workers, 15, &role));
    assert_int_equal(role, ROLE_NOBODY);
    assert_false(worker_is_alone(w));
}

static void no_pid_is_nobodys(void **state)
{
    enum worker_role role;
    (void)state;
    workers_take(&workers)->state = WORKER_SERVING;
    assert_null(workers_find(&workers, 0, &role));
    assert_null(workers_find(&workers, -1, &role));
}

static void givers_and_those_that_stop_are_not_active(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++) {
        workers_take(&workers)->state = WORKER_SERVING;
    }
    workers.all[1].state = WORKER_GIVING;
    workers.all[2].heir = 0; /* a giver's successor */
    workers.all[3].state = WORKER_STOPPING;
    workers.all[4].state = WORKER_BACKING_OFF;
    assert_int_equal(workers_active(&workers), 2);
    assert_int_equal(workers_in(&workers, WORKER_SERVING), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(an_empty_table_has_no_descriptor_and_no_pid, empty_table),
        cmocka_unit_test_setup(every_state_has_a_name_a_way_in_and_a_way_out, empty_table),
        cmocka_unit_test_setup(nobody_serves_without_having_been_on_its_way, empty_table),
        cmocka_unit_test_setup(a_slot_is_emptied_only_after_its_keepers_are_gone, empty_table),
        cmocka_unit_test_setup(a_new_state_ends_the_patience_with_the_old_one, empty_table),
        cmocka_unit_test_setup(a_transition_that_cannot_be_is_made_all_the_same, empty_table),
        cmocka_unit_test_setup(taking_gives_the_lowest_empty_slot_until_the_table_is_full, empty_table),
        cmocka_unit_test_setup(trimming_leaves_holes_but_no_empty_end, empty_table),
        cmocka_unit_test_setup(a_pid_is_found_in_every_role, empty_table),
        cmocka_unit_test_setup(no_pid_is_nobodys, empty_table),
        cmocka_unit_test_setup(givers_and_those_that_stop_are_not_active, empty_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
