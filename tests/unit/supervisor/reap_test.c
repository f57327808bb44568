/* reap_test.c — a child's end is seen before it is reaped, and no other pid is ours. */
#include "supervisor/reap.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
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

static pid_t dead_child(void)
{
    pid_t pid = child();
    kill(pid, SIGTERM);
    await_end(pid);
    return pid;
}

static void who_is_left_unreaped_is_ours_and_hides_nobody(void **state)
{
    int status;
    pid_t first = dead_child();
    pid_t second = child();
    (void)state;
    assert_false(reap_is_behind());
    assert_true(reap_later(first));
    assert_true(reap_is_behind());
    assert_true(reap_is_ours(first));
    assert_false(reap_has_ended(first, &status)); /* that is known */
    assert_false(reap_has_ended(second, &status));
    assert_int_equal(reap_peek(&status), 0);
    kill(second, SIGKILL);
    await_end(second);
    assert_true(reap_has_ended(second, &status));
    assert_int_equal(WTERMSIG(status), SIGKILL);
    reap(second);
    assert_int_equal(reap_peek(&status), 0); /* not -1: one is left */
    reap_catch_up();
    assert_false(reap_is_behind());
    assert_false(reap_is_ours(first));
    assert_int_equal(reap_peek(&status), -1);
}

static void not_everybody_is_left_unreaped(void **state)
{
    enum { MANY = 80 };
    int status;
    int left = 0;
    (void)state;
    for (int i = 0; i < MANY; i++) {
        pid_t pid = dead_child();
        if (reap_later(pid)) {
            left++;
        } else {
            reap(pid);
        }
    }
    assert_in_range(left, 1, MANY - 1);
    reap_catch_up();
    assert_int_equal(reap_peek(&status), -1);
}

/* A process that is our grandchild, and so not ours to wait for; TITLE is its argv[0]. Ends when *ALIVE is closed. */
static pid_t grandchild(const char *title, int *alive)
{
    int input[2];
    int output[2];
    pid_t pid;
    assert_int_equal(pipe2(input, O_CLOEXEC), 0);
    assert_int_equal(pipe2(output, O_CLOEXEC), 0);
    pid_t between = fork();
    if (between == 0) {
        pid = fork();
        if (pid == 0) {
            dup2(input[0], STDIN_FILENO);
            dup2(output[1], STDOUT_FILENO);
            execl("/bin/cat", title, NULL);
            _exit(1);
        }
        _exit(write(output[1], &pid, sizeof pid) == sizeof pid ? 0 : 1);
    }
    assert_int_equal(waitpid(between, NULL, 0), between);
    assert_int_equal(read(output[0], &pid, sizeof pid), sizeof pid);
    /* What it copies from its input to its output says that it has been exec'ed. */
    char byte = 'x';
    assert_int_equal(write(input[1], &byte, 1), 1);
    assert_int_equal(read(output[0], &byte, 1), 1);
    close(input[0]);
    close(output[0]);
    close(output[1]);
    *alive = input[1];
    return pid;
}

static void an_orphan_of_this_program_is_taken_on_and_its_end_seen(void **state)
{
    int status = 0;
    int alive;
    pid_t pid = grandchild("perdure: worker 0", &alive);
    (void)state;
    assert_false(reap_is_ours(pid)); /* we have not taken over from anybody */
    struct pollfd orphans = {.fd = reap_orphans(), .events = POLLIN};
    assert_true(reap_is_ours(pid));
    assert_int_equal(reap_peek(&status), 0);
    close(alive);
    assert_int_equal(poll(&orphans, 1, 10000), 1);
    assert_int_equal(reap_peek(&status), pid);
    assert_true(status == 0 || status == REAP_UNKNOWN); /* as the kernel knows it */
    assert_false(reap_later(pid));
    reap(pid);
    assert_int_equal(reap_peek(&status), -1);
    assert_false(reap_is_ours(pid));
}

static void a_foreign_process_is_no_orphan_of_ours(void **state)
{
    int alive;
    pid_t pid = grandchild("sshd: root", &alive);
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
        cmocka_unit_test(who_is_left_unreaped_is_ours_and_hides_nobody),
        cmocka_unit_test(not_everybody_is_left_unreaped),
        cmocka_unit_test(an_orphan_of_this_program_is_taken_on_and_its_end_seen),
        cmocka_unit_test(a_foreign_process_is_no_orphan_of_ours),
        cmocka_unit_test(no_other_process_is_ours),
        cmocka_unit_test(a_status_is_read_as_signal_or_exit),
        cmocka_unit_test(a_kill_counts_as_oom_only_if_the_kernel_counted_one_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
