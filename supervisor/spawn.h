/* spawn.h — forks a worker that has no predecessor. */
#ifndef PERDURE_SPAWN_H
#define PERDURE_SPAWN_H

#include "supervisor/inherit/contract.h"
#include "supervisor/privilege.h"

#include <stdint.h>
#include <sys/types.h>

/* How many descriptors a worker of CONNECTIONS may have: one for each connection, one for its file, and some; no more
 * than the machine allows. */
uint32_t spawn_descriptors(unsigned connections);

/* Fork a worker and exec its program. It keeps the descriptors that BIRTH names, 0 and 1 (/dev/null) and 2 (the error
 * log), and nothing else; it has DESCRIPTORS at most, no privileges, a clean signal mask. Returns its pid, or -1 with
 * errno. What goes wrong in the child is logged, and it exits 1. */
pid_t spawn_worker(const struct birth *birth, const struct privilege *privilege, uint32_t descriptors);

#endif
