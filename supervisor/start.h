/* start.h — the verbs that become a supervisor: run stays in the foreground, start goes into the background. */
#ifndef PERDURE_START_H
#define PERDURE_START_H

#include "supervisor/command_line.h"

/* Each returns the exit code. */
int start_in_foreground(const struct command *command);
int start_in_background(const struct command *command);

#endif
