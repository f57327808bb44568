/* own_keeper.c — see own_keeper.h. */
#include "supervisor/own_keeper.h"

#include "supervisor/bequest.h"
#include "supervisor/census.h"
#include "supervisor/image.h"
#include "supervisor/image_trial.h"
#include "supervisor/inherit/contract.h"
#include "supervisor/inherit/log.h"
#include "supervisor/inherit/manager.h"
#include "supervisor/ledger_mend.h"
#include "supervisor/reap.h"
#include "supervisor/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    RETRY_MS = 100,
    WAIT_FIRST_MS = 50,
    WAIT_LONGEST_MS = 5000,
    FAILURES_MAX = 16,
    HEIR_PATIENCE_MS = 5000,
    LOOK_MS = 200,
    STOP_LONGEST_MS = 3600 * 1000
};

/* What a keeper has to know; a copy of its own. */
struct keeping {
    struct ledger *ledger;
    int ledger_fd;
    int channel_fd; /* its end */
    int process_fd; /* of the supervisor it keeps */
    pid_t child;    /* that supervisor, if this keeper has forked it; else 0 */
};

/* ---- in the keeper ---- */

/* How long the arguments of this process are, one behind the other. */
static size_t arguments_bytes(void)
{
    char text[LEDGER_COMMAND_BYTES];
    int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
    ssize_t length = fd >= 0 ? TEMP_FAILURE_RETRY(read(fd, text, sizeof text)) : 0;
    if (fd >= 0) {
        close(fd);
    }
    return length > 0 ? (size_t)length : 0;
}

static void take_title(void)
{
    static const char title[] = "perdure: keeper of the supervisor";
    size_t bytes = arguments_bytes();
    log_name("keeper");
    prctl(PR_SET_NAME, "perdure-keeper");
    /* What ps(1) shows: over the supervisor's arguments, in our copy of its memory. */
    if (bytes > sizeof title) {
        memset(program_invocation_name, 0, bytes);
        memcpy(program_invocation_name, title, sizeof title);
    }
}

/* Another keeper was made, and this one's supervisor did not live to send it away. A pid that is nobody's is a fault of
 * the ledger: somebody has to be the keeper. */
static bool is_replaced(const struct ledger *ledger)
{
    pid_t pid = ledger->keeper_pid;
    int process_fd = pid > 1 && pid != getpid() ? pidfd_open(pid, 0) : -1;
    struct pollfd end = {.fd = process_fd, .events = POLLIN};
    bool lives = process_fd >= 0 && TEMP_FAILURE_RETRY(poll(&end, 1, 0)) == 0;
    if (process_fd >= 0) {
        close(process_fd);
    }
    return lives;
}

static bool told_to_leave(int channel_fd)
{
    struct order order;
    int got = channel_receive(channel_fd, &order, sizeof order, NULL, NULL, NULL);
    return got == 0 || (got > 0 && order.kind == ORDER_LEAVE);
}

static void unblock_signals(void)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* How the supervisor ended that has died. */
static int take_status(struct keeping *keeping)
{
    int status = REAP_UNKNOWN;
    if (keeping->child != 0) {
        (void)TEMP_FAILURE_RETRY(waitpid(keeping->child, &status, 0));
        keeping->child = 0;
    }
    return status;
}

/* The supervisor has died: start another. */
static void succeed(struct keeping *keeping)
{
    close(keeping->process_fd);
    keeping->child = fork();
    if (keeping->child == 0) {
        unblock_signals();
        image_exec_next(keeping->ledger, keeping->ledger_fd);
        log_error("cannot start another supervisor: exec: %s", strerror(errno));
        _exit(1);
    }
    keeping->process_fd = keeping->child > 0 ? pidfd_open(keeping->child, 0) : -1;
}

/* Wait until the supervisor has died, or this keeper may go (false). */
static bool await_death(const struct keeping *keeping)
{
    struct pollfd watched[] = {{.fd = keeping->channel_fd, .events = POLLIN},
                               {.fd = keeping->process_fd, .events = POLLIN}};
    do {
        if (poll(watched, 2, keeping->process_fd >= 0 ? -1 : 0) > 0 && watched[0].revents != 0 &&
            told_to_leave(keeping->channel_fd)) {
            return false;
        }
    } while (keeping->process_fd >= 0 && watched[1].revents == 0);
    return true;
}

/* Nobody could take over: rest, longer each time, but listen. False if this keeper may go. */
static bool rest(const struct keeping *keeping)
{
    struct pollfd channel = {.fd = keeping->channel_fd, .events = POLLIN};
    uint32_t failures = keeping->ledger->failures < FAILURES_MAX ? keeping->ledger->failures : FAILURES_MAX;
    int wait_ms = WAIT_FIRST_MS << failures < WAIT_LONGEST_MS ? WAIT_FIRST_MS << failures : WAIT_LONGEST_MS;
    log_error("a supervisor that was to take over has died: the next one in %d ms", wait_ms);
    return poll(&channel, 1, wait_ms) <= 0 || !told_to_leave(keeping->channel_fd);
}

static bool was_stopped(const struct ledger *ledger)
{
    char path[PATH_MAX + sizeof "/perdure.lock"];
    snprintf(path, sizeof path, "%s/perdure.lock", ledger->run_dir);
    return manager_has_removed(path);
}

/* The next supervisor is to end what is left, as if it had been asked to. */
static void note_stop(struct ledger *ledger)
{
    log_warn("the service was stopped while it had no supervisor: stopping");
    ledger->phase = PHASE_STOPPING;
    ledger->stop_deadline_ms = clock_now().ms + STOP_LONGEST_MS; /* that one knows stop_timeout */
}

/* A service in the foreground has a manager that starts it anew: wait for that one. True if it has everything now, and
 * is the supervisor that this keeper keeps. */
static bool bequeath(struct keeping *keeping)
{
    struct ledger *ledger = keeping->ledger;
    struct pollfd door = {.fd = bequest_open(ledger->run_dir), .events = POLLIN};
    pid_t heir = 0;
    if (door.fd < 0) {
        log_warn("no heir can be waited for: %s/keeper.sock: %s", ledger->run_dir, strerror(errno));
    }
    uint64_t end_ms = clock_now().ms + HEIR_PATIENCE_MS;
    while (door.fd >= 0 && heir == 0 && clock_now().ms < end_ms && !was_stopped(ledger)) {
        if (poll(&door, 1, LOOK_MS) == 1) {
            heir = bequest_give(door.fd, ledger, keeping->ledger_fd);
        }
    }
    bequest_close(ledger->run_dir, &door.fd);
    if (heir != 0) {
        close(keeping->process_fd);
        keeping->child = 0;
        keeping->process_fd = pidfd_open(heir, 0);
    }
    return heir != 0;
}

static void keep(struct keeping *keeping)
{
    struct ledger *ledger = keeping->ledger;
    take_title();
    while (await_death(keeping)) {
        int status = take_status(keeping);
        if (is_replaced(ledger) || (ledger->failures > 0 && !rest(keeping))) {
            return;
        }
        ledger_mend(ledger, clock_now(), clock_now_us());
        if (ledger->failures++ == 0) {
            ledger->died_us = clock_now_us();
        }
        image_trial_note(ledger, status);
        if (ledger->foreground && bequeath(keeping)) {
            continue;
        }
        if (is_replaced(ledger)) {
            return; /* the manager's next process had it all from the manager's store meanwhile */
        }
        if (ledger->foreground && was_stopped(ledger)) {
            note_stop(ledger);
        }
        succeed(keeping);
    }
}

/* ---- in the supervisor ---- */

static pid_t fork_sharing(struct keeping *keeping)
{
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    pid_t pid = (pid_t)syscall(SYS_clone, CLONE_FILES | SIGCHLD, NULL, NULL, NULL, NULL);
    if (pid == 0) {
        keep(keeping);
        _exit(0);
    }
    int saved = errno;
    sigprocmask(SIG_SETMASK, &before, NULL);
    errno = saved;
    return pid;
}

static bool make(struct supervisor *s)
{
    int ends[2];
    if (channel_pair(ends) != 0) {
        return false;
    }
    struct keeping keeping = {
        .ledger = s->ledger, .ledger_fd = s->ledger_fd, .channel_fd = ends[1], .process_fd = pidfd_open(getpid(), 0)};
    pid_t pid = keeping.process_fd >= 0 ? fork_sharing(&keeping) : -1;
    /* The table is one: what the keeper waits on must stay open here, too. */
    s->keepers_fds[0] = ends[1];
    s->keepers_fds[1] = keeping.process_fd;
    if (pid < 0) {
        int saved = errno;
        close(ends[0]);
        close_fd(&s->keepers_fds[0]);
        close_fd(&s->keepers_fds[1]);
        errno = saved;
        return false;
    }
    s->ledger->keeper_fd = ends[0];
    s->ledger->keeper_pid = pid; /* from this store on, it is the keeper */
    return true;
}

/* The keeper on FD, if any, is not needed any more. */
static void dismiss(int32_t *fd)
{
    const struct order leave = {.kind = ORDER_LEAVE};
    if (*fd >= 0) {
        (void)channel_send(*fd, &leave, sizeof leave, NULL, 0);
        close_fd(fd);
    }
}

int32_t own_keeper_begin(struct supervisor *s)
{
    int32_t former_fd = s->ledger->keeper_fd; /* of the image before this one */
    s->keeper_tried_ms = clock_now().ms;
    if (make(s)) {
        return former_fd;
    }
    log_warn("the supervisor has no keeper: %s; trying again", strerror(errno));
    return -1;
}

/* The keeper of a dead supervisor is our parent; no channel to it is left, so it is ended in another way. */
static void end_parent(void)
{
    pid_t parent = getppid();
    int process_fd = parent > 1 ? pidfd_open(parent, 0) : -1;
    if (process_fd >= 0 && getppid() == parent && census_is_own_keeper(parent)) {
        log_warn("ledger: no channel to the former keeper (pid %d) is left: it is killed", (int)parent);
        pidfd_send_signal(process_fd, SIGKILL, NULL, 0);
    }
    close_fd(&process_fd);
}

void own_keeper_dismiss(struct supervisor *s, int32_t former_fd)
{
    if (former_fd >= 0) {
        dismiss(&former_fd);
    } else if (s->keepers_fds[0] >= 0) {
        end_parent();
    }
}

void own_keeper_turn(struct supervisor *s)
{
    bool wanted = s->phase == PHASE_RUNNING || s->phase == PHASE_STOPPING;
    if (wanted && s->keepers_fds[0] < 0 && clock_now().ms >= s->keeper_tried_ms + RETRY_MS) {
        own_keeper_dismiss(s, own_keeper_begin(s));
    }
}

bool own_keeper_reaps(struct supervisor *s, pid_t pid)
{
    if (pid != s->ledger->keeper_pid) {
        return false;
    }
    s->ledger->keeper_pid = 0;
    close_fd(&s->ledger->keeper_fd);
    close_fd(&s->keepers_fds[0]);
    close_fd(&s->keepers_fds[1]);
    if (s->phase == PHASE_RUNNING) {
        log_warn("the supervisor's keeper (pid %d) died; another is made", pid);
    }
    return true;
}
