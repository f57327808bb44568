/* keeper.h — the keeper: a process that shares a worker's descriptor table and does nothing but keep it.
 *
 * While it lives, the worker's sockets and files stay open whatever happens to the worker. On order it forks the
 * worker's successor. It is made after the privileges are dropped, blocks all signals it can, reads nothing but its
 * channel, and shares no memory with the worker but the note behind keeper_forbid() and keeper_forked(). */
#ifndef PERDURE_INHERIT_KEEPER_H
#define PERDURE_INHERIT_KEEPER_H

#include "supervisor/inherit/contract.h"

#include <sched.h>
#include <signal.h>
#include <sys/types.h>

/* Make a keeper of this process for the descriptors named in BIRTH (epoll_fd and cell_fd must be right by now: it
 * passes them on). The keeper is this process's sibling. Returns its pid, or -1 with errno; never returns in the
 * keeper. CONFINED: enum confinement of this process, and so of the keeper: one that is confined cannot fork a
 * successor, but hands down (handing.h). */
pid_t keeper_make(const struct birth *birth, uint32_t confined);

/* How a keeper is made, for who has to allow it. */
#define KEEPER_CLONE_FLAGS (CLONE_FILES | CLONE_PARENT | CLONE_PARENT_SETTID | SIGCHLD)

/* For the worker: from now on none of its keepers forks a successor, but one that keeper_make() makes from now on.
 * False: one is about to fork; ask again. */
bool keeper_forbid(void);

/* For the worker: the last successor that its keepers forked, alive or not; 0: none. */
pid_t keeper_forked(void);

#endif
