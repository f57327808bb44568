/* logs.c — see logs.h. */
#include "supervisor/logs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int open_null(void)
{
    return open("/dev/null", O_WRONLY | O_CLOEXEC);
}

static int open_file(const char *path)
{
    return open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640);
}

static bool refuse(char error[LOGS_ERROR_BYTES], const char *what, const char *path)
{
    snprintf(error, LOGS_ERROR_BYTES, "%s %.300s: %s; make its directory and see that it can be written", what, path,
             strerror(errno));
    return false;
}

static int open_error_log(const char *where, bool foreground, int stderr_fd, uint32_t *to_syslog)
{
    bool is_stderr = strcmp(where, "stderr") == 0;
    *to_syslog = strcmp(where, "syslog") == 0 || (is_stderr && !foreground);
    if (*to_syslog) {
        return open_null();
    }
    return is_stderr ? fcntl(stderr_fd, F_DUPFD_CLOEXEC, 3) : open_file(where);
}

bool logs_open(const struct settings *settings, bool foreground, int stderr_fd, struct logs *logs,
               char error[LOGS_ERROR_BYTES])
{
    logs->error_fd = open_error_log(settings->error_log, foreground, stderr_fd, &logs->to_syslog);
    if (logs->error_fd < 0) {
        return refuse(error, "error_log", settings->error_log);
    }
    logs->access_fd = settings->access_log != NULL ? open_file(settings->access_log) : open_null();
    if (logs->access_fd < 0) {
        refuse(error, "access_log", settings->access_log != NULL ? settings->access_log : "/dev/null");
        close(logs->error_fd);
        logs->error_fd = -1;
        return false;
    }
    return true;
}
