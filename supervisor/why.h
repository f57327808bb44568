/* why.h — why an address cannot be listened on, in words: the cause and what to do.
 *
 * A short form: who listens there, as far as /proc tells. Nothing here changes anything. */
#ifndef PERDURE_WHY_H
#define PERDURE_WHY_H

#include <stddef.h>

/* bind(2) or listen(2) of ADDRESS ("0.0.0.0:8000", "unix:/path") failed with errno NUMBER: "is in use by pid 123
 * (nginx); stop it, or choose another port" into TEXT. */
void why_not_bind(const char *address, int number, char *text, size_t bytes);

#endif
