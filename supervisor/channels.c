/* channels.c — see channels.h. */
#include "supervisor/channels.h"

#include "supervisor/fd_store.h"
#include "supervisor/inherit/log.h"
#include "supervisor/reap.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

/* True if a process has the other end of FD open, or if that cannot be found out: an order to nobody fails, and then it
 * is known, but connections that are given up are lost. */
bool channels_is_held(int fd)
{
    struct pollfd other = {.fd = fd, .events = 0};
    return fd >= 0 && poll(&other, 1, 0) <= 0;
}

void channels_order(int fd, enum order_kind kind, const int *fds, size_t count)
{
    struct order message = {.kind = kind};
    /* If it is gone, its death is on its way to us. */
    if (fd >= 0 && channel_send(fd, &message, sizeof message, fds, count) != 0 && errno != EPIPE) {
        log_warn("cannot send an order: %s", strerror(errno));
    }
}

/* ---- keepers that leave ---- */

void channels_forget_leaving(struct supervisor *s, struct worker_leaving *leaving)
{
    leaving->pid = 0;
    watch_close(s, &leaving->fd);
}

/* A place for one more keeper that leaves. All taken: the first, which had its time, is killed; it is reaped unknown.
 */
static struct worker_leaving *leaving_place(struct supervisor *s, struct worker *w)
{
    for (size_t i = 0; i < WORKER_LEAVING_MAX; i++) {
        if (w->leaving[i].pid == 0) {
            return &w->leaving[i];
        }
    }
    reap_signal(w->leaving[0].pid, SIGKILL);
    channels_forget_leaving(s, &w->leaving[0]);
    return &w->leaving[0];
}

/* Send a keeper away; FD and PID are none afterwards. */
void channels_dismiss(struct supervisor *s, struct worker *w, int32_t *fd, int32_t *pid)
{
    channels_order(*fd, ORDER_LEAVE, NULL, 0);
    if (!reap_is_ours(*pid)) {
        watch_close(s, fd);
    } else {
        reap_signal(*pid, SIGCONT); /* somebody may have stopped it, and a stopped keeper never leaves */
        struct worker_leaving *leaving = leaving_place(s, w);
        if (*fd >= 0) {
            watch_stop(s, *fd);
        }
        *leaving = (struct worker_leaving){.pid = *pid, .fd = *fd};
    }
    *fd = -1;
    *pid = 0;
}

void channels_tell_alone(const struct worker *w)
{
    if (w->control_fd >= 0 && w->cause != BIRTH_FRESH && worker_is_alone(w)) {
        channels_order(w->control_fd, ORDER_ALONE, NULL, 0);
    }
}

/* ---- channels of the one on its way ---- */

void channels_close_next(struct supervisor *s, struct worker *w)
{
    watch_close(s, &w->next_control_fd);
    if (w->next_keeper_fd >= 0) {
        channels_dismiss(s, w, &w->next_keeper_fd, &w->next_keeper_pid);
    }
    w->next_keeper_pid = 0;
}

/* Make the channels of the next incarnation: our ends into W, the others into ENDS (control, keeper). */
bool channels_open_next(struct supervisor *s, struct worker *w, int ends[2])
{
    int control[2];
    int keeper[2];
    if (!fd_store_take_spare(s, control) && channel_pair(control) != 0) {
        return false;
    }
    if (!fd_store_take_spare(s, keeper) && channel_pair(keeper) != 0) {
        int saved = errno;
        close(control[0]);
        close(control[1]);
        errno = saved;
        return false;
    }
    w->next_control_fd = control[0];
    w->next_keeper_fd = keeper[0];
    ends[0] = control[1];
    ends[1] = keeper[1];
    if (watch_add(s, control[0], EPOLLIN, WATCH_SLOT, w->slot) &&
        watch_add(s, keeper[0], EPOLLIN, WATCH_SLOT, w->slot)) {
        fd_store_add(s, control[0]);
        fd_store_add(s, keeper[0]);
        return true;
    }
    int saved = errno;
    close(ends[0]);
    close(ends[1]);
    watch_close(s, &w->next_control_fd);
    watch_close(s, &w->next_keeper_fd);
    errno = saved;
    return false;
}
