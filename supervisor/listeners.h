/* listeners.h — the listening sockets: bound once, by nobody but the supervisor, and kept for its life.
 *
 * A set of listeners is plain data (it is part of the ledger). A reload makes the next set beside the present one: what
 * is new is bound first, all or nothing; what is gone is closed last; what stays keeps its socket and its queue.
 *
 * A socket that was given to us (given.h) is used instead of one that would be bound, and stays in the set for good:
 * when no listen section names it, it rests. */
#ifndef PERDURE_LISTENERS_H
#define PERDURE_LISTENERS_H

#include "supervisor/inherit/contract.h"
#include "supervisor/inherit/settings.h"
#include "supervisor/socket_file.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LISTENER_ADDRESS_BYTES = 128, LISTENERS_ERROR_BYTES = 1024 };

struct listener {
    char address[LISTENER_ADDRESS_BYTES]; /* as settings have it: "0.0.0.0:8000", "[::]:8000", "unix:/run/x.sock" */
    int32_t fd;                           /* bound and listening, close-on-exec, non-blocking */
    int32_t backlog;
    struct socket_file file; /* AF_UNIX: which file is ours, so that no other is ever removed; else 0 */
    struct socket_file_rights rights;
    uint32_t given;   /* 1: not ours to close, nor is its file ours to touch */
    uint32_t resting; /* 1: given, and nobody accepts on it */
    uint32_t proxied; /* 1: who is accepted begins with a PROXY header */
    uint32_t failing; /* 1: it was shut down, and cannot be made to listen again; the log has it */
    uint64_t cookie;  /* SO_COOKIE: no other socket since boot has it */
};

/* Invariant: count <= CONTRACT_LISTENERS_MAX; no two addresses are the same. */
struct listeners {
    uint32_t count;
    uint32_t spare;
    struct listener all[CONTRACT_LISTENERS_MAX];
};

/* ---- the plan: no system calls ---- */

struct listeners_plan {
    size_t wanted_count;               /* settings->listeners_count */
    int keep[CONTRACT_LISTENERS_MAX];  /* for each wanted one: its index in the present set, -1: to be bound */
    bool drop[CONTRACT_LISTENERS_MAX]; /* for each present one: nobody wants it */
};
void listeners_plan(const struct listeners *present, const struct settings *settings, struct listeners_plan *plan);

/* ---- carrying it out ---- */

/* Make NEXT: the sockets of PRESENT (at start: those that were given) that SETTINGS still want, in the order of
 * SETTINGS, new ones for the rest, and at the end the given ones that rest. Files of kept sockets get their new rights.
 * Returns 0, or -1 with "FILE:LINE: …: cause; remedy" in error, nothing left bound, all as in PRESENT. */
int listeners_prepare(const struct listeners *present, const struct settings *settings, struct listeners *next,
                      char error[LISTENERS_ERROR_BYTES]);

/* Why SETTING's ADDRESS could not be listened on, by the errno NUMBER: "FILE:LINE: …: cause; remedy" into error. Nobody
 * notices that it was asked. */
void listeners_explain(const struct listen_setting *setting, const char *address, int number,
                       char error[LISTENERS_ERROR_BYTES]);

/* Let nobody in any more on what is in LISTENERS and not in OTHERS, and is ours to close, and call VISIT with each:
 * those who were let in wait in its queue still. */
void listeners_bar(const struct listeners *listeners, const struct listeners *others,
                   void (*visit)(const struct listener *listener, void *context), void *context);

/* NEXT is live: close what only PRESENT has (and remove its files), apply changed backlogs, tell of those that rest
 * from now on. NEXT is then the one to keep. */
void listeners_commit(const struct listeners *present, const struct listeners *next);

/* NEXT is given up: close what only NEXT has, and put the rights of files back. */
void listeners_abandon(const struct listeners *present, const struct listeners *next);

/* Close all that were not given; AF_UNIX files are removed if they are still ours. For stop. */
void listeners_close(struct listeners *listeners);

/* Set what connections inherit of their listener and SETTINGS say: when a client is taken for vanished, and how much
 * waits in the kernel for one that takes little. Those that are accepted already keep what they have. */
void listeners_tune(const struct listeners *listeners, const struct settings *settings);

/* Give the descriptors that are accepted on, in their order, for a birth. Returns how many. */
size_t listeners_fds(const struct listeners *listeners, int32_t fds[CONTRACT_LISTENERS_MAX]);

/* listener_mend.c: look at each socket. One that some holder broke by shutdown(2) is made to listen again, one that was
 * made to block blocks no more, each with one line in the log. Cheap; call it every second or so. Returns how many were
 * mended. */
unsigned listeners_mend(struct listeners *listeners);

/* The number of the socket FD that no other has, SO_COOKIE of socket(7); 0: it is none. */
uint64_t listeners_cookie(int fd);

/* True if one is an AF_UNIX socket that was shut down: listen(2) does not mend that. listeners_prepare binds it anew,
 * and workers must be given the new one. */
bool listeners_want_renewal(const struct listeners *listeners);

/* True if its descriptor is a stream socket bound to its address: for adopting a set from a ledger, which is never
 * trusted blindly. (Whether it listens is the business of listeners_mend.) */
bool listener_is_sound(const struct listener *listener);

#endif
