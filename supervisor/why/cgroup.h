/* cgroup.h — whose a process is, by the name of its cgroup: which systemd unit, which container. No system calls here.
 */
#ifndef PERDURE_WHY_CGROUP_H
#define PERDURE_WHY_CGROUP_H

#include "supervisor/why/facts.h"

/* TEXT is /proc/PID/cgroup. Sets unit, user_unit and container of PROCESS, "" where the names tell nothing. */
void cgroup_read(const char *text, struct process_fact *process);

#endif
