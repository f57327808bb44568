/* reap.c — see reap.h. */
#include "supervisor/reap.h"

#include "supervisor/census.h"
#include "supervisor/obituary.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

/* A wait status, as wait(2) would have given it. */
static int status_of(const siginfo_t *child)
{
    return child->si_code == CLD_EXITED ? W_EXITCODE(child->si_status, 0) : W_EXITCODE(0, child->si_status);
}

/* ---- orphans ---- */

enum { ORPHANS_MAX = 4096 };

static struct orphan {
    pid_t pid; /* 0: this place is free */
    int fd;    /* its pidfd */
} orphans[ORPHANS_MAX];
static size_t orphans_end;     /* no place from here on was ever used */
static int orphans_epoll = -1; /* their pidfds; -1: we have only children */

static struct orphan *find_orphan(pid_t pid)
{
    for (size_t i = 0; i < orphans_end; i++) {
        if (orphans[i].pid == pid) {
            return &orphans[i];
        }
    }
    return NULL;
}

static bool has_ended(int process_fd)
{
    struct pollfd end = {.fd = process_fd, .events = POLLIN};
    return TEMP_FAILURE_RETRY(poll(&end, 1, 0)) > 0;
}

/* The beginning of a file, "" if it cannot be read. */
static void read_text(const char *path, char *text, size_t bytes)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd >= 0 ? TEMP_FAILURE_RETRY(read(fd, text, bytes - 1)) : -1;
    text[length > 0 ? length : 0] = '\0';
    if (fd >= 0) {
        close(fd);
    }
}

static bool take_orphan(pid_t pid)
{
    struct orphan *place = find_orphan(0);
    if (place == NULL && orphans_end < ORPHANS_MAX) {
        place = &orphans[orphans_end++];
    }
    int fd = place != NULL ? pidfd_open(pid, 0) : -1;
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = (uint64_t)pid};
    /* It is looked at while the pidfd is open and the process lives, so what is seen is of this process. */
    if (fd < 0 || census_is_foreign(pid) || has_ended(fd) || epoll_ctl(orphans_epoll, EPOLL_CTL_ADD, fd, &event) != 0) {
        if (fd >= 0) {
            close(fd);
        }
        return false;
    }
    *place = (struct orphan){.pid = pid, .fd = fd};
    return true;
}

static void forget_orphan(struct orphan *orphan)
{
    epoll_ctl(orphans_epoll, EPOLL_CTL_DEL, orphan->fd, NULL);
    close(orphan->fd);
    orphan->pid = 0;
}

static bool has_orphans(void)
{
    for (size_t i = 0; i < orphans_end; i++) {
        if (orphans[i].pid != 0) {
            return true;
        }
    }
    return false;
}

static pid_t peek_orphan(int *status)
{
    struct epoll_event event;
    if (orphans_epoll < 0 || epoll_wait(orphans_epoll, &event, 1, 0) != 1) {
        return 0;
    }
    pid_t pid = (pid_t)event.data.u64;
    const struct orphan *orphan = find_orphan(pid);
    if (orphan == NULL || !obituary_read(orphan->fd, pid, status)) {
        *status = REAP_UNKNOWN;
    }
    return pid;
}

int reap_orphans(void)
{
    if (orphans_epoll < 0) {
        orphans_epoll = epoll_create1(EPOLL_CLOEXEC);
    }
    return orphans_epoll;
}

/* ---- children ---- */

enum { PUT_OFF_MAX = 64 };
static pid_t put_off[PUT_OFF_MAX]; /* zombies that reap_catch_up() is to reap */
static size_t put_off_count;

/* Which child of ours, if not PID 0 then that one, has ended and is not reaped; 0: none has; -1: there is none. */
static pid_t peek_child(pid_t pid, int *status)
{
    siginfo_t child = {0};
    int got;
    do {
        got = waitid(pid != 0 ? P_PID : P_ALL, (id_t)pid, &child, WEXITED | WNOHANG | WNOWAIT);
    } while (got != 0 && errno == EINTR);
    if (got == 0 && child.si_pid != 0) {
        *status = status_of(&child);
    }
    return got == 0 ? child.si_pid : -1;
}

static bool is_put_off(pid_t pid)
{
    for (size_t i = 0; i < put_off_count; i++) {
        if (put_off[i] == pid) {
            return true;
        }
    }
    return false;
}

bool reap_later(pid_t pid)
{
    if (find_orphan(pid) != NULL || put_off_count == PUT_OFF_MAX) {
        return false;
    }
    put_off[put_off_count++] = pid;
    return true;
}

bool reap_is_behind(void)
{
    return put_off_count != 0;
}

void reap_catch_up(void)
{
    while (put_off_count != 0) {
        reap(put_off[--put_off_count]);
    }
}

bool reap_has_ended(pid_t pid, int *status)
{
    return pid > 0 && !is_put_off(pid) && peek_child(pid, status) == pid;
}

/* ---- all of ours ---- */

pid_t reap_peek(int *status)
{
    pid_t child = reap_is_behind() ? 0 : peek_child(0, status);
    if (child > 0) {
        return child;
    }
    pid_t orphan = peek_orphan(status);
    return orphan == 0 && child < 0 && !has_orphans() ? -1 : orphan;
}

void reap(pid_t pid)
{
    struct orphan *orphan = find_orphan(pid);
    if (orphan != NULL) {
        forget_orphan(orphan);
        return;
    }
    while (waitpid(pid, NULL, WNOHANG) < 0 && errno == EINTR) {
    }
}

static bool is_child(pid_t pid)
{
    int status;
    return peek_child(pid, &status) >= 0;
}

bool reap_is_ours(pid_t pid)
{
    return pid > 0 && (is_child(pid) || (orphans_epoll >= 0 && (find_orphan(pid) != NULL || take_orphan(pid))));
}

void reap_signal(pid_t pid, int signal_number)
{
    if (!reap_is_ours(pid)) {
        return;
    }
    struct orphan *orphan = find_orphan(pid);
    if (orphan != NULL) {
        pidfd_send_signal(orphan->fd, signal_number, NULL, 0);
    } else {
        kill(pid, signal_number);
    }
}

/* The letter of proc_pid_stat(5), '?' if it cannot be read. */
static char process_state(pid_t pid)
{
    char path[64];
    char text[512];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    read_text(path, text, sizeof text);
    const char *name_end = strrchr(text, ')'); /* the name may hold anything */
    return name_end != NULL && strlen(name_end) > 2 ? name_end[2] : '?';
}

bool reap_is_gone(pid_t pid)
{
    if (reap_is_ours(pid)) {
        return false; /* and its end, if it should come before this line, will be told */
    }
    char state = process_state(pid);
    return state == 'Z' || state == 'X' || (kill(pid, 0) != 0 && errno == ESRCH) || census_is_foreign(pid);
}

bool reap_is_stopped(pid_t pid)
{
    char state = process_state(pid);
    return state == 'T' || state == 't';
}

uint64_t reap_oom_kills(void)
{
    static char text[16 * 1024]; /* some 170 lines */
    static int fd = -1;          /* kept: to open it takes longer than to read it, and clients wait */
    if (fd < 0) {
        fd = open("/proc/vmstat", O_RDONLY | O_CLOEXEC);
    }
    ssize_t length = fd >= 0 ? pread(fd, text, sizeof text - 1, 0) : 0;
    text[length > 0 ? length : 0] = '\0';
    const char *line = strstr(text, "\noom_kill ");
    return line != NULL ? strtoull(line + strlen("\noom_kill "), NULL, 10) : 0;
}

struct succession_death reap_death(int status, uint64_t *oom_kills)
{
    struct succession_death death = {0};
    if (!WIFSIGNALED(status)) {
        death.exit_code = WEXITSTATUS(status);
        return death;
    }
    death.signal = WTERMSIG(status);
    if (death.signal == SIGKILL) {
        uint64_t now = reap_oom_kills();
        death.oom = now > *oom_kills;
        *oom_kills = now;
    }
    return death;
}
