/* begin.h — the start of a service: configuration, user, lock, listeners, logs, first workers, in this order. */
#ifndef PERDURE_BEGIN_H
#define PERDURE_BEGIN_H

#include "supervisor/supervise.h"
#include "supervisor/supervisor.h"

/* Up to the first workers' forks; the loop waits for them. False with *exit_code (1 unless changed), everything undone
 * and the reason said. */
bool begin(struct supervisor *s, const struct supervise_options *options, int *exit_code);

/* The start failed: say why to whoever started us, and to the log if that is elsewhere. Returns 1. */
int begin_fail(struct supervisor *s, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Tell whoever started us in the background, and let go of it. */
void begin_tell_starter(struct supervisor *s, const char *text);

/* Leave nothing behind but the lock file. */
void begin_undo(struct supervisor *s);

#endif
