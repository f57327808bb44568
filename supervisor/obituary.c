/* obituary.c — see obituary.h. */
#include "supervisor/obituary.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* Of linux/pidfd.h, where that is new enough: PIDFD_GET_INFO with PIDFD_INFO_EXIT, Linux 6.15. */
struct process_facts {
    uint64_t mask;
    uint64_t cgroup;
    uint32_t ids[11];
    int32_t exit_code; /* a wait status */
};
_Static_assert(sizeof(struct process_facts) == 64, "as the kernel's first version of it");
enum { FACTS_EXIT = 1 << 3 };
#define GET_FACTS _IOWR(0xFF, 11, struct process_facts)

/* Once somebody has reaped it. */
static bool read_pidfd(int process_fd, int *status)
{
    struct process_facts facts = {.mask = FACTS_EXIT};
    bool known = ioctl(process_fd, GET_FACTS, &facts) == 0 && (facts.mask & FACTS_EXIT) != 0;
    *status = known ? facts.exit_code : 0;
    return known;
}

/* The words of /proc/PID/stat behind the name, which ends with the last parenthesis: the state is word 0. */
static const char *stat_word(const char *text, size_t index)
{
    const char *at = strrchr(text, ')');
    for (size_t i = 0; at != NULL && i <= index; i++) {
        at = strchr(at + 1, ' ');
    }
    return at != NULL ? at + 1 : "";
}

/* While it is a zombie. */
static bool read_zombie(pid_t pid, int *status)
{
    enum { STATE = 0, EXIT_CODE = 49 };
    char path[64];
    char text[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd >= 0 ? TEMP_FAILURE_RETRY(read(fd, text, sizeof text - 1)) : -1;
    if (fd >= 0) {
        close(fd);
    }
    text[length > 0 ? length : 0] = '\0';
    const char *code = stat_word(text, EXIT_CODE);
    bool known = *stat_word(text, STATE) == 'Z' && *code >= '0' && *code <= '9';
    *status = known ? (int)strtol(code, NULL, 10) : 0;
    return known;
}

bool obituary_read(int process_fd, pid_t pid, int *status)
{
    /* It may be reaped between the first two looks. */
    return read_pidfd(process_fd, status) || read_zombie(pid, status) || read_pidfd(process_fd, status);
}
