/* privilege.h — who the workers are, and how a process gives up everything else for good. */
#ifndef PERDURE_PRIVILEGE_H
#define PERDURE_PRIVILEGE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum { PRIVILEGE_GROUPS_MAX = 64, PRIVILEGE_ERROR_BYTES = 256, PRIVILEGE_CAPABILITIES_BYTES = 1024 };

struct privilege {
    bool change; /* false: not root, there is nothing to give up */
    uid_t user;
    gid_t group;
    gid_t groups[PRIVILEGE_GROUPS_MAX];
    size_t groups_count;
};

/* Look up USER (NULL: no change of user). False with cause and remedy in error. */
bool privilege_find(const char *user, struct privilege *privilege, char error[PRIVILEGE_ERROR_BYTES]);

/* Keep of this process's capabilities (capabilities(7)) those that a supervisor needs for life; the others go, also out
 * of what may be had by an exec. One that has none keeps none. What cannot be done is logged. */
void privilege_shed(void);

/* The names of the capabilities in effect, with a space between two; "" is none. */
void privilege_capabilities(char *text, size_t bytes);

/* Become that user, for good: setgroups, setresgid, setresuid, no capabilities, no_new_privs; then try to come back and
 * fail. In a child, before exec. Returns NULL, or what could not be done, with errno. */
const char *privilege_drop(const struct privilege *privilege);

#endif
