/* log.c — see log.h. One line, one write(2). */
#include "supervisor/inherit/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h> /* priorities, and _PATH_LOG */
#include <time.h>
#include <unistd.h>

enum { LINE_BYTES = 2048, TEXT_BYTES = 2000 };

static char name[32] = "perdure";
static unsigned generation;
static enum log_level threshold = LOG_LEVEL_INFO;
static bool syslog_chosen;
static bool stamps_wanted = true;

static const char *const level_word[] = {
    [LOG_LEVEL_ERROR] = "error: ",
    [LOG_LEVEL_WARN] = "warning: ",
    [LOG_LEVEL_INFO] = "",
    [LOG_LEVEL_DEBUG] = "debug: ",
};
static const int level_priority[] = {
    [LOG_LEVEL_ERROR] = LOG_ERR,
    [LOG_LEVEL_WARN] = LOG_WARNING,
    [LOG_LEVEL_INFO] = LOG_INFO,
    [LOG_LEVEL_DEBUG] = LOG_DEBUG,
};

/* What could not be written since anything could be: a full disk, a full pipe. */
static struct {
    unsigned long lines;
    int error;
    bool is_cut; /* the last of them is there, but for its end */
} lost;

void log_name(const char *who)
{
    snprintf(name, sizeof name, "%s", who);
    lost.lines = 0; /* if another process had this memory before, it tells of its lines itself */
    lost.is_cut = false;
}

void log_generation(unsigned number)
{
    generation = number;
}

void log_threshold(enum log_level level)
{
    threshold = level;
}

void log_to_syslog(void)
{
    syslog_chosen = true;
}

void log_stamps(bool on)
{
    stamps_wanted = on;
}

/* ---- syslog ----
 *
 * Not by syslog(3), which makes another socket when the daemon was started anew: a worker in its sandbox cannot. */

static int syslog_fd = -1;

static void syslog_connect(void)
{
    static const struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = _PATH_LOG};
    (void)connect(syslog_fd, (const struct sockaddr *)&address, sizeof address);
}

void log_open(void)
{
    if (syslog_chosen && syslog_fd < 0) {
        syslog_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        syslog_connect();
    }
}

int log_descriptor(void)
{
    return syslog_fd;
}

/* As RFC 3164 has it, which is what daemons understand on this socket. */
static void syslog_send(int priority, const char *text)
{
    char packet[LINE_BYTES + 128];
    char stamp[32];
    time_t now = time(NULL);
    struct tm local;
    localtime_r(&now, &local);
    strftime(stamp, sizeof stamp, "%h %e %T", &local);
    int length =
        snprintf(packet, sizeof packet, "<%d>%s perdure[%d]: %s", LOG_DAEMON | priority, stamp, (int)getpid(), text);
    log_open();
    if (length > 0 && send(syslog_fd, packet, (size_t)length, MSG_NOSIGNAL) < 0 && errno != EAGAIN) {
        syslog_connect();
        (void)send(syslog_fd, packet, (size_t)length, MSG_NOSIGNAL);
    }
}

/* Append TEXT to LINE, control characters as \xNN. Returns the new length; never more than TEXT_BYTES. */
static size_t append_escaped(char *line, size_t length, const char *text)
{
    for (; *text != '\0' && length + 4 < TEXT_BYTES; text++) {
        unsigned char byte = (unsigned char)*text;
        if (byte < 0x20 || byte == 0x7f) {
            length += (size_t)sprintf(line + length, "\\x%02x", byte);
        } else {
            line[length++] = (char)byte;
        }
    }
    return length;
}

/* "2026-11-22T19:20:00+00:00 " into LINE; returns its length, 0 when no stamp is wanted. */
static size_t put_stamp(char *line, size_t size)
{
    if (!stamps_wanted || getenv("JOURNAL_STREAM") != NULL) {
        return 0;
    }
    time_t now = time(NULL);
    struct tm local;
    localtime_r(&now, &local);
    size_t length = strftime(line, size, "%Y-%m-%dT%H:%M:%S%z ", &local);
    if (length < 3) {
        return 0;
    }
    /* strftime writes +0000; RFC 3339 wants +00:00. */
    memmove(line + length - 2, line + length - 3, 3);
    line[length - 3] = ':';
    return length + 1;
}

/* Write COUNT bytes. False if not all of them went out. */
static bool write_all(const char *bytes, size_t count)
{
    size_t done = 0;
    while (done < count) {
        ssize_t written = write(STDERR_FILENO, bytes + done, count - done);
        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written <= 0) {
            lost.error = errno;
            lost.is_cut = lost.is_cut || done > 0;
            return false;
        }
        done += (size_t)written;
    }
    return true;
}

/* "2026-… worker 3 gen 12: warning: " into LINE; returns its length. */
static size_t put_front(char line[LINE_BYTES], enum log_level level)
{
    size_t length = syslog_chosen ? 0 : put_stamp(line, LINE_BYTES);
    int put = generation != 0 ? snprintf(line + length, LINE_BYTES - length, "%s gen %u: ", name, generation)
                              : snprintf(line + length, LINE_BYTES - length, "%s: ", name);
    return append_escaped(line, length + (size_t)put, level_word[level]);
}

bool log_recover(void)
{
    char line[LINE_BYTES];
    char text[128];
    if (lost.lines == 0) {
        return true;
    }
    snprintf(text, sizeof text, "%lu lines of this log could not be written: %s", lost.lines, strerror(lost.error));
    size_t length = append_escaped(line, put_front(line, LOG_LEVEL_WARN), text);
    line[length++] = '\n';
    if (lost.is_cut && write_all("\n", 1)) {
        lost.is_cut = false;
    }
    if (!lost.is_cut && write_all(line, length)) {
        lost.lines = 0;
    }
    return lost.lines == 0;
}

static void write_line(enum log_level level, const char *text)
{
    char line[LINE_BYTES];
    size_t length = append_escaped(line, put_front(line, level), text);
    if (syslog_chosen) {
        line[length] = '\0';
        syslog_send(level_priority[level], line);
        return;
    }
    line[length++] = '\n';
    /* A log that cannot be written (full disk, closed pipe) must not stop the service. */
    if (!log_recover() || !write_all(line, length)) {
        lost.lines++;
    }
}

static void log_line(enum log_level level, const char *format, va_list args)
{
    if (level > threshold) {
        return;
    }
    int saved = errno;
    char text[LINE_BYTES];
    vsnprintf(text, sizeof text, format, args);
    write_line(level, text);
    errno = saved;
}

/* The four levels differ in nothing but their name, so one definition serves them. */
#define DEFINE_LEVEL(function, level)                                                                                  \
    void function(const char *format, ...)                                                                             \
    {                                                                                                                  \
        va_list args;                                                                                                  \
        va_start(args, format);                                                                                        \
        log_line(level, format, args);                                                                                 \
        va_end(args);                                                                                                  \
    }
DEFINE_LEVEL(log_error, LOG_LEVEL_ERROR)
DEFINE_LEVEL(log_warn, LOG_LEVEL_WARN)
DEFINE_LEVEL(log_info, LOG_LEVEL_INFO)
DEFINE_LEVEL(log_debug, LOG_LEVEL_DEBUG)

noreturn void die(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    log_line(LOG_LEVEL_ERROR, format, args);
    va_end(args);
    exit(1);
}
