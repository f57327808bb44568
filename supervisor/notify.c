/* notify.c — see notify.h. */
#include "supervisor/notify.h"

#include "supervisor/inherit/clock.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { STATE_BYTES = 1024, RETRY_MS = 20 };

/* What the manager had no room for when it was to be told; empty: nothing. The newest of each stands for those before.
 */
static struct {
    char life[STATE_BYTES]; /* READY=1, RELOADING=1 or STOPPING=1 */
    char status[STATE_BYTES];
} unsaid;

/* $NOTIFY_SOCKET as an address, '@' being the NUL of the abstract ones. Returns its length, 0: there is none. */
static socklen_t socket_name(struct sockaddr_un *name)
{
    const char *path = getenv("NOTIFY_SOCKET");
    size_t length = path != NULL ? strlen(path) : 0;
    if (length < 2 || length >= sizeof name->sun_path || (path[0] != '/' && path[0] != '@')) {
        return 0;
    }
    *name = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(name->sun_path, path, length);
    if (path[0] == '@') {
        name->sun_path[0] = '\0';
    }
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
}

/* Send STATE, with FD unless that is -1. */
static bool send_to(int socket_fd, const struct sockaddr_un *name, socklen_t length, const char *state, int fd)
{
    union {
        struct cmsghdr aligned;
        char bytes[CMSG_SPACE(sizeof fd)];
    } ancillary = {0};
    struct iovec piece = {.iov_base = (void *)(uintptr_t)state, .iov_len = strlen(state)};
    struct msghdr packet = {
        .msg_name = (void *)(uintptr_t)name, .msg_namelen = length, .msg_iov = &piece, .msg_iovlen = 1};
    if (fd >= 0) {
        packet.msg_control = ancillary.bytes;
        packet.msg_controllen = sizeof ancillary.bytes;
        *CMSG_FIRSTHDR(&packet) =
            (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof fd)};
        memcpy(CMSG_DATA(CMSG_FIRSTHDR(&packet)), &fd, sizeof fd);
    }
    return sendmsg(socket_fd, &packet, MSG_NOSIGNAL) >= 0;
}

/* True if there is a manager and it was told. Waits as long as PATIENCE_MS for it to read; 0: not at all. */
static bool tell_with(const char *state, int fd, unsigned patience_ms)
{
    struct sockaddr_un name;
    const struct timeval patience = {.tv_sec = patience_ms / 1000, .tv_usec = patience_ms % 1000 * 1000};
    socklen_t length = socket_name(&name);
    int flags = SOCK_DGRAM | SOCK_CLOEXEC | (patience_ms == 0 ? SOCK_NONBLOCK : 0);
    if (length == 0) {
        errno = ENOTCONN;
        return false;
    }
    int socket_fd = socket(AF_UNIX, flags, 0);
    if (socket_fd < 0) {
        return false;
    }
    bool told = setsockopt(socket_fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) == 0 &&
                send_to(socket_fd, &name, length, state, fd);
    int saved = errno;
    close(socket_fd);
    errno = saved;
    return told;
}

/* A notification that cannot be sent is not worth stopping for. */
static void tell(const char *state)
{
    (void)tell_with(state, -1, 0);
}

static bool tell_unsaid(char state[static STATE_BYTES])
{
    if (state[0] != '\0' && !tell_with(state, -1, 0) && errno == EAGAIN) {
        return false;
    }
    state[0] = '\0';
    return true;
}

uint64_t notify_turn(void)
{
    bool told = tell_unsaid(unsaid.life) && tell_unsaid(unsaid.status);
    return told ? UINT64_MAX : clock_now().ms + RETRY_MS;
}

/* Tell STATE, now or in a later turn: a manager that waits for READY=1 and never hears it waits for ever. */
static void tell_in_the_end(const char *state, char kept[static STATE_BYTES])
{
    snprintf(kept, STATE_BYTES, "%s", state);
    (void)notify_turn();
}

/* One variable a line is the protocol, so a line end in TEXT would start another variable. Those at the end go. */
static void flatten(char *text)
{
    size_t length = 0;
    for (size_t i = 0; text[i] != '\0'; i++) {
        bool blank = (unsigned char)text[i] <= 0x20 || text[i] == 0x7f;
        text[i] = blank ? ' ' : text[i];
        length = blank ? length : i + 1;
    }
    text[length] = '\0';
}

void notify_ready(pid_t main_pid, const char *status)
{
    char flat[STATE_BYTES / 2];
    snprintf(flat, sizeof flat, "%s", status);
    flatten(flat);
    char state[STATE_BYTES];
    snprintf(state, sizeof state, "READY=1\nMAINPID=%d\nSTATUS=%s", (int)main_pid, flat);
    unsaid.status[0] = '\0';
    tell_in_the_end(state, unsaid.life);
}

void notify_reloading(void)
{
    char state[STATE_BYTES];
    snprintf(state, sizeof state, "RELOADING=1\nMONOTONIC_USEC=%llu", (unsigned long long)clock_now_us());
    tell_in_the_end(state, unsaid.life);
}

void notify_stopping(void)
{
    unsaid.status[0] = '\0';
    tell_in_the_end("STOPPING=1\nSTATUS=stopping", unsaid.life);
}

void notify_status(const char *format, ...)
{
    char text[STATE_BYTES / 2];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    flatten(text);
    char state[STATE_BYTES];
    snprintf(state, sizeof state, "STATUS=%s", text);
    tell_in_the_end(state, unsaid.status);
}

/* A variable of the environment that is a number and nothing else; 0: it is not there, or is no number. */
static uint64_t number_in(const char *variable)
{
    const char *text = getenv(variable);
    char *end = NULL;
    if (text == NULL || text[0] < '0' || text[0] > '9') {
        return 0;
    }
    errno = 0;
    uint64_t number = strtoull(text, &end, 10);
    return errno == 0 && *end == '\0' ? number : 0;
}

uint64_t notify_watchdog_interval_ms(void)
{
    bool another = getenv("WATCHDOG_PID") != NULL && number_in("WATCHDOG_PID") != (uint64_t)getpid();
    return another ? 0 : number_in("WATCHDOG_USEC") / 1000;
}

void notify_watchdog(void)
{
    tell("WATCHDOG=1");
}

size_t notify_store_room(void)
{
    return getenv("NOTIFY_SOCKET") != NULL ? number_in("FDSTORE") : 0;
}

bool notify_store(int fd, const char *name)
{
    char state[STATE_BYTES];
    snprintf(state, sizeof state, "FDSTORE=1\nFDNAME=%s\nFDPOLL=0", name);
    return tell_with(state, fd, 0);
}

bool notify_unstore(const char *name, unsigned patience_ms)
{
    char state[STATE_BYTES];
    snprintf(state, sizeof state, "FDSTOREREMOVE=1\nFDNAME=%s", name);
    return tell_with(state, -1, patience_ms);
}
