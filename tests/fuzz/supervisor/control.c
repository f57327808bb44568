/* control.c — fuzzes the control socket: only whole and right requests are handed out, each client once, and whoever
 * asks properly is answered, whatever others send, and also by the next image of the supervisor.
 *
 * Input: a byte for each act (enum act) and one for the client that acts, then what the act takes. */
#include "supervisor/control.h"

#include "supervisor/control_packet.h"
#include "tests/fuzz/target.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CLIENTS = 8, PACKET_BYTES_MOST = 64, ANSWER_BYTES_MOST = 100000, ACTS_MOST = 200, OWED_MOST = 256 };

enum act {
    ACT_ASK,     /* a right request; what for and the flags come from the input */
    ACT_SEND,    /* a packet of any bytes; how many, and these */
    ACT_CONNECT, /* close what it has, connect anew */
    ACT_LEAVE,   /* close */
    ACT_SHUT,    /* no more from it; it listens still */
    ACT_READ,    /* take one packet of its answer */
    ACT_REPLY,   /* the supervisor answers whom it owes: to the oldest of them, so many bytes */
    ACT_SUCCEED, /* the supervisor dies and another image adopts what it kept */
    ACTS,
};

static char run_dir[256];
static pid_t maker;
static struct control *control;
static struct control_kept *kept;
static int clients[CLIENTS];
static uint64_t owed[OWED_MOST]; /* who was handed out and not answered yet, oldest first */
static size_t owed_count;
static bool has_spoken[CLIENTS];        /* what it sends further on this connection is nobody's business */
static size_t right_count, heard_count; /* right requests that were sent as the first word; requests handed out */

static void remove_run_dir(void)
{
    if (getpid() == maker) {
        rmdir(run_dir);
    }
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    const char *temporary = getenv("TMPDIR");
    (void)argc;
    (void)argv;
    snprintf(run_dir, sizeof run_dir, "%s/perdure-control-XXXXXX", temporary != NULL ? temporary : "/tmp");
    check(mkdtemp(run_dir) != NULL);
    maker = getpid();
    return atexit(remove_run_dir);
}

/* ---- the supervisor ---- */

static void open_control(void)
{
    char error[CONTROL_ERROR_BYTES];
    control = control_open(run_dir, error);
    kept = malloc(sizeof *kept);
    check(control != NULL && kept != NULL);
    control_keep_nothing(kept);
    control_keep(control, kept);
    owed_count = right_count = heard_count = 0;
}

static bool is_owed(uint64_t client)
{
    for (size_t i = 0; i < owed_count; i++) {
        if (owed[i] == client) {
            return true;
        }
    }
    return false;
}

static bool has_more(void)
{
    struct pollfd events = {.fd = control_fd(control), .events = POLLIN};
    return poll(&events, 1, 0) == 1;
}

static void hear_some(void)
{
    struct control_request request;
    while (control_next(control, &request)) {
        check((unsigned)request.verb < CONTROL_VERBS && !is_owed(request.client));
        check(request.uid == geteuid() && request.pid == getpid());
        check(control_owes(control, request.client));
        check(++heard_count <= right_count && owed_count < OWED_MOST);
        owed[owed_count++] = request.client;
    }
}

/* Of very many events it does a part at a time. */
static void hear(void)
{
    do {
        hear_some();
    } while (has_more());
}

static void reply(uint64_t client, size_t bytes)
{
    char *text = malloc(bytes + 1);
    check(text != NULL);
    memset(text, 'x', bytes);
    text[bytes] = '\0';
    control_reply(control, client, (int)bytes, text);
    check(!control_owes(control, client));
    free(text);
}

static void reply_oldest(size_t bytes)
{
    if (owed_count > 0) {
        reply(owed[0], bytes);
        memmove(owed, owed + 1, --owed_count * sizeof owed[0]);
    }
}

static void forget_the_gone(void)
{
    size_t left = 0;
    for (size_t i = 0; i < owed_count; i++) {
        if (control_owes(control, owed[i])) {
            owed[left++] = owed[i];
        }
    }
    owed_count = left;
}

/* The descriptors live on, as over an exec; the rest of the former image is gone. */
static void succeed(void)
{
    struct control_kept *found = (struct control_kept *)(void *)exact_copy(kept, sizeof *kept);
    found->listener_fd = dup(found->listener_fd);
    for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
        found->clients[i].fd = found->clients[i].fd >= 0 ? dup(found->clients[i].fd) : -1;
    }
    forget_the_gone();
    char path[sizeof run_dir + 32], hidden[sizeof run_dir + 32];
    snprintf(path, sizeof path, "%s/control.sock", run_dir);
    snprintf(hidden, sizeof hidden, "%s/hidden", run_dir);
    check(rename(path, hidden) == 0); /* a death removes no file */
    control_close(control);
    check(rename(hidden, path) == 0);
    control = control_adopt(run_dir, found);
    check(control != NULL);
    control_keep_nothing(kept);
    control_keep(control, kept);
    for (size_t i = 0; i < owed_count; i++) {
        check(control_owes(control, owed[i]));
    }
    free(found);
}

/* ---- its clients ---- */

static void leave(size_t client)
{
    if (clients[client] >= 0) {
        close(clients[client]);
        clients[client] = -1;
    }
}

static void join(size_t client)
{
    struct sockaddr_un name;
    int directory_fd;
    leave(client);
    check(control_socket_name(run_dir, &name, &directory_fd) == 0 && directory_fd < 0);
    clients[client] = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    has_spoken[client] = false;
    check(connect(clients[client], (const struct sockaddr *)&name, sizeof name) == 0 || errno == EAGAIN);
}

static bool is_right(const void *bytes, size_t count)
{
    struct request_packet packet;
    if (count != sizeof packet) {
        return false;
    }
    memcpy(&packet, bytes, sizeof packet);
    return packet.magic == PACKET_MAGIC && packet.verb < CONTROL_VERBS;
}

static void say(size_t client, const void *packet, size_t count)
{
    ssize_t said = send(clients[client], packet, count, MSG_NOSIGNAL);
    if (said >= 0 && !has_spoken[client]) {
        has_spoken[client] = true;
        right_count += is_right(packet, count);
    }
}

static void ask(size_t client, uint32_t verb, uint32_t flags)
{
    const struct request_packet packet = {.magic = PACKET_MAGIC, .verb = verb, .flags = flags};
    say(client, &packet, sizeof packet);
}

/* A packet of an answer: its text's bytes are 'x'. Returns false at the last one, or if there is none. */
static bool read_piece(int client, struct reply_head *head, size_t *bytes)
{
    static char packet[sizeof *head + PIECE_BYTES + 1];
    ssize_t got = recv(client, packet, sizeof packet, 0);
    if (got <= 0) {
        return false;
    }
    check((size_t)got >= sizeof *head && (size_t)got < sizeof packet);
    memcpy(head, packet, sizeof *head);
    check(head->magic == PACKET_MAGIC && head->last <= 1);
    for (size_t i = sizeof *head; i < (size_t)got; i++) {
        check(packet[i] == 'x');
    }
    *bytes += (size_t)got - sizeof *head;
    return head->last == 0;
}

static void act(enum act what, size_t client, struct input *input)
{
    struct reply_head head;
    size_t bytes = 0;
    switch (what) {
    case ACT_ASK: {
        uint32_t verb = (uint32_t)input_number(input, 1);
        ask(client, verb, (uint32_t)input_number(input, 1));
        break;
    }
    case ACT_SEND: {
        size_t length = (size_t)input_number(input, 1) % PACKET_BYTES_MOST;
        const uint8_t *packet = input_take(input, &length);
        say(client, packet, length);
        break;
    }
    case ACT_CONNECT:
        join(client);
        break;
    case ACT_LEAVE:
        leave(client);
        break;
    case ACT_SHUT:
        shutdown(clients[client], SHUT_WR);
        break;
    case ACT_READ:
        (void)read_piece(clients[client], &head, &bytes);
        break;
    case ACT_REPLY:
        reply_oldest((size_t)input_number(input, 3) % ANSWER_BYTES_MOST);
        break;
    case ACT_SUCCEED:
        succeed();
        break;
    case ACTS:
        break;
    }
}

/* Behind all that: one who asks as it should be is answered to the last byte. */
static void ask_properly(size_t answer_bytes)
{
    struct reply_head head = {.magic = 0};
    size_t bytes = 0;
    while (owed_count > 0) {
        reply_oldest(0);
    }
    for (size_t i = 0; i < CLIENTS; i++) {
        leave(i);
    }
    hear();
    owed_count = 0;
    join(0);
    ask(0, CONTROL_STATUS, CONTROL_JSON);
    hear();
    check(owed_count == 1);
    reply_oldest(answer_bytes);
    for (bool more = true; more; hear()) {
        more = read_piece(clients[0], &head, &bytes);
    }
    check(head.magic == PACKET_MAGIC && head.last == 1 && bytes == answer_bytes);
    check(head.exit_code == (int)answer_bytes);
    leave(0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    struct input input = {bytes, count};
    open_control();
    for (size_t i = 0; i < CLIENTS; i++) {
        clients[i] = -1;
        join(i);
    }
    size_t answer_bytes = (size_t)input_number(&input, 2) % (3 * PIECE_BYTES);
    for (unsigned acts = 0; input.left > 0 && acts < ACTS_MOST; acts++) {
        uint8_t how = (uint8_t)input_number(&input, 1);
        act((enum act)(how % ACTS), how / ACTS % CLIENTS, &input);
        if (how < 128) { /* else it does not get to it at once */
            hear();
        }
    }
    ask_properly(answer_bytes);
    control_close(control);
    free(kept);
    return 0;
}
