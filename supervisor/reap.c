/* reap.c — see reap.h. */
#include "supervisor/reap.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* A wait status, as wait(2) would have given it. */
static int status_of(const siginfo_t *child)
{
    return child->si_code == CLD_EXITED ? W_EXITCODE(child->si_status, 0) : W_EXITCODE(0, child->si_status);
}

pid_t reap_peek(int *status)
{
    siginfo_t child = {0};
    int got;
    do {
        got = waitid(P_ALL, 0, &child, WEXITED | WNOHANG | WNOWAIT);
    } while (got != 0 && errno == EINTR);
    *status = status_of(&child);
    return got != 0 ? -1 : child.si_pid;
}

void reap(pid_t pid)
{
    while (waitpid(pid, NULL, WNOHANG) < 0 && errno == EINTR) {
    }
}

bool reap_is_ours(pid_t pid)
{
    siginfo_t child = {0};
    return pid > 0 && waitid(P_PID, (id_t)pid, &child, WEXITED | WNOHANG | WNOWAIT) == 0;
}

uint64_t reap_oom_kills(void)
{
    static char text[16 * 1024]; /* some 170 lines */
    int fd = open("/proc/vmstat", O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return 0;
    }
    ssize_t length = read(fd, text, sizeof text - 1);
    close(fd);
    text[length > 0 ? length : 0] = '\0';
    const char *line = strstr(text, "\noom_kill ");
    return line != NULL ? strtoull(line + strlen("\noom_kill "), NULL, 10) : 0;
}

struct succession_death reap_death(int status, uint64_t *oom_kills)
{
    struct succession_death death = {0};
    if (!WIFSIGNALED(status)) {
        death.exit_code = WEXITSTATUS(status);
        return death;
    }
    death.signal = WTERMSIG(status);
    if (death.signal == SIGKILL) {
        uint64_t now = reap_oom_kills();
        death.oom = now > *oom_kills;
        *oom_kills = now;
    }
    return death;
}
