/* watch.c — the supervisor's epoll set; see supervisor.h. */
#include "supervisor/supervisor.h"

#include <sys/epoll.h>
#include <unistd.h>

bool watch_add(struct supervisor *s, int fd, uint32_t events, enum watch_kind kind, uint32_t slot)
{
    struct epoll_event event = {.events = events, .data.u64 = (uint64_t)kind << 32 | slot};
    return epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

void watch_stop(struct supervisor *s, int fd)
{
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
