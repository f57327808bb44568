/* last_words.c — see last_words.h. */
#include "worker/last_words.h"

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <unistd.h>

enum { STACK_BYTES = 16 * 1024, SENT_BY_SECCOMP = 1 /* SYS_SECCOMP of the kernel's headers */ };

static struct cell_header *where;

/* The sandbox's seccomp stopped a system call: which one, plus one. */
static uint32_t refused_call(const siginfo_t *info)
{
    bool refused = info->si_signo == SIGSYS && info->si_code == SENT_BY_SECCOMP;
    return refused ? (uint32_t)(info->si_syscall + 1) << CELL_CALL_SHIFT : 0;
}

/* A signal that another process sent says nothing about what we were doing. */
static bool was_sent(const siginfo_t *info)
{
    return info->si_code <= 0 && info->si_pid != getpid();
}

/* The handler is gone by now (SA_RESETHAND), and the signal is blocked until we return: then it ends us as it should.
 */
static void speak(int number, siginfo_t *info, void *context)
{
    (void)context;
    *(volatile uint32_t *)&where->last_words = (uint32_t)number | (was_sent(info) ? CELL_SENT : 0) | refused_call(info);
    raise(number);
}

void last_words_begin(struct cell_header *header)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGABRT, SIGILL, SIGFPE, SIGSYS, SIGTRAP};
    static char room[STACK_BYTES]; /* a stack that has overflown is of no use */
    const stack_t stack = {.ss_sp = room, .ss_size = sizeof room};
    struct sigaction action = {.sa_sigaction = speak, .sa_flags = SA_ONSTACK | SA_SIGINFO | (int)SA_RESETHAND};
    where = header;
    header->last_words = 0;
    sigaltstack(&stack, NULL);
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        sigaction(faults[i], &action, NULL);
    }
}

void last_words_well(void)
{
    where->last_words = CELL_ENDED_WELL;
}
