/* steps.c — steps through a process and counts its instructions: steps PID prints "attached", and at SIGINT the count.
 *
 * One step is one instruction, or one round of a repeated one; what the kernel does in a system call is none
 * (ptrace(2), PTRACE_SINGLESTEP). Hardware counters would say the same in no time, but a virtual machine seldom has
 * them, and valgrind knows no system call that is younger than itself. PID is to wait in a system call, of which it
 * returns by itself, when SIGINT comes. */
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

enum { EVENT_STOP = 128 /* PTRACE_EVENT_STOP of <linux/ptrace.h>, which does not go with <sys/ptrace.h> */ };

static volatile sig_atomic_t asked;

static void ask(int number)
{
    (void)number;
    asked = 1;
}

static void fail(const char *what)
{
    fprintf(stderr, "steps: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* How PID goes on from its stop of STATUS; true if that is a step. One that is stopped for all the world stays so. */
static bool go_on(pid_t pid, int status)
{
    int number = WSTOPSIG(status);
    bool rests = status >> 16 == EVENT_STOP && number != SIGTRAP;
    bool is_ours = status >> 16 == EVENT_STOP || number == SIGTRAP;
    if (ptrace(rests ? PTRACE_LISTEN : PTRACE_SINGLESTEP, pid, NULL, (uintptr_t)(is_ours ? 0 : number)) != 0) {
        fail("cannot step");
    }
    return !rests;
}

/* One processor for both, for to wake another one takes four times as long as a step. BEFORE: those of PID. */
static void share_a_processor(pid_t pid, cpu_set_t *before)
{
    cpu_set_t one;
    int first = 0;
    if (sched_getaffinity(pid, sizeof *before, before) != 0) {
        fail("cannot ask for its processors");
    }
    while (!CPU_ISSET(first, before)) {
        first++;
    }
    CPU_ZERO(&one);
    CPU_SET(first, &one);
    if (sched_setaffinity(pid, sizeof one, &one) != 0 || sched_setaffinity(0, sizeof one, &one) != 0) {
        fail("cannot choose a processor");
    }
}

int main(int count, char **words)
{
    pid_t pid = count == 2 ? (pid_t)strtol(words[1], NULL, 10) : 0;
    struct sigaction action = {.sa_handler = ask, .sa_flags = SA_RESTART};
    cpu_set_t processors;
    uint64_t steps = 0;
    int status;
    if (pid <= 0) {
        fprintf(stderr, "usage: steps PID\n");
        return 2;
    }
    sigaction(SIGINT, &action, NULL);
    if (ptrace(PTRACE_SEIZE, pid, NULL, NULL) != 0 || ptrace(PTRACE_INTERRUPT, pid, NULL, NULL) != 0) {
        fail("cannot attach");
    }
    share_a_processor(pid, &processors);
    fprintf(stderr, "attached\n");
    while (waitpid(pid, &status, __WALL) == pid && WIFSTOPPED(status)) {
        if (asked) {
            sched_setaffinity(pid, sizeof processors, &processors);
            ptrace(PTRACE_DETACH, pid, NULL,
                   NULL); /* it has just made a step: no trap is left behind that would end it */
            fprintf(stderr, "%" PRIu64 "\n", steps);
            return 0;
        }
        steps += go_on(pid, status);
    }
    fprintf(stderr, "steps: %ld is gone\n", (long)pid);
    return 1;
}
