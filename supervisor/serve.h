/* serve.h — `perdure serve`: a directory on a port, without a configuration file. */
#ifndef PERDURE_SERVE_H
#define PERDURE_SERVE_H

#include "supervisor/command_line.h"

#include <stdbool.h>
#include <stddef.h>

/* Returns the exit code when the service has stopped. */
int serve_directory(const struct command *command);

/* Remove the private run directory, if the image of the supervisor before this one was made by serve_directory. */
void serve_tidy(void);

/* ---- for the unit test ---- */

/* TEXT as a string of perdure.conf(5), quotes included. False if that is impossible (control characters) or has no
 * room. */
bool serve_quote(const char *text, char *quoted, size_t bytes);

/* The configuration for serving ROOT, malloc'ed; NULL if ROOT cannot be written in one. USER NULL: no change of user.
 */
char *serve_config(const struct command *command, const char *root, const char *run_dir, const char *user);

#endif
