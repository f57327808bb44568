/* orphan.c — see orphan.h. Nothing of this is there before it is needed, so that it costs no turn of the loop anything:
 * what an orphan waits for stands where its control channel was. */
#include "worker/orphan.h"

#include "supervisor/inherit/keeper.h"
#include "supervisor/inherit/log.h"
#include "supervisor/inherit/manager.h"
#include "worker/orders.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    CALLERS_MAX = 16,
    ROOM = 8,          /* descriptors that are ours however full the table is */
    FORK_TURNS = 1000, /* of a millisecond */
    WORD_MS = 100,     /* for who knocked to say what for: it does so at once, or is not who we wait for */
};

static int signal_fd = -1; /* of SIGTERM, while we are an orphan */

static void hold_back_sigterm(int how, sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigprocmask(how, set, NULL); /* blocked, it is kept for signal_fd even though we ignore it otherwise */
}

void orphan_prepare(const struct worker *w)
{
    if (w->birth.door_fd >= 0 && listen(w->birth.door_fd, CALLERS_MAX) != 0) {
        log_warn("the door: %s", strerror(errno));
    }
}

bool orphan_is(const struct worker *w)
{
    return w->orphan_us != 0;
}

/* ---- waiting ---- */

static bool add(int set, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    return fd >= 0 && epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) == 0;
}

/* Put FD in the place of the control channel, and watch that. */
static bool take_place(struct worker *w, int fd)
{
    bool placed = dup3(fd, w->birth.control_fd, O_CLOEXEC) >= 0;
    close(fd);
    return placed && worker_watch(w, w->birth.control_fd, EPOLL_CTL_ADD, EPOLLIN);
}

static void make_room(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_cur + ROOM < limit.rlim_max ? limit.rlim_cur + ROOM : limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

/* Wait for a caller and for SIGTERM. */
static bool wait_at_door(struct worker *w)
{
    sigset_t set;
    make_room();
    int both = epoll_create1(EPOLL_CLOEXEC);
    hold_back_sigterm(SIG_BLOCK, &set);
    signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return both >= 0 && add(both, w->birth.door_fd) && add(both, signal_fd) && take_place(w, both);
}

static void stop(struct worker *w)
{
    orders_begin_stop(w, clock_after(w->now, w->settings->stop_timeout_ms));
}

static bool was_stopped(const struct worker *w)
{
    struct sockaddr_un name = {0};
    socklen_t length = sizeof name - 1;
    return w->birth.door_fd >= 0 && getsockname(w->birth.door_fd, (struct sockaddr *)&name, &length) == 0 &&
           manager_has_removed(name.sun_path);
}

void orphan_begin(struct worker *w)
{
    worker_watch(w, w->birth.control_fd, EPOLL_CTL_DEL, 0);
    if (w->birth.door_fd < 0 || w->birth.ledger_fd < 0 || !wait_at_door(w)) {
        log_error("the supervisor is gone, and there is no door to wait at for another: stopping gracefully");
        stop(w);
        return;
    }
    w->orphan_us = clock_now_us();
    log_error("the supervisor and its keeper are gone: %s; perdure start takes over",
              w->stopping ? "stopping as ordered" : "serving on");
    orphan_look(w);
}

void orphan_look(struct worker *w)
{
    if (!w->stopping && was_stopped(w)) {
        log_warn("the service was stopped while it had no supervisor: stopping gracefully");
        stop(w);
    }
}

/* ---- was there time for a successor? ---- */

static bool is_alive(pid_t pid)
{
    int process_fd = pid > 0 ? pidfd_open(pid, 0) : -1;
    struct pollfd end = {.fd = process_fd, .events = POLLIN};
    bool alive = process_fd >= 0 && TEMP_FAILURE_RETRY(poll(&end, 1, 0)) == 0;
    if (process_fd >= 0) {
        close(process_fd);
    }
    return alive;
}

/* The keeper may have the order to fork one in hand, or unread: it is forbidden that, for one of us has to serve, and
 * not two. One that is at it gets the time for it, unless it died or was stopped; whom it forked, the kernel notes. */
bool orphan_has_successor(const struct worker *w)
{
    for (int turn = 0; turn < FORK_TURNS && !keeper_forbid() && is_alive(w->keeper_pid); turn++) {
        (void)poll(NULL, 0, 1);
    }
    return is_alive(keeper_forked());
}

/* ---- who knocks ---- */

/* The file's mode lets nobody else in; but this is asked of the kernel, too. */
static bool may_inherit(const struct worker *w, int caller)
{
    struct ucred who;
    socklen_t length = sizeof who;
    struct stat ledger;
    return getsockopt(caller, SOL_SOCKET, SO_PEERCRED, &who, &length) == 0 && fstat(w->birth.ledger_fd, &ledger) == 0 &&
           (who.uid == 0 || who.uid == ledger.st_uid);
}

static bool asks_to_inherit(int caller)
{
    struct pollfd word = {.fd = caller, .events = POLLIN};
    struct order order;
    return poll(&word, 1, WORD_MS) == 1 && channel_receive(caller, &order, sizeof order, NULL, NULL, NULL) > 0 &&
           order.kind == ORDER_INHERIT && order.birth.version == CONTRACT_VERSION;
}

static bool tell_all(const struct worker *w, int caller)
{
    const struct orphan_words words = {
        .slot = w->birth.slot, .generation = w->birth.generation, .stopping = w->stopping, .since_us = w->orphan_us};
    int fds[CONTRACT_FDS_MAX] = {[ORPHAN_LEDGER] = w->birth.ledger_fd,
                                 [ORPHAN_SNAPSHOT] = w->birth.snapshot_fd,
                                 [ORPHAN_PROGRAM] = w->birth.program_fd,
                                 [ORPHAN_CELL] = w->birth.cell_fd};
    memcpy(fds + ORPHAN_FDS, w->birth.listener_fds, sizeof(int) * w->birth.listeners_count);
    return channel_send(caller, &words, sizeof words, fds, ORPHAN_FDS + w->birth.listeners_count) == 0;
}

/* What CALLER orders from now on, is done. */
static void belong_to(struct worker *w, int caller)
{
    sigset_t set;
    worker_watch(w, w->birth.control_fd, EPOLL_CTL_DEL, 0);
    close(signal_fd);
    hold_back_sigterm(SIG_UNBLOCK, &set);
    w->orphan_us = 0;
    if (!take_place(w, caller)) {
        log_error("the new supervisor's channel: %s", strerror(errno));
    }
}

void orphan_hear(struct worker *w)
{
    struct signalfd_siginfo signal;
    int caller = accept4(w->birth.door_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (caller >= 0 && may_inherit(w, caller) && asks_to_inherit(caller) && tell_all(w, caller)) {
        belong_to(w, caller);
        return;
    }
    if (caller >= 0) {
        close(caller);
    }
    if (read(signal_fd, &signal, sizeof signal) == (ssize_t)sizeof signal) {
        log_info("SIGTERM (pid %u, uid %u): stopping", signal.ssi_pid, signal.ssi_uid);
        stop(w);
    }
}
