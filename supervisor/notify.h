/* notify.h — tells systemd (or whoever set NOTIFY_SOCKET) how the service is, by sd_notify(3)'s datagrams.
 *
 * Our own 30 lines and not libsystemd: the protocol is one documented datagram, and the library brings liblzma,
 * libzstd, liblz4 and libgcrypt into a process that runs as root. Without NOTIFY_SOCKET every function does nothing. */
#ifndef PERDURE_NOTIFY_H
#define PERDURE_NOTIFY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* READY=1, MAINPID and a status line: at first readiness and after each reload, whatever its result. */
void notify_ready(pid_t main_pid, const char *status);

/* RELOADING=1 with MONOTONIC_USEC. */
void notify_reloading(void);

/* STOPPING=1. */
void notify_stopping(void);

/* STATUS=, one line; control characters become spaces. */
void notify_status(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* All of the above are told in the end: what the manager had no room for (it reads one datagram at a time, and its
 * socket takes net.unix.max_dgram_qlen of them) is told here, in order; of several that wait, the newest. Returns when
 * to call again, on clock.h's clock in ms; UINT64_MAX: there is nothing left to tell. */
uint64_t notify_turn(void);

/* How long the manager waits for WATCHDOG=1 before it acts (WATCHDOG_USEC); 0: it waits for none, or for that of
 * another process (WATCHDOG_PID). */
uint64_t notify_watchdog_interval_ms(void);

/* WATCHDOG=1. */
void notify_watchdog(void);

/* How many descriptors the manager keeps for the service when its processes die (FDSTORE); 0: none. systemd says that
 * itself from version 254 on; before, the unit has to. */
size_t notify_store_room(void);

/* FDSTORE=1: keep a copy of FD under NAME, whatever happens at its other end (FDPOLL=0). False with errno when it could
 * not be sent: EAGAIN when the manager has much to read. */
bool notify_store(int fd, const char *name);

/* FDSTOREREMOVE=1: close what is kept under NAME. Waits as long as PATIENCE_MS for the manager to read. False as above.
 */
bool notify_unstore(const char *name, unsigned patience_ms);

#endif
