/* image.h — the next image of the supervisor: an exec that carries the ledger, and all that the ledger names, over. */
#ifndef PERDURE_IMAGE_H
#define PERDURE_IMAGE_H

#include "supervisor/ledger.h"

#include <stdbool.h>

/* Replace this process by the supervisor program at PATH, which finds LEDGER on descriptor LEDGER_FD and every
 * descriptor that it names under its number; all others but 0, 1 and 2 end with the exec. Returns only on failure, with
 * errno, and then every descriptor is close-on-exec. */
void image_exec(struct ledger *ledger, int ledger_fd, const char *path);

/* The same with the program that every next image is of: that of this process, or the one that was put back
 * (image_trial.h). */
void image_exec_next(struct ledger *ledger, int ledger_fd);

/* True if this process is such a next image. */
bool image_is_next(void);

/* In the next image, once: the ledger's descriptor, -1 if there is none; it and all that LEDGER_VARIABLE stood for are
 * private again. */
int image_ledger_fd(void);

#endif
