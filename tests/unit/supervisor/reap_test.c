/* reap_test.c — a child's end is seen before it is reaped, and no other pid is ours. */
#include "supervisor/reap.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* A child that waits for a signal. */
static pid_t child(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        pause();
        _exit(0);
    }
    return pid;
}

static void await_end(pid_t pid)
{
    siginfo_t info;
    while (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) != 0 && errno == EINTR) {
    }
}

static void a_dead_child_is_ours_until_it_is_reaped(void **state)
{
    int status;
    pid_t pid = child();
    (void)state;
    assert_true(reap_is_ours(pid));
    assert_int_equal(reap_peek(&status), 0);
    kill(pid, SIGTERM);
    await_end(pid);
    assert_int_equal(reap_peek(&status), pid);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGTERM);
    assert_true(reap_is_ours(pid));
    reap(pid);
    assert_false(reap_is_ours(pid));
    assert_int_equal(reap_peek(&status), -1);
}

/* A process that is our grandchild, and so not ours to wait for; NAME is what /proc shows. Ends when *ALIVE is closed.
 */
static pid_t grandchild(const char *name, int *alive)
{
    int ends[2];
    int numbers[2];
    pid_t pid;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(pipe(numbers), 0);
    pid_t between = fork();
    if (between == 0) {
        pid = fork();
        if (pid == 0) {
            char byte;
            close(ends[1]);
            prctl(PR_SET_NAME, name);
            pid = getpid();
            _exit(write(numbers[1], &pid, sizeof pid) == sizeof pid && read(ends[0], &byte, 1) == 0 ? 0 : 1);
        }
        _exit(0);
    }
    assert_int_equal(waitpid(between, NULL, 0), between);
    assert_int_equal(read(numbers[0], &pid, sizeof pid), sizeof pid);
    close(numbers[0]);
    close(numbers[1]);
    close(ends[0]);
    *alive = ends[1];
    return pid;
}

static void an_orphan_of_this_program_is_taken_on_and_its_end_seen(void **state)
{
    int status = 0;
    int alive;
    pid_t pid = grandchild("perdure-worker", &alive);
    (void)state;
    assert_false(reap_is_ours(pid)); /* we have not taken over from anybody */
    struct pollfd orphans = {.fd = reap_orphans(), .events = POLLIN};
    assert_true(reap_is_ours(pid));
    assert_int_equal(reap_peek(&status), 0);
    close(alive);
    assert_int_equal(poll(&orphans, 1, 10000), 1);
    assert_int_equal(reap_peek(&status), pid);
    assert_int_equal(status, REAP_UNKNOWN);
    reap(pid);
    assert_int_equal(reap_peek(&status), -1);
    assert_false(reap_is_ours(pid));
}

static void a_foreign_process_is_no_orphan_of_ours(void **state)
{
    int alive;
    pid_t pid = grandchild("sshd", &alive);
    (void)state;
    assert_true(reap_orphans() >= 0);
    assert_false(reap_is_ours(pid));
    reap_signal(pid, SIGKILL);
    assert_int_equal(kill(pid, 0), 0);
    close(alive);
}

static void no_other_process_is_ours(void **state)
{
    (void)state;
    assert_false(reap_is_ours(0));
    assert_false(reap_is_ours(-1));
    assert_false(reap_is_ours(1));
    assert_false(reap_is_ours(getpid()));
}

static void a_status_is_read_as_signal_or_exit(void **state)
{
    uint64_t oom_kills = UINT64_MAX;
    (void)state;
    struct succession_death death = reap_death(SIGSEGV, &oom_kills);
    assert_int_equal(death.signal, SIGSEGV);
    assert_false(death.oom);
    death = reap_death(3 << 8, &oom_kills);
    assert_int_equal(death.signal, 0);
    assert_int_equal(death.exit_code, 3);
}

static void a_kill_counts_as_oom_only_if_the_kernel_counted_one_more(void **state)
{
    uint64_t oom_kills = reap_oom_kills();
    (void)state;
    assert_false(reap_death(SIGKILL, &oom_kills).oom);
    if (oom_kills > 0) {
        uint64_t before = oom_kills - 1;
        assert_true(reap_death(SIGKILL, &before).oom);
        assert_false(reap_death(SIGKILL, &before).oom);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_dead_child_is_ours_until_it_is_reaped),
        cmocka_unit_test(an_orphan_of_this_program_is_taken_on_and_its_end_seen),
        cmocka_unit_test(a_foreign_process_is_no_orphan_of_ours),
        cmocka_unit_test(no_other_process_is_ours),
        cmocka_unit_test(a_status_is_read_as_signal_or_exit),
        cmocka_unit_test(a_kill_counts_as_oom_only_if_the_kernel_counted_one_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
