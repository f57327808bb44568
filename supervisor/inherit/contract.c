/* contract.c — a birth over exec, and messages with descriptors over the channels; see contract.h. */
#include "supervisor/inherit/contract.h"

#include "supervisor/inherit/check.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

const char *const birth_cause_name[BIRTH_CAUSES] = {
    [BIRTH_FRESH] = "fresh", [BIRTH_CRASH] = "crash",   [BIRTH_KILLED] = "kill",
    [BIRTH_HANG] = "hang",   [BIRTH_RELOAD] = "reload", [BIRTH_UPGRADE] = "upgrade",
};

/* ---- birth ---- */

enum { BIRTH_NUMBERS = 18 };

/* The numbers of a birth in the order in which they travel; listener_fds follow. */
static void birth_to_numbers(const struct birth *birth, long numbers[BIRTH_NUMBERS])
{
    const long all[BIRTH_NUMBERS] = {
        birth->version,    birth->slot,       birth->generation, birth->cause,           birth->signal,
        birth->syslog,     birth->control_fd, birth->keeper_fd,  birth->snapshot_fd,     birth->access_log_fd,
        birth->program_fd, birth->cell_fd,    birth->epoll_fd,   birth->listeners_count, birth->door_fd,
        birth->ledger_fd,  birth->handed_fd,  birth->tally_fd,
    };
    memcpy(numbers, all, sizeof all);
}

void birth_write(const struct birth *birth, char text[BIRTH_TEXT_BYTES])
{
    long numbers[BIRTH_NUMBERS];
    birth_to_numbers(birth, numbers);
    size_t length = 0;
    for (size_t i = 0; i < BIRTH_NUMBERS; i++) {
        length += (size_t)snprintf(text + length, BIRTH_TEXT_BYTES - length, "%ld ", numbers[i]);
    }
    for (size_t i = 0; i < birth->listeners_count && i < CONTRACT_LISTENERS_MAX; i++) {
        length += (size_t)snprintf(text + length, BIRTH_TEXT_BYTES - length, "%d ", birth->listener_fds[i]);
    }
    text[length - 1] = '\0';
}

/* Read one number from *TEXT and step behind it. False if there is none or it is out of LOW..HIGH. */
static bool take_number(const char **text, long low, long high, long *number)
{
    char *end;
    errno = 0;
    *number = strtol(*text, &end, 10);
    bool whole = end != *text && errno == 0 && *number >= low && *number <= high;
    *text = end;
    return whole;
}

static void birth_from_numbers(struct birth *birth, const long numbers[BIRTH_NUMBERS])
{
    *birth = (struct birth){
        .version = (uint32_t)numbers[0],
        .slot = (uint32_t)numbers[1],
        .generation = (uint32_t)numbers[2],
        .cause = (uint32_t)numbers[3],
        .signal = (int32_t)numbers[4],
        .syslog = (uint32_t)numbers[5],
        .error_log_fd = STDERR_FILENO,
        .control_fd = (int32_t)numbers[6],
        .keeper_fd = (int32_t)numbers[7],
        .snapshot_fd = (int32_t)numbers[8],
        .access_log_fd = (int32_t)numbers[9],
        .program_fd = (int32_t)numbers[10],
        .cell_fd = (int32_t)numbers[11],
        .epoll_fd = (int32_t)numbers[12],
        .listeners_count = (uint32_t)numbers[13],
        .door_fd = (int32_t)numbers[14],
        .ledger_fd = (int32_t)numbers[15],
        .handed_fd = (int32_t)numbers[16],
        .tally_fd = (int32_t)numbers[17],
    };
}

bool birth_read(struct birth *birth, const char *text)
{
    long numbers[BIRTH_NUMBERS];
    for (size_t i = 0; i < BIRTH_NUMBERS; i++) {
        if (!take_number(&text, -1, INT32_MAX, &numbers[i])) {
            return false;
        }
    }
    birth_from_numbers(birth, numbers);
    if (birth->version != CONTRACT_VERSION || birth->cause >= BIRTH_CAUSES ||
        birth->listeners_count > CONTRACT_LISTENERS_MAX) {
        return false;
    }
    for (size_t i = 0; i < birth->listeners_count; i++) {
        long fd;
        if (!take_number(&text, 0, INT32_MAX, &fd)) {
            return false;
        }
        birth->listener_fds[i] = (int32_t)fd;
    }
    return *text == '\0';
}

/* Let the new image have FD. */
static void pass_on(int fd)
{
    if (fd >= 0) {
        fcntl(fd, F_SETFD, 0);
    }
}

static void pass_on_all(const struct birth *birth)
{
    pass_on(birth->control_fd);
    pass_on(birth->keeper_fd);
    pass_on(birth->snapshot_fd);
    pass_on(birth->access_log_fd);
    pass_on(birth->cell_fd);
    pass_on(birth->epoll_fd);
    pass_on(birth->door_fd);
    pass_on(birth->ledger_fd);
    pass_on(birth->handed_fd);
    pass_on(birth->tally_fd);
    for (size_t i = 0; i < birth->listeners_count; i++) {
        pass_on(birth->listener_fds[i]);
    }
}

bool birth_announce(const struct birth *birth)
{
    /* The new image's own program comes from /proc/self/exe; this descriptor ends with the exec. */
    struct birth travelling = *birth;
    travelling.program_fd = -1;
    char text[BIRTH_TEXT_BYTES];
    birth_write(&travelling, text);
    return setenv(BIRTH_VARIABLE, text, 1) == 0;
}

void birth_exec(const struct birth *birth)
{
    pass_on_all(birth);
    if (birth->error_log_fd != STDERR_FILENO && dup2(birth->error_log_fd, STDERR_FILENO) < 0) {
        return;
    }
    /* Wide enough for the keeper's title as well, which is written over it. */
    char title[48];
    snprintf(title, sizeof title, "perdure: worker %-20u", birth->slot);
    char *const argv[] = {title, NULL};
    if (birth->program_fd >= 0) {
        syscall(SYS_execveat, birth->program_fd, "", argv, environ, 0x1000 /* AT_EMPTY_PATH */);
    } else {
        execv("/proc/self/exe", argv);
    }
}

/* ---- channels ---- */

union ancillary {
    struct cmsghdr header; /* for its alignment */
    char bytes[CMSG_SPACE(sizeof(int) * CONTRACT_FDS_MAX) + CMSG_SPACE(sizeof(struct ucred))];
};

int channel_send(int fd, const void *message, size_t bytes, const int *fds, size_t count)
{
    struct iovec piece = {.iov_base = (void *)(uintptr_t)message, .iov_len = bytes};
    struct msghdr packet = {.msg_iov = &piece, .msg_iovlen = 1};
    union ancillary ancillary = {0};
    if (count > CONTRACT_FDS_MAX) {
        errno = EINVAL;
        return -1;
    }
    if (count > 0) {
        packet.msg_control = ancillary.bytes;
        packet.msg_controllen = CMSG_SPACE(sizeof(int) * count);
        struct cmsghdr *header = CMSG_FIRSTHDR(&packet);
        check(header != NULL);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int) * count);
        memcpy(CMSG_DATA(header), fds, sizeof(int) * count);
    }
    ssize_t sent;
    do {
        sent = sendmsg(fd, &packet, MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (sent < 0 && errno == EINTR);
    return sent < 0 ? -1 : 0;
}

/* A full queue empties, and memory comes back: a report that is lost would cost a life. */
int channel_report(int fd, const struct report *report)
{
    enum { TRIES = 100, PAUSE_MS = 1 };
    int sent = channel_send(fd, report, sizeof *report, NULL, 0);
    for (int i = 0; i < TRIES && sent != 0 && (errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM); i++) {
        (void)poll(NULL, 0, PAUSE_MS);
        sent = channel_send(fd, report, sizeof *report, NULL, 0);
    }
    return sent;
}

/* Move the descriptors of one SCM_RIGHTS header to FDS, close those beyond ROOM. Returns how many FDS holds now. */
static size_t take_descriptors(const struct cmsghdr *header, int *fds, size_t held, size_t room)
{
    size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; i++) {
        int fd;
        memcpy(&fd, CMSG_DATA(header) + i * sizeof fd, sizeof fd);
        if (held < room) {
            fds[held++] = fd;
        } else {
            close(fd);
        }
    }
    return held;
}

static void take_ancillary(struct msghdr *packet, int *fds, size_t *count, pid_t *sender)
{
    size_t room = count != NULL ? *count : 0;
    size_t held = 0;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(packet); header != NULL; header = CMSG_NXTHDR(packet, header)) {
        if (header->cmsg_level != SOL_SOCKET) {
            continue;
        }
        if (header->cmsg_type == SCM_RIGHTS) {
            held = take_descriptors(header, fds, held, room);
        } else if (header->cmsg_type == SCM_CREDENTIALS && sender != NULL) {
            struct ucred credentials;
            memcpy(&credentials, CMSG_DATA(header), sizeof credentials);
            *sender = credentials.pid;
        }
    }
    if (count != NULL) {
        *count = held;
    }
}

static int receive(int fd, void *message, size_t bytes, int *fds, size_t *count, pid_t *sender, int flags)
{
    struct iovec piece = {.iov_base = message, .iov_len = bytes};
    union ancillary ancillary = {0};
    struct msghdr packet = {
        .msg_iov = &piece, .msg_iovlen = 1, .msg_control = ancillary.bytes, .msg_controllen = sizeof ancillary.bytes};
    if (sender != NULL) {
        *sender = -1;
    }
    ssize_t got;
    do {
        got = recvmsg(fd, &packet, flags);
    } while (got < 0 && errno == EINTR);
    if (got < 0) {
        if (count != NULL) {
            *count = 0;
        }
        return -1;
    }
    take_ancillary(&packet, fds, count, sender);
    if (got == 0) {
        return 0;
    }
    if ((size_t)got != bytes || (packet.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
        for (size_t i = 0; count != NULL && i < *count; i++) {
            close(fds[i]);
        }
        if (count != NULL) {
            *count = 0;
        }
        errno = EBADMSG;
        return -1;
    }
    return 1;
}

int channel_receive(int fd, void *message, size_t bytes, int *fds, size_t *count, pid_t *sender)
{
    return receive(fd, message, bytes, fds, count, sender, MSG_CMSG_CLOEXEC);
}

int channel_inherit(int fd, void *message, size_t bytes, int *fds, size_t *count)
{
    return receive(fd, message, bytes, fds, count, NULL, 0);
}

int parcel_receive(int fd, struct parcel *parcel, int *connection)
{
    size_t count = 1;
    *connection = -1;
    return receive(fd, parcel, sizeof *parcel, connection, &count, NULL, 0);
}

int channel_pair(int ends[2])
{
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
        return -1;
    }
    int on = 1;
    if (setsockopt(ends[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof on) != 0 || fcntl(ends[0], F_SETFL, O_NONBLOCK) != 0) {
        int saved = errno;
        close(ends[0]);
        close(ends[1]);
        errno = saved;
        return -1;
    }
    return 0;
}
