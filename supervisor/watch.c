/* watch.c — the supervisor's epoll set; see supervisor.h. */
#include "supervisor/supervisor.h"

#include "supervisor/inherit/log.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { WAITING_MAX = 64, RETRY_MS = 50 };

/* Who is to be watched, and found no room: a channel that nobody watches is a process that nobody hears. */
static struct {
    int fd;
    struct epoll_event event;
} waiting[WAITING_MAX];
static size_t waiting_count;

static bool wait_for_room(int fd, const struct epoll_event *event)
{
    if ((errno != ENOMEM && errno != ENOSPC) || waiting_count == WAITING_MAX) {
        return false;
    }
    if (waiting_count == 0) {
        log_warn("the kernel has no room to watch for events: %s; trying again", strerror(errno));
    }
    waiting[waiting_count].fd = fd;
    waiting[waiting_count].event = *event;
    waiting_count++;
    return true;
}

bool watch_add(struct supervisor *s, int fd, uint32_t events, enum watch_kind kind, uint32_t slot)
{
    struct epoll_event event = {.events = events, .data.u64 = (uint64_t)kind << 32 | slot};
    return epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0 || wait_for_room(fd, &event);
}

static void forget_waiting(size_t number)
{
    waiting[number] = waiting[--waiting_count];
}

int watch_turn(const struct supervisor *s)
{
    for (size_t i = waiting_count; i-- > 0;) {
        if (epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, waiting[i].fd, &waiting[i].event) == 0 ||
            (errno != ENOMEM && errno != ENOSPC)) {
            forget_waiting(i);
        }
    }
    return waiting_count > 0 ? RETRY_MS : -1;
}

void watch_stop(struct supervisor *s, int fd)
{
    for (size_t i = waiting_count; i-- > 0;) {
        if (waiting[i].fd == fd) {
            forget_waiting(i);
        }
    }
    epoll_ctl(s->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
}

void watch_close(struct supervisor *s, int32_t *fd)
{
    if (*fd >= 0) {
        watch_stop(s, *fd);
        close_fd(fd);
    }
}

void close_fd(int32_t *fd)
{
    if (*fd >= 0) {
        close(*fd);
    }
    *fd = -1;
}
