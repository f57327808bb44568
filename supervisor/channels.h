/* channels.h — the channels to a worker, to its keeper, and to the next ones on their way: made, used, closed. */
#ifndef PERDURE_CHANNELS_H
#define PERDURE_CHANNELS_H

#include "supervisor/supervisor.h"

/* True if a process has the other end of the channel FD open: the kernel's word on whether anybody is there. */
bool channels_is_held(int fd);

/* Send an order without a birth, with COUNT descriptors. A receiver that is gone, or FD -1, is no error. */
void channels_order(int fd, enum order_kind kind, const int *fds, size_t count);

/* Make the channels of the next one in W's slot: our ends into W and the epoll set, the others into ENDS (control,
 * keeper), which the caller closes. False with errno. */
bool channels_open_next(struct supervisor *s, struct worker *w, int ends[2]);

/* The next one will not come: close its channels, and send its keeper away if it has one. */
void channels_close_next(struct supervisor *s, struct worker *w);

/* Send the keeper PID on channel *FD away; both are none afterwards. It is one of w->leaving until it is reaped. */
void channels_dismiss(struct supervisor *s, struct worker *w, int32_t *fd, int32_t *pid);

/* A keeper that leaves has been reaped. */
void channels_forget_leaving(struct supervisor *s, struct worker_leaving *leaving);

/* Tell W that no keeper of a predecessor is there any more, if that is so. */
void channels_tell_alone(const struct worker *w);

#endif
