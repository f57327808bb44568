/* worker.c — the worker's own descriptors and its epoll set. See worker.h. */
#include "worker/worker.h"

#include "supervisor/inherit/log.h"

#include <stdio.h>
#include <sys/epoll.h>
#include <unistd.h>

bool worker_watch(struct worker *w, int fd, int operation, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.fd = fd};
    return epoll_ctl(w->birth.epoll_fd, operation, fd, &event) == 0;
}

bool worker_owns(const struct worker *w, int fd)
{
    const struct birth *birth = &w->birth;
    if (fd <= STDERR_FILENO || fd == birth->control_fd || fd == birth->keeper_fd || fd == birth->snapshot_fd ||
        fd == birth->access_log_fd || fd == birth->program_fd || fd == birth->cell_fd || fd == birth->epoll_fd ||
        fd == birth->door_fd || fd == birth->ledger_fd || fd == birth->tally_fd || fd == w->guarded_fd ||
        fd == log_descriptor() || fd == w->giving_fd) {
        return true;
    }
    for (size_t i = 0; i < birth->listeners_count; i++) {
        if (fd == birth->listener_fds[i]) {
            return true;
        }
    }
    for (size_t i = 0; i < CELL_TAKING_MAX; i++) {
        if (fd == w->cell.header->taking[i]) {
            return true;
        }
    }
    return false;
}
