/* reap.h — learns which of our processes ended, and how; and signals them, and nobody else.
 *
 * Ours are our children, and the orphans of a supervisor that died and that we took over from. An orphan is watched
 * through a pidfd, which tells that it has ended, but not always how (obituary.h). */
#ifndef PERDURE_REAP_H
#define PERDURE_REAP_H

#include "supervisor/succession.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { REAP_UNKNOWN = -1 }; /* in place of a wait status: an orphan has ended, nobody knows how */

/* The pid of one of ours that has ended and waits to be reaped, and its wait status; 0: none has; -1: there is nobody
 * of ours at all. While reap_is_behind(), no child is given. */
pid_t reap_peek(int *status);

/* Reap PID, which reap_peek gave. The kernel then lets go of all that /proc knew of PID, and if somebody has looked at
 * its descriptors there, as ss -p and many a monitor does, that takes 2 us for each: 2 ms of a processor with 1,000
 * connections, during which it does nothing else. */
void reap(pid_t pid);

/* Leave PID unreaped until reap_catch_up(). False: that cannot be; reap it. */
bool reap_later(pid_t pid);

/* True if somebody was left unreaped. To waitid(2) such a one hides those that end later, so they have to be asked for
 * one by one, by reap_has_ended: true if PID is a child of ours that has ended, and neither reaped nor left unreaped;
 * and its wait status. */
bool reap_is_behind(void);
bool reap_has_ended(pid_t pid, int *status);

void reap_catch_up(void);

/* True if PID is one of ours and has not been reaped. After reap_orphans, a process called "perdure: …" that is no
 * child of ours counts as an orphan, and is watched from then on. */
bool reap_is_ours(pid_t pid);

/* True if PID is none of ours because it has ended, or is another program's by now. False if that cannot be told. */
bool reap_is_gone(pid_t pid);

/* Send a signal to PID if it is one of ours; kill(2) for a child, which cannot be reaped meanwhile,
 * pidfd_send_signal(2) for an orphan. */
void reap_signal(pid_t pid, int signal_number);

/* True if PID is stopped, by a signal or by a debugger. */
bool reap_is_stopped(pid_t pid);

/* This supervisor took over from a dead one: take orphans on from now on. Returns a descriptor to wait on for reading,
 * readable while an orphan's end has not been looked at by reap_peek; -1 with errno. */
int reap_orphans(void);

/* What a wait status says. *OOM_KILLS is the machine's count of OOM kills as last seen (see reap_oom_kills), brought up
 * to date when the status is SIGKILL. */
struct succession_death reap_death(int status, uint64_t *oom_kills);

/* How many processes the kernel's OOM killer has ended, of this machine or any memory cgroup: oom_kill of
 * /proc/vmstat, proc_vmstat(5). 0 if it cannot be read. */
uint64_t reap_oom_kills(void);

#endif
