/* keeper.h — the keeper: a process that shares a worker's descriptor table and does nothing but keep it.
 *
 * While it lives, the worker's sockets and files stay open whatever happens to the worker. On order it forks the
 * worker's successor. It is made after the privileges are dropped, blocks all signals it can, reads nothing but its
 * channel, and shares no memory with the worker but the note that keeper_forked() reads. */
#ifndef PERDURE_INHERIT_KEEPER_H
#define PERDURE_INHERIT_KEEPER_H

#include "supervisor/inherit/contract.h"

#include <sys/types.h>

/* Make a keeper of this process for the descriptors named in BIRTH (epoll_fd and cell_fd must be right by now: it
 * passes them on). The keeper is this process's sibling. Returns its pid, or -1 with errno; never returns in the
 * keeper. */
pid_t keeper_make(const struct birth *birth);

/* For the worker: the last successor that its keepers forked, alive or not; 0: none. */
pid_t keeper_forked(void);

#endif
