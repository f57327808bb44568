/* log.h — the error log: one line per event, saying who, doing what, what happened.
 *
 * A line goes out in one write(2), so lines of several processes never mix. The log is descriptor 2 (stderr, or the
 * file that the supervisor put there) or syslog(3). */
#ifndef PERDURE_INHERIT_LOG_H
#define PERDURE_INHERIT_LOG_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdnoreturn.h>

enum log_level {
    LOG_LEVEL_ERROR, /* someone must act */
    LOG_LEVEL_WARN,  /* odd, handled */
    LOG_LEVEL_INFO,  /* a step of life */
    LOG_LEVEL_DEBUG, /* for us */
};

/* Who speaks: "supervisor", "worker 3", "keeper 3". Copied, at most 31 bytes. */
void log_name(const char *who);

/* The generation NUMBER that is put behind the name ("worker 3 gen 12"); 0 leaves it out. */
void log_generation(unsigned number);

/* Lines above LEVEL are not written. The default is LOG_LEVEL_INFO. */
void log_threshold(enum log_level level);

/* Send lines to syslog(3), facility daemon, instead of descriptor 2. */
void log_to_syslog(void);

/* Open what lines go to, if it is syslog(3): from then on, nothing is opened any more. */
void log_open(void);

/* That descriptor; -1: there is none. */
int log_descriptor(void);

/* Put a time stamp (local time with offset, RFC 3339) before each line on descriptor 2; on by default unless descriptor
 * 2 is the systemd journal (JOURNAL_STREAM). */
void log_stamps(bool on);

/* printf(3)-like; no newline at the end. Control characters in the text are written as \xNN, so a request cannot forge
 * a line. A line is cut at 2000 bytes. errno is kept. */
void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* If lines could not be written, say how many as soon as that is possible. True if nothing is left to be said. Each
 * line does this by itself; who may be silent for long calls it now and then. errno may change. */
bool log_recover(void);

/* The machine's fault, at start: say cause and remedy, exit 1. */
noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
