/* brief.h — why an address cannot be listened on, in half a line: what perdure says when its own bind(2) failed. */
#ifndef PERDURE_WHY_BRIEF_H
#define PERDURE_WHY_BRIEF_H

#include <stddef.h>

/* bind(2) or listen(2) of ADDRESS ("0.0.0.0:8000", "unix:/path") failed with errno NUMBER: "in use by nginx (pid 812,
 * user root, for 2 h, nginx.service); stop it, or choose another port; more: perdure why 0.0.0.0:8000" into TEXT.
 * Nothing is tried, and nobody notices that it was asked. */
void why_not_bind(const char *address, int number, char *text, size_t bytes);

#endif
