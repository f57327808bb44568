/* start.h — the verbs that become a supervisor: run stays in the foreground, start goes into the background. */
#ifndef PERDURE_START_H
#define PERDURE_START_H

#include "supervisor/command_line.h"

/* Each returns the exit code. */
int start_in_foreground(const struct command *command);
int start_in_background(const struct command *command);

/* For `stop`: a supervisor in the background for the workers in RUN_DIR that have none, so that they can be stopped as
 * all others. Says nothing but what went wrong. */
int start_to_stop(const struct command *command, const char *run_dir);

#endif
