/* census.h — which process is a worker or a keeper, by what /proc says of it: its title, and the cell it has mapped.
 *
 * For a supervisor that took over from a dead one, and finds that the ledger's pids do not add up. A pid that was
 * wrongly believed would be somebody else's, or the death of a worker that lives, to which a second one would then be
 * born on the same connections. */
#ifndef PERDURE_CENSUS_H
#define PERDURE_CENSUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* True if PID is no worker and no keeper of this supervisor, nor one of a dead supervisor: it is called otherwise, or a
 * supervisor that lives is its parent. */
bool census_is_foreign(pid_t pid);

/* A descriptor of the cell that PID has open, close-on-exec; -1: it has none, or that cannot be. */
int census_cell(pid_t pid);

/* True if PID is worker SLOT, and has the cell CELL_FD mapped (-1: whichever), as far as we may look. */
bool census_is_worker(pid_t pid, uint32_t slot, int cell_fd);

/* True if PID is keeper SLOT. It has no cell mapped. */
bool census_is_keeper(pid_t pid, uint32_t slot);

/* True if PID is the keeper of a supervisor. */
bool census_is_own_keeper(pid_t pid);

/* The process that is worker SLOT with the cell CELL_FD, none of the COUNT pids OTHERS; 0: there is none, or several,
 * or CELL_FD is -1: without its cell, it could be that of another service on this machine. */
pid_t census_find_worker(uint32_t slot, int cell_fd, const int32_t *others, size_t count);

#endif
