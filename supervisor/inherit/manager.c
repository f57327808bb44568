/* manager.c — see manager.h. */
#include "supervisor/inherit/manager.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool is_in(const char *list, const char *directory, size_t bytes)
{
    for (;;) {
        size_t length = strcspn(list, ":");
        if (length == bytes && strncmp(list, directory, bytes) == 0) {
            return true;
        }
        if (list[length] == '\0') {
            return false;
        }
        list += length + 1;
    }
}

bool manager_has_removed(const char *path)
{
    const char *made = getenv("RUNTIME_DIRECTORY");
    const char *name = strrchr(path, '/');
    return made != NULL && name != NULL && is_in(made, path, (size_t)(name - path)) && access(path, F_OK) != 0 &&
           errno == ENOENT;
}
