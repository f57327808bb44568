/* privilege.h — who the workers are, and how a process gives up everything else for good. */
#ifndef PERDURE_PRIVILEGE_H
#define PERDURE_PRIVILEGE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum { PRIVILEGE_GROUPS_MAX = 64, PRIVILEGE_ERROR_BYTES = 256 };

struct privilege {
    bool change; /* false: not root, there is nothing to give up */
    uid_t user;
    gid_t group;
    gid_t groups[PRIVILEGE_GROUPS_MAX];
    size_t groups_count;
};

/* Look up USER (NULL: no change of user). False with cause and remedy in error. */
bool privilege_find(const char *user, struct privilege *privilege, char error[PRIVILEGE_ERROR_BYTES]);

/* Become that user, for good: setgroups, setresgid, setresuid, no capabilities, no_new_privs; then try to come back and
 * fail. In a child, before exec. Returns NULL, or what could not be done, with errno. */
const char *privilege_drop(const struct privilege *privilege);

#endif
