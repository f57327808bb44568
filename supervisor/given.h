/* given.h — the sockets that whoever started us gave us: LISTEN_FDS, the protocol of sd_listen_fds(3).
 *
 * They are never closed by us, nor are their files touched: see listeners.h. */
#ifndef PERDURE_GIVEN_H
#define PERDURE_GIVEN_H

#include "supervisor/inherit/settings.h"
#include "supervisor/listeners.h"

#include <stdbool.h>

/* Call VISIT with each descriptor that is given to this process (LISTEN_PID), and its name (LISTEN_FDNAMES, "": none),
 * until given_take. */
void given_each(void (*visit)(int fd, const char *name, void *context), void *context);

/* Take the sockets if LISTEN_PID is this process, and remove the variables from the environment: they are meant for
 * nobody else. What is of no use is left alone, with a warning on standard error; what we had stored ourselves
 * (fd_store.h), without one. Call first of all, once. */
void given_take(struct listeners *given);

/* Add FD, a socket that somebody else made, to LISTENERS under the address that it is bound to. Returns NULL, or why it
 * is of no use. */
const char *given_add(struct listeners *listeners, int fd);

/* Remove the variables: for an image that has what was given from the one before it. */
void given_forget(void);

/* The highest descriptor in GIVEN; 2 if there is none. */
int given_last_fd(const struct listeners *given);

/* SETTINGS without a listen section mean the given sockets among LISTENERS, if there are any. False: no memory. */
bool given_are_meant(struct settings *settings, const struct listeners *listeners);

#endif
