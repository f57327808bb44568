/* control_call.c — the client's side of the control socket; see control.h, and control_packet.h for the protocol. */
#include "supervisor/control.h"
#include "supervisor/control_packet.h"
#include "supervisor/inherit/clock.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static enum control_outcome say(struct control_answer *answer, enum control_outcome outcome, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static enum control_outcome say(struct control_answer *answer, enum control_outcome outcome, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    free(answer->text);
    if (vasprintf(&answer->text, format, arguments) < 0) {
        answer->text = strdup("");
    }
    va_end(arguments);
    return outcome;
}

static void limit_wait(int fd, int option, struct instant end)
{
    uint64_t left_ms = end.ms == UINT64_MAX ? 0 : clock_since(clock_now(), end) + 1;
    struct timeval span = {.tv_sec = (time_t)(left_ms / 1000), .tv_usec = (suseconds_t)(left_ms % 1000) * 1000};
    setsockopt(fd, SOL_SOCKET, option, &span, sizeof span);
}

static enum control_outcome call_connect(const char *run_dir, int fd, struct control_answer *answer)
{
    struct sockaddr_un name;
    int directory_fd;
    int connected = control_socket_name(run_dir, &name, &directory_fd);
    if (connected == 0) {
        connected = connect(fd, (const struct sockaddr *)&name, sizeof name);
    }
    int number = errno;
    if (directory_fd >= 0) {
        close(directory_fd);
    }
    if (connected == 0) {
        return CONTROL_ANSWERED;
    }
    switch (number) {
    case ENOENT:
    case ENOTDIR:
    case ECONNREFUSED:
        return say(answer, CONTROL_NOBODY, "no supervisor is running in %s", run_dir);
    case EACCES:
    case EPERM:
        return say(answer, CONTROL_DENIED,
                   "%s/control.sock: %s; ask as root, as the user who started it, or as a member of its control_group",
                   run_dir, strerror(number));
    case EAGAIN:
        return say(answer, CONTROL_FAILED, "the supervisor in %s does not answer", run_dir);
    default:
        return say(answer, CONTROL_FAILED, "%s/control.sock: %s", run_dir, strerror(number));
    }
}

/* Append one packet's text. False if memory is out. */
static bool answer_append(struct control_answer *answer, size_t *bytes, const char *piece, size_t piece_bytes)
{
    char *longer = realloc(answer->text, *bytes + piece_bytes + 1);
    if (longer == NULL) {
        return false;
    }
    memcpy(longer + *bytes, piece, piece_bytes);
    *bytes += piece_bytes;
    longer[*bytes] = '\0';
    answer->text = longer;
    return true;
}

/* systemd runs its ExecReload= with MAINPID, and starts nobody in that one's place before the command is over: who
 * waited for an answer then would wait for ever. Returns a descriptor that is readable when the main process is gone;
 * -1: this is no such command. */
static int watch_main(void)
{
    const char *text = getenv("MAINPID");
    long pid = text != NULL ? strtol(text, NULL, 10) : 0;
    return pid > 0 && pid <= INT_MAX ? pidfd_open((pid_t)pid, 0) : -1;
}

/* Wait until FD is readable or END has come. False if the main process went first. */
static bool await_answer(int fd, int main_fd, struct instant end)
{
    struct pollfd watched[] = {{.fd = fd, .events = POLLIN}, {.fd = main_fd, .events = POLLIN}};
    int ready;
    do {
        uint64_t left_ms = clock_since(clock_now(), end);
        ready = poll(watched, 2, end.ms == UINT64_MAX ? -1 : (int)(left_ms < INT_MAX ? left_ms : INT_MAX));
    } while (ready < 0 && errno == EINTR);
    return ready <= 0 || watched[0].revents != 0;
}

/* MAIN_ENDED: what it means that the main process is gone. */
static enum control_outcome call_receive(int fd, int main_fd, enum control_outcome main_ended, struct instant end,
                                         struct control_answer *answer)
{
    char packet[sizeof(struct reply_head) + PIECE_BYTES];
    size_t bytes = 0;
    for (;;) {
        struct reply_head head;
        if (main_fd >= 0 && !await_answer(fd, main_fd, end)) {
            return say(answer, main_ended, "the supervisor died before it answered; the next one goes on with it");
        }
        limit_wait(fd, SO_RCVTIMEO, end);
        ssize_t got = recv(fd, packet, sizeof packet, 0);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0 && errno == EAGAIN) {
            return say(answer, CONTROL_FAILED, "the supervisor has not answered in time");
        }
        if (got == 0 || (got < 0 && errno == ECONNRESET)) {
            return say(answer, CONTROL_ENDED, "the supervisor went before it answered");
        }
        if (got < (ssize_t)sizeof head) {
            return say(answer, CONTROL_FAILED, "the supervisor's answer makes no sense; is it another version?");
        }
        memcpy(&head, packet, sizeof head);
        if (head.magic != PACKET_MAGIC ||
            !answer_append(answer, &bytes, packet + sizeof head, (size_t)got - sizeof head)) {
            return say(answer, CONTROL_FAILED, "the supervisor's answer makes no sense; is it another version?");
        }
        if (head.last != 0) {
            answer->exit_code = head.exit_code;
            return CONTROL_ANSWERED;
        }
    }
}

static enum control_outcome call(int fd, const char *run_dir, const struct request_packet *packet, struct instant end,
                                 struct control_answer *answer)
{
    limit_wait(fd, SO_SNDTIMEO, end);
    enum control_outcome outcome = call_connect(run_dir, fd, answer);
    if (outcome != CONTROL_ANSWERED) {
        return outcome;
    }
    if (send(fd, packet, sizeof *packet, MSG_NOSIGNAL) < 0) {
        return errno == EPIPE || errno == ECONNRESET
                   ? say(answer, CONTROL_ENDED, "the supervisor closed the connection")
                   : say(answer, CONTROL_FAILED, "cannot ask the supervisor: %s", strerror(errno));
    }
    int main_fd = watch_main();
    outcome = call_receive(fd, main_fd, packet->verb == CONTROL_STOP ? CONTROL_ENDED : CONTROL_FAILED, end, answer);
    if (main_fd >= 0) {
        close(main_fd);
    }
    return outcome;
}

enum control_outcome control_call(const char *run_dir, enum control_verb verb, unsigned flags, uint64_t patience_ms,
                                  struct control_answer *answer)
{
    *answer = (struct control_answer){.exit_code = 1, .text = strdup("")};
    struct request_packet packet = {.magic = PACKET_MAGIC, .verb = verb, .flags = flags};
    struct instant end = clock_after(clock_now(), patience_ms > 0 ? patience_ms : UINT64_MAX);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    enum control_outcome outcome = fd >= 0 ? call(fd, run_dir, &packet, end, answer)
                                           : say(answer, CONTROL_FAILED, "no socket to ask with: %s", strerror(errno));
    if (fd >= 0) {
        close(fd);
    }
    return outcome;
}
