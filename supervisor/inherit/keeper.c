/* keeper.c — see keeper.h. */
#include "supervisor/inherit/keeper.h"

#include "supervisor/inherit/handing.h"
#include "supervisor/inherit/log.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#else
#define ASAN_UNPOISON_MEMORY_REGION(at, bytes) ((void)0)
#endif

enum { SUCCESSOR_STACK_BYTES = 64 * 1024 };

/* Memory that a worker shares with the keepers it makes. */
struct shared {
    pid_t forked;       /* the last successor */
    _Atomic pid_t turn; /* the keeper that may fork one, negative while it does so; 0: nobody may */
};
static struct shared *shared;

static bool share(void)
{
    if (shared == NULL) {
        void *page = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        shared = page != MAP_FAILED ? page : NULL;
    }
    return shared != NULL;
}

/* fork(2), but the child shares the descriptor table and becomes a sibling, so that the supervisor is everybody's
 * parent; it is its turn before it takes a step. The C library's fork cannot do that; its child handlers are not needed
 * in a program without threads. */
static pid_t fork_keeper(void)
{
    return (pid_t)syscall(SYS_clone, KEEPER_CLONE_FLAGS, NULL, &shared->turn, NULL, NULL);
}

bool keeper_forbid(void)
{
    pid_t turn = atomic_load(&shared->turn);
    return turn == 0 || (turn > 0 && atomic_compare_exchange_strong(&shared->turn, &turn, 0));
}

pid_t keeper_forked(void)
{
    return *(volatile pid_t *)&shared->forked;
}

static bool begin_forking(void)
{
    pid_t here = getpid();
    return atomic_compare_exchange_strong(&shared->turn, &here, -here);
}

static void end_forking(void)
{
    pid_t here = -getpid();
    (void)atomic_compare_exchange_strong(&shared->turn, &here, -here);
}

static void tell(int channel, const struct report *report)
{
    /* If the supervisor is gone, the next receive says so. */
    (void)channel_report(channel, report);
}

/* The successor's birth: what this keeper knows by itself, and what came with the order. */
static bool birth_of_order(struct birth *birth, const struct order *order, const int *fds, size_t count)
{
    enum { FIXED = 6 };
    if (order->birth.listeners_count > CONTRACT_LISTENERS_MAX || count != FIXED + order->birth.listeners_count) {
        return false;
    }
    birth->slot = order->birth.slot;
    birth->generation = order->birth.generation;
    birth->cause = order->birth.cause;
    birth->signal = order->birth.signal;
    birth->syslog = order->birth.syslog;
    birth->listeners_count = order->birth.listeners_count;
    birth->control_fd = fds[0];
    birth->keeper_fd = fds[1];
    birth->snapshot_fd = order->own_edition != 0 ? birth->snapshot_fd : fds[2];
    birth->access_log_fd = fds[3];
    birth->program_fd = order->own_edition != 0 ? -1 : fds[4];
    birth->error_log_fd = fds[5];
    memcpy(birth->listener_fds, fds + FIXED, sizeof(int) * birth->listeners_count);
    return true;
}

static void unblock_signals(void)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* In the child, up to its exec. It has our memory, and may be killed at any instruction: nothing here writes where we
 * would miss it. */
static int become_successor(void *birth)
{
    unblock_signals();
    birth_exec(birth);
    log_error("cannot start a successor: exec: %s", strerror(errno));
    _exit(1);
}

/* fork_sibling() and exec at the price of the exec alone: as vfork(2), this returns when the child has our memory no
 * more. The kernel notes the pid for the worker before the child takes its first step, so that whoever kills us, it is
 * noted. */
static pid_t start_successor(struct birth *birth)
{
    static _Alignas(16) char stack[SUCCESSOR_STACK_BYTES];
    /* What the last child was doing when it went is no fault of the next one. */
    ASAN_UNPOISON_MEMORY_REGION(stack, sizeof stack);
    return clone(become_successor, stack + sizeof stack,
                 CLONE_VM | CLONE_VFORK | CLONE_PARENT | CLONE_PARENT_SETTID | SIGCHLD, birth, &shared->forked);
}

/* Fork the successor that ORDER asks for. Its descriptors are copies of all of ours, under the same numbers. Returns
 * what is to be answered. */
static struct report succeed(const struct birth *mine, const struct order *order, const int *fds, size_t count)
{
    struct birth birth = *mine;
    if (!birth_of_order(&birth, order, fds, count)) {
        return (struct report){.kind = REPORT_NOT_FORKED, .error = EBADMSG};
    }
    if (!begin_forking()) {
        return (struct report){.kind = REPORT_NOT_FORKED, .error = EPERM};
    }
    pid_t pid = birth_announce(&birth) ? start_successor(&birth) : -1;
    int saved = errno;
    end_forking();
    if (pid < 0) {
        return (struct report){.kind = REPORT_NOT_FORKED, .error = saved};
    }
    return (struct report){.kind = REPORT_FORKED, .pid = pid};
}

/* The same for a successor that the supervisor forked: it is ours when it has all, and when nobody has forbidden it. */
static void hand_down(const struct birth *mine, int channel, bool own_edition)
{
    pid_t successor = handing_give(mine, channel, own_edition);
    if (successor > 0 && begin_forking()) {
        *(volatile pid_t *)&shared->forked = successor;
        handing_let_go(channel);
        end_forking();
    }
}

/* Ask for descriptors that came with an order to be closed here: the successor has its own copies. */
static void close_all(const int *fds, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        close(fds[i]);
    }
}

/* What a keeper does for life. */
static void keep(const struct birth *birth, uint32_t confined)
{
    const struct report here = {.kind = REPORT_KEEPER, .pid = getpid(), .confined = confined};
    struct report answer = {.kind = REPORT_NOT_FORKED};
    tell(birth->keeper_fd, &here);
    for (;;) {
        struct order order;
        int fds[CONTRACT_FDS_MAX];
        size_t count = CONTRACT_FDS_MAX;
        int got = channel_receive(birth->keeper_fd, &order, sizeof order, fds, &count, NULL);
        if (got == 0 || (got > 0 && order.kind == ORDER_LEAVE)) {
            return;
        }
        if (got < 0 && errno == EBADMSG) {
            /* Of an order the descriptors were lost, for there was no room for them: it is to come again. */
            tell(birth->keeper_fd, &(struct report){.kind = REPORT_NOT_FORKED, .error = EMFILE});
        } else if (got > 0 && order.kind == ORDER_SUCCEED) {
            answer = (confined & CONFINED_FOR_EVER) == 0
                         ? succeed(birth, &order, fds, count)
                         : (struct report){.kind = REPORT_NOT_FORKED, .error = EPERM, .confined = confined};
            tell(birth->keeper_fd, &answer);
        } else if (got > 0 && order.kind == ORDER_HAND_DOWN && count == 1) {
            hand_down(birth, fds[0], order.own_edition != 0);
        } else if (got > 0 && order.kind == ORDER_ROLL_CALL) {
            if (answer.kind == REPORT_FORKED) {
                tell(birth->keeper_fd, &answer);
            }
            tell(birth->keeper_fd, &here);
        }
        close_all(fds, count);
    }
}

static void become_keeper(const struct birth *birth, uint32_t confined)
{
    char name[32];
    snprintf(name, sizeof name, "keeper %u", birth->slot);
    log_name(name);
    prctl(PR_SET_NAME, "perdure-keeper");
    /* What ps(1) shows: over the worker's "perdure: worker 3", which birth_exec() made wide enough. */
    snprintf(program_invocation_name, strlen(program_invocation_name) + 1, "perdure: keeper %u", birth->slot);
    keep(birth, confined);
}

pid_t keeper_make(const struct birth *birth, uint32_t confined)
{
    /* Signals are blocked before the clone, so that no instant exists in which one could end the keeper. */
    sigset_t all;
    sigset_t before;
    if (!share()) {
        return -1;
    }
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    pid_t pid = fork_keeper();
    if (pid == 0) {
        become_keeper(birth, confined);
        _exit(0);
    }
    int saved = errno;
    sigprocmask(SIG_SETMASK, &before, NULL);
    errno = saved;
    return pid;
}
