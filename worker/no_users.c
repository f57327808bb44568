/* no_users.c — a worker asks for no users: these take the place of the C library's getpwnam(3) and getpwuid(3), which
 * libconfuse calls for "~" in a path that it is asked to expand; we never ask. The C library's own would need its
 * shared objects at run time, even in a program that is linked statically. */
#include <pwd.h>
#include <stddef.h>

struct passwd *getpwnam(const char *name)
{
    (void)name;
    return NULL;
}

struct passwd *getpwuid(uid_t uid)
{
    (void)uid;
    return NULL;
}
