/* processes.h — which processes hold the sockets that were found, and who they are: /proc, walked once. */
#ifndef PERDURE_WHY_PROCESSES_H
#define PERDURE_WHY_PROCESSES_H

#include "supervisor/why/facts.h"

/* Add the processes that have a socket of FACTS open, and their holdings. What could not be seen is counted in
 * facts->unseen. With NAMESPACES: also the network namespaces that are not ours. */
void processes_find(struct facts *facts, bool namespaces);

/* Look for a socket that is bound to an address of FACTS and that the kernel lists nowhere (before Linux 6.8): by
 * borrowing, for a moment, each socket of each process (pidfd_getfd(2)). Adds it with its process. For root. */
void processes_find_bound(struct facts *facts);

/* Everything that is told of the process PID. False: it is gone. */
bool process_describe(pid_t pid, struct process_fact *process);

/* What another program wrote, made fit for a terminal and a log: control characters become '?'. */
void process_clean(char *text);

#endif
