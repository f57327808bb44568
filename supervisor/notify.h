/* notify.h — tells systemd (or whoever set NOTIFY_SOCKET) how the service is, by sd_notify(3)'s datagrams.
 *
 * Our own 30 lines and not libsystemd: the protocol is one documented datagram, and the library brings liblzma,
 * libzstd, liblz4 and libgcrypt into a process that runs as root. Without NOTIFY_SOCKET every function does nothing. */
#ifndef PERDURE_NOTIFY_H
#define PERDURE_NOTIFY_H

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

/* How long the manager waits for WATCHDOG=1 before it acts (WATCHDOG_USEC); 0: it waits for none, or for that of
 * another process (WATCHDOG_PID). */
uint64_t notify_watchdog_interval_ms(void);

/* WATCHDOG=1. */
void notify_watchdog(void);

#endif
