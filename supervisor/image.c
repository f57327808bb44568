/* image.c — see image.h. */
#include "supervisor/image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ARGUMENTS_MAX = 64 };

static void keep_over_exec(int32_t *fd, void *context) // NOLINT(readability-non-const-parameter): ledger_each_fd's
{
    (void)context;
    fcntl(*fd, F_SETFD, 0);
}

/* The command line as it was, so that ps(1) shows what it always showed. COMMAND is borrowed. */
static void arguments_of(struct ledger *ledger, char *arguments[ARGUMENTS_MAX])
{
    static char name[] = "perdure";
    size_t count = 0;
    for (size_t at = 0; at < ledger->command_bytes && count < ARGUMENTS_MAX - 1;) {
        arguments[count++] = ledger->command + at;
        at += strnlen(ledger->command + at, ledger->command_bytes - at) + 1;
    }
    if (count == 0) {
        arguments[count++] = name;
    }
    arguments[count] = NULL;
}

static void end_all_with_exec(void)
{
    close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC);
}

void image_exec(struct ledger *ledger, int ledger_fd, const char *path)
{
    char *arguments[ARGUMENTS_MAX];
    char number[16];
    arguments_of(ledger, arguments);
    end_all_with_exec();
    ledger_each_fd(ledger, keep_over_exec, NULL);
    fcntl(ledger_fd, F_SETFD, 0);
    snprintf(number, sizeof number, "%d", ledger_fd);
    setenv(LEDGER_VARIABLE, number, 1);
    execv(path, arguments);
    int saved = errno;
    unsetenv(LEDGER_VARIABLE);
    end_all_with_exec();
    errno = saved;
}

void image_exec_next(struct ledger *ledger, int ledger_fd)
{
    char path[32];
    if (ledger->put_back != 0 && ledger->former_program_fd >= 0) {
        snprintf(path, sizeof path, "/proc/self/fd/%d", ledger->former_program_fd);
        image_exec(ledger, ledger_fd, path);
    }
    image_exec(ledger, ledger_fd, "/proc/self/exe");
}

bool image_is_next(void)
{
    return getenv(LEDGER_VARIABLE) != NULL;
}

int image_ledger_fd(void)
{
    const char *number = getenv(LEDGER_VARIABLE);
    int fd = number != NULL ? (int)strtol(number, NULL, 10) : -1;
    unsetenv(LEDGER_VARIABLE);
    end_all_with_exec();
    return fd;
}
