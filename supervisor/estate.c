/* estate.c — see estate.h. */
#include "supervisor/estate.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

bool estate_add(struct estate *estate, int32_t number, int fd)
{
    if (estate->count == estate->room) {
        size_t room = 2 * estate->room + 64;
        void *longer = reallocarray(estate->all, room, sizeof *estate->all);
        if (longer == NULL) {
            return false;
        }
        estate->all = longer;
        estate->room = room;
    }
    estate->all[estate->count].number = number;
    estate->all[estate->count++].fd = fd;
    return true;
}

bool estate_has(const struct estate *estate, int32_t number)
{
    for (size_t i = 0; i < estate->count; i++) {
        if (estate->all[i].number == number) {
            return true;
        }
    }
    return false;
}

/* One that is in another's place makes way first; dup(2) takes a free number, so what has its place keeps it. */
bool estate_settle(struct estate *estate)
{
    for (size_t i = 0; i < estate->count; i++) {
        int32_t number = estate->all[i].number;
        for (size_t j = i + 1; j < estate->count; j++) {
            if (estate->all[j].fd == number) {
                estate->all[j].fd = fcntl(number, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
            }
        }
        if (estate->all[i].fd != number) {
            if (estate->all[i].fd < 0 || dup3(estate->all[i].fd, number, O_CLOEXEC) < 0) {
                return false;
            }
            close(estate->all[i].fd);
        }
    }
    return true;
}
