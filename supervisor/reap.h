/* reap.h — learns which children ended, and how. */
#ifndef PERDURE_REAP_H
#define PERDURE_REAP_H

#include "supervisor/succession.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* The pid of a child that has ended and waits to be reaped, and its wait status; 0: none has; -1: there is no child at
 * all. */
pid_t reap_peek(int *status);

/* Reap PID, which reap_peek gave. That may take the kernel half a millisecond (it lets go of all that /proc knew of
 * PID), so whatever the death calls for is done first. */
void reap(pid_t pid);

/* True if PID is a child of ours that has not been reaped: only such a pid may be sent a signal. */
bool reap_is_ours(pid_t pid);

/* What a wait status says. *OOM_KILLS is the machine's count of OOM kills as last seen (see reap_oom_kills), brought up
 * to date when the status is SIGKILL. */
struct succession_death reap_death(int status, uint64_t *oom_kills);

/* How many processes the kernel's OOM killer has ended, of this machine or any memory cgroup: oom_kill of
 * /proc/vmstat, proc_vmstat(5). 0 if it cannot be read. */
uint64_t reap_oom_kills(void);

#endif
