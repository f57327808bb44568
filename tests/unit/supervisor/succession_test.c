/* succession_test.c — what follows which event in the life of a worker, without a single fork. */
#include "supervisor/succession.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct worker in_state(enum worker_state state)
{
    return (struct worker){.state = state, .cause = BIRTH_KILLED, .retire_cause = BIRTH_RELOAD, .heir = -1};
}

static struct succession_step decide(enum worker_state state, enum succession_event event,
                                     struct succession_facts facts)
{
    struct worker w = in_state(state);
    return succession_decide(&w, event, &facts);
}

static const struct succession_facts kept = {.keeper_holds = true, .death = {.signal = SIGKILL}};
static const struct succession_facts lost = {.keeper_holds = false, .death = {.signal = SIGKILL}};

static void a_dead_worker_is_succeeded_by_its_keeper(void **state)
{
    static const enum worker_state states[] = {WORKER_SERVING,  WORKER_RETIRING, WORKER_SHOT,
                                               WORKER_ADOPTING, WORKER_GIVING,   WORKER_STOPPING};
    (void)state;
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++) {
        struct succession_step step = decide(states[i], EVENT_DIED, kept);
        assert_int_equal(step.act, ACT_SUCCEED);
        assert_int_equal(step.delay_ms, 0);
    }
}

static void worker_and_keeper_dead_at_once_are_replaced_by_a_fresh_one(void **state)
{
    (void)state;
    assert_int_equal(decide(WORKER_SERVING, EVENT_DIED, lost).act, ACT_RENEW);
    assert_int_equal(decide(WORKER_ADOPTING, EVENT_DIED, lost).act, ACT_RENEW);
    assert_int_equal(decide(WORKER_STARTING, EVENT_DIED, kept).act, ACT_RENEW);
}

static void a_surplus_worker_that_has_nothing_left_to_give_is_not_replaced(void **state)
{
    static const enum worker_state states[] = {WORKER_SERVING, WORKER_SHOT, WORKER_ADOPTING};
    (void)state;
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++) {
        struct worker w = in_state(states[i]);
        w.heir = 0;
        assert_int_equal(succession_decide(&w, EVENT_DIED, &lost).act, ACT_END);
        assert_int_equal(succession_decide(&w, EVENT_DIED, &kept).act, ACT_SUCCEED);
    }
}

static void the_backoffs_delay_is_kept(void **state)
{
    struct succession_facts facts = kept;
    (void)state;
    facts.delay_ms = 640;
    assert_int_equal(decide(WORKER_SERVING, EVENT_DIED, facts).delay_ms, 640);
}

static void one_that_had_leave_to_go_is_not_succeeded(void **state)
{
    struct succession_facts facts = {.keeper_holds = true};
    (void)state;
    assert_int_equal(decide(WORKER_GIVING, EVENT_DIED, facts).act, ACT_END);
    assert_int_equal(decide(WORKER_STOPPING, EVENT_DIED, facts).act, ACT_END);
    assert_int_equal(decide(WORKER_STOPPING, EVENT_DIED, lost).act, ACT_END);
}

static void at_the_end_of_everything_nobody_is_succeeded(void **state)
{
    (void)state;
    for (unsigned one = 0; one < WORKER_STATES; one++) {
        for (unsigned event = 0; event < EVENTS; event++) {
            struct succession_facts facts = {.keeper_holds = true, .ending = true, .death = {.signal = SIGSEGV}};
            struct succession_step step = decide((enum worker_state)one, (enum succession_event)event, facts);
            bool forks = step.act == ACT_RENEW || (step.act == ACT_SUCCEED && event != EVENT_NOT_FORKED &&
                                                   event != EVENT_RETIRED && event != EVENT_KEEPER_STANDS);
            assert_false(forks);
        }
    }
}

static void only_one_on_its_way_can_stand(void **state)
{
    (void)state;
    for (unsigned one = 0; one < WORKER_STATES; one++) {
        bool on_its_way = one == WORKER_STARTING || one == WORKER_ADOPTING;
        assert_int_equal(decide((enum worker_state)one, EVENT_READY, kept).act, on_its_way ? ACT_STAND : ACT_NOTHING);
    }
}

static void a_running_workers_keeper_is_made_anew(void **state)
{
    (void)state;
    assert_int_equal(decide(WORKER_SERVING, EVENT_KEEPER_DIED, kept).act, ACT_MAKE_KEEPER);
    assert_int_equal(decide(WORKER_GIVING, EVENT_KEEPER_DIED, kept).act, ACT_MAKE_KEEPER);
    assert_int_equal(decide(WORKER_STOPPING, EVENT_KEEPER_DIED, kept).act, ACT_MAKE_KEEPER);
}

static void the_successor_makes_its_own_keeper_when_the_old_one_dies(void **state)
{
    (void)state;
    assert_int_equal(decide(WORKER_ADOPTING, EVENT_KEEPER_DIED, lost).act, ACT_NOTHING);
}

static void a_keeper_that_dies_after_it_forked_has_done_its_work(void **state)
{
    struct succession_facts facts = {.successor_holds = true};
    (void)state;
    assert_int_equal(decide(WORKER_SUCCEEDING, EVENT_KEEPER_DIED, facts).act, ACT_AWAIT);
    facts.successor_holds = false;
    assert_int_equal(decide(WORKER_SUCCEEDING, EVENT_KEEPER_DIED, facts).act, ACT_RENEW);
}

static void a_parked_worker_makes_its_successors_keeper(void **state)
{
    struct worker worker = {.state = WORKER_SUCCEEDING, .parked_pid = 7, .heir = -1};
    struct succession_facts facts = {0};
    (void)state;
    assert_int_equal(succession_decide(&worker, EVENT_KEEPER_DIED, &facts).act, ACT_MAKE_KEEPER);
    assert_int_equal(succession_decide(&worker, EVENT_KEEPER_STANDS, &facts).act, ACT_SUCCEED);
    facts.successor_holds = true;
    assert_int_equal(succession_decide(&worker, EVENT_KEEPER_STANDS, &facts).act, ACT_AWAIT);
}

static void only_who_was_told_to_can_retire(void **state)
{
    (void)state;
    assert_int_equal(decide(WORKER_RETIRING, EVENT_RETIRED, kept).act, ACT_SUCCEED);
    assert_int_equal(decide(WORKER_SHOT, EVENT_RETIRED, kept).act, ACT_NOTHING);
    assert_int_equal(decide(WORKER_SERVING, EVENT_RETIRED, kept).act, ACT_NOTHING);
}

static void a_keeper_that_cannot_fork_is_asked_again(void **state)
{
    struct succession_step step = decide(WORKER_SUCCEEDING, EVENT_NOT_FORKED, kept);
    (void)state;
    assert_int_equal(step.act, ACT_SUCCEED);
    assert_int_equal(step.delay_ms, SUCCESSION_FORK_RETRY_MS);
}

static void patience_ends(void **state)
{
    (void)state;
    assert_int_equal(decide(WORKER_STARTING, EVENT_PATIENCE, kept).act, ACT_KILL);
    assert_int_equal(decide(WORKER_ADOPTING, EVENT_PATIENCE, kept).act, ACT_KILL);
    assert_int_equal(decide(WORKER_RETIRING, EVENT_PATIENCE, kept).act, ACT_SHOOT);
    assert_int_equal(decide(WORKER_SUCCEEDING, EVENT_PATIENCE, kept).act, ACT_KILL_KEEPER);
    assert_int_equal(decide(WORKER_BACKING_OFF, EVENT_PATIENCE, kept).act, ACT_SUCCEED);
    assert_int_equal(decide(WORKER_BACKING_OFF, EVENT_PATIENCE, lost).act, ACT_RENEW);
    assert_int_equal(decide(WORKER_GIVING, EVENT_PATIENCE, kept).act, ACT_STOP);
    assert_int_equal(decide(WORKER_SERVING, EVENT_PATIENCE, kept).act, ACT_NOTHING);
}

static void only_one_that_runs_can_hang(void **state)
{
    (void)state;
    assert_int_equal(decide(WORKER_SERVING, EVENT_HUNG, kept).act, ACT_SHOOT);
    assert_int_equal(decide(WORKER_STOPPING, EVENT_HUNG, kept).act, ACT_SHOOT);
    assert_int_equal(decide(WORKER_SHOT, EVENT_HUNG, kept).act, ACT_NOTHING);
    assert_int_equal(decide(WORKER_ADOPTING, EVENT_HUNG, kept).act, ACT_NOTHING);
}

/* ---- why ---- */

static enum birth_cause cause(enum worker_state state, struct succession_death death)
{
    struct worker w = in_state(state);
    return succession_cause(&w, &death);
}

static void a_workers_own_signals_are_crashes(void **state)
{
    static const int own[] = {SIGSEGV, SIGBUS, SIGABRT, SIGILL, SIGFPE, SIGSYS, SIGTRAP};
    static const int others[] = {SIGKILL, SIGTERM, SIGHUP, SIGXCPU};
    (void)state;
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) {
        assert_int_equal(cause(WORKER_SERVING, (struct succession_death){.signal = own[i]}), BIRTH_CRASH);
        assert_int_equal(cause(WORKER_SERVING, (struct succession_death){.signal = own[i], .sent = true}),
                         BIRTH_KILLED);
    }
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        assert_int_equal(cause(WORKER_SERVING, (struct succession_death){.signal = others[i]}), BIRTH_KILLED);
    }
}

static void the_oom_killer_makes_a_crash(void **state)
{
    (void)state;
    assert_int_equal(cause(WORKER_SERVING, (struct succession_death){.signal = SIGKILL, .oom = true}), BIRTH_CRASH);
    assert_int_equal(cause(WORKER_SERVING, (struct succession_death){.signal = SIGTERM, .oom = true}), BIRTH_KILLED);
}

static void an_exit_that_nobody_asked_for_is_a_crash(void **state)
{
    (void)state;
    assert_int_equal(cause(WORKER_SERVING, (struct succession_death){.exit_code = 0}), BIRTH_CRASH);
    assert_int_equal(cause(WORKER_SERVING, (struct succession_death){.exit_code = 1}), BIRTH_CRASH);
}

static void retiring_well_has_the_cause_it_was_told(void **state)
{
    (void)state;
    assert_int_equal(cause(WORKER_RETIRING, (struct succession_death){.exit_code = 0}), BIRTH_RELOAD);
    assert_int_equal(cause(WORKER_RETIRING, (struct succession_death){.signal = SIGSEGV}), BIRTH_CRASH);
    assert_int_equal(cause(WORKER_RETIRING, (struct succession_death){.signal = SIGKILL}), BIRTH_KILLED);
}

static void one_that_was_shot_hung(void **state)
{
    (void)state;
    assert_int_equal(cause(WORKER_SHOT, (struct succession_death){.signal = SIGKILL}), BIRTH_HANG);
}

static void the_cause_is_that_of_the_last_one_that_served(void **state)
{
    (void)state;
    /* The predecessor was killed; its successor crashed while it was adopting: no request of a client is to blame. */
    assert_int_equal(cause(WORKER_ADOPTING, (struct succession_death){.signal = SIGSEGV}), BIRTH_KILLED);
    assert_int_equal(cause(WORKER_STARTING, (struct succession_death){.signal = SIGSEGV}), BIRTH_FRESH);
}

/* ---- blame ---- */

static enum backoff_death blame(enum worker_state state, uint32_t killed_late, struct succession_death death)
{
    struct worker w = in_state(state);
    w.killed_late = killed_late;
    return succession_blame(succession_cause(&w, &death), &w, &death);
}

static void blame_is_for_its_own_faults_only(void **state)
{
    const struct succession_death killed = {.signal = SIGKILL};
    const struct succession_death crashed = {.signal = SIGSEGV};
    const struct succession_death well = {.exit_code = 0};
    (void)state;
    assert_int_equal(blame(WORKER_SERVING, 0, killed), BACKOFF_KILL);
    assert_int_equal(blame(WORKER_SERVING, 0, crashed), BACKOFF_CRASH);
    assert_int_equal(blame(WORKER_SHOT, 0, killed), BACKOFF_CRASH);
    assert_int_equal(blame(WORKER_RETIRING, 0, well), BACKOFF_RETIRE);
    assert_int_equal(blame(WORKER_STOPPING, 0, well), BACKOFF_RETIRE);
    assert_int_equal(blame(WORKER_ADOPTING, 0, killed), BACKOFF_KILL);
    assert_int_equal(blame(WORKER_ADOPTING, 1, killed), BACKOFF_CRASH); /* we killed it, for it never got ready */
    assert_int_equal(blame(WORKER_STARTING, 0, crashed), BACKOFF_CRASH);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_dead_worker_is_succeeded_by_its_keeper),
        cmocka_unit_test(worker_and_keeper_dead_at_once_are_replaced_by_a_fresh_one),
        cmocka_unit_test(a_surplus_worker_that_has_nothing_left_to_give_is_not_replaced),
        cmocka_unit_test(the_backoffs_delay_is_kept),
        cmocka_unit_test(one_that_had_leave_to_go_is_not_succeeded),
        cmocka_unit_test(at_the_end_of_everything_nobody_is_succeeded),
        cmocka_unit_test(only_one_on_its_way_can_stand),
        cmocka_unit_test(a_running_workers_keeper_is_made_anew),
        cmocka_unit_test(the_successor_makes_its_own_keeper_when_the_old_one_dies),
        cmocka_unit_test(a_keeper_that_dies_after_it_forked_has_done_its_work),
        cmocka_unit_test(a_parked_worker_makes_its_successors_keeper),
        cmocka_unit_test(only_who_was_told_to_can_retire),
        cmocka_unit_test(a_keeper_that_cannot_fork_is_asked_again),
        cmocka_unit_test(patience_ends),
        cmocka_unit_test(only_one_that_runs_can_hang),
        cmocka_unit_test(a_workers_own_signals_are_crashes),
        cmocka_unit_test(the_oom_killer_makes_a_crash),
        cmocka_unit_test(an_exit_that_nobody_asked_for_is_a_crash),
        cmocka_unit_test(retiring_well_has_the_cause_it_was_told),
        cmocka_unit_test(one_that_was_shot_hung),
        cmocka_unit_test(the_cause_is_that_of_the_last_one_that_served),
        cmocka_unit_test(blame_is_for_its_own_faults_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
