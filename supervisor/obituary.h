/* obituary.h — how a process ended that is not our child: wait(2) tells that to its parent alone, the kernel tells it
 * to root, for a moment or, since Linux 6.15, to whoever holds a pidfd. */
#ifndef PERDURE_OBITUARY_H
#define PERDURE_OBITUARY_H

#include <stdbool.h>
#include <sys/types.h>

/* The process PID, which the pidfd PROCESS_FD stands for, has ended: its wait status. False if nobody knows. */
bool obituary_read(int process_fd, pid_t pid, int *status);

#endif
