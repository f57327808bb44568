/* control.c — the supervisor's side of the control socket; see control.h, and control_packet.h for the protocol.
 *
 * Everything waits in one epoll set, which the supervisor's own set holds as a single descriptor. */
#include "supervisor/control.h"

#include "supervisor/control_packet.h"
#include "supervisor/inherit/clock.h"
#include "supervisor/inherit/log.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    CLIENT_PATIENCE_MS = 5000, /* with a client that does not ask, or does not take its answer */
    PEER_GROUPS_MOST = 256,    /* looked at; who is in more, and of ours by a later one, is not let in */
    EVENTS_AT_ONCE = 32,       /* dealt with before the supervisor looks after its workers again */
    NO_ANSWER = 4,             /* the exit code of LSB for a state that is not known */
    REST_MS = 100,             /* after the machine had no room: for a client, or for what watches it */
    TAG_LISTENER = 0,          /* in epoll's data; clients' numbers begin at TAG_CLIENTS */
    TAG_TIMER = 1,
    TAG_CLIENTS = 2,
};

const char *const control_verb_name[CONTROL_VERBS] = {
    [CONTROL_STOP] = "stop",     [CONTROL_RELOAD] = "reload", [CONTROL_RESTART] = "restart",
    [CONTROL_REOPEN] = "reopen", [CONTROL_STATUS] = "status", [CONTROL_DIFF] = "diff",
};

/* What we await of a client. */
enum client_state {
    CLIENT_NONE,      /* a free place in the table */
    CLIENT_ASKING,    /* its request */
    CLIENT_WAITING,   /* nothing of it: the supervisor owes it an answer */
    CLIENT_LISTENING, /* that it takes its answer */
};

struct client {
    enum client_state state;
    bool unwatched; /* the machine had no room for it in the epoll set: tried again */
    int fd;
    uint64_t number;
    enum control_verb verb;
    unsigned flags;
    struct ucred peer;
    struct instant deadline; /* while ASKING or LISTENING */
    int exit_code;
    char *text; /* the answer; 0 <= text_at <= text_bytes */
    size_t text_at;
    size_t text_bytes;
};

struct control {
    char *run_dir;
    int listener_fd;
    int epoll_fd;
    int timer_fd;
    struct control_kept *kept; /* borrowed from the ledger; NULL: nobody is to take over */
    uint64_t next_number;
    int64_t group;             /* its members may ask; -1: there is none */
    bool listening;            /* the listener is in the epoll set: there is a free place */
    bool warned;               /* of a rest, until somebody could be accepted again */
    struct instant rest_until; /* nobody is accepted before */
    struct client clients[CONTROL_CLIENTS_MAX];
};

static void close_one(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
        *fd = -1;
    }
}

static void file_path(const char *run_dir, char path[PATH_MAX])
{
    snprintf(path, PATH_MAX, "%s/control.sock", run_dir);
}

static void remove_file(const char *run_dir)
{
    char path[PATH_MAX];
    file_path(run_dir, path);
    unlink(path);
}

/* ---- the epoll set ---- */

static bool watch(const struct control *control, int operation, int fd, uint32_t events, uint64_t tag)
{
    struct epoll_event event = {.events = events, .data.u64 = tag};
    return epoll_ctl(control->epoll_fd, operation, fd, &event) == 0;
}

static uint64_t sooner(uint64_t one, uint64_t other)
{
    return one < other ? one : other;
}

/* Let the timer end at the nearest deadline, or never. */
static void timer_arm(const struct control *control)
{
    struct instant now = clock_now();
    uint64_t nearest = control->rest_until.ms > now.ms ? control->rest_until.ms : UINT64_MAX;
    for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
        const struct client *client = &control->clients[i];
        bool has_deadline = client->state == CLIENT_ASKING || client->state == CLIENT_LISTENING;
        nearest = has_deadline ? sooner(nearest, client->deadline.ms) : nearest;
        nearest = client->unwatched ? sooner(nearest, clock_after(now, REST_MS).ms) : nearest;
    }
    struct itimerspec when = {0};
    if (nearest != UINT64_MAX) {
        when.it_value.tv_sec = (time_t)(nearest / 1000);
        when.it_value.tv_nsec = (long)(nearest % 1000) * 1000000 + 1;
    }
    timerfd_settime(control->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
}

/* With all places taken, or the machine's, nobody is accepted: who comes waits in the kernel's queue. */
static void listener_rest_or_go(struct control *control)
{
    bool room = false;
    for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
        enum client_state state = control->clients[i].state;
        room = room || state == CLIENT_NONE || state == CLIENT_ASKING;
    }
    room = room && control->rest_until.ms <= clock_now().ms;
    if (room == control->listening) {
        return;
    }
    uint32_t events = room ? EPOLLIN : 0;
    if (watch(control, EPOLL_CTL_MOD, control->listener_fd, events, TAG_LISTENER) ||
        watch(control, EPOLL_CTL_ADD, control->listener_fd, events, TAG_LISTENER)) {
        control->listening = room;
    } else {
        control->rest_until = clock_after(clock_now(), REST_MS);
    }
}

/* ---- what the next image is to find ---- */

/* A note says which descriptor it is about last of all, and is taken back before that is closed. */
static void note_client(const struct control *control, const struct client *client)
{
    struct control_kept_client *note =
        control->kept != NULL ? &control->kept->clients[client - control->clients] : NULL;
    /* An answer of several packets is not begun anew behind its own first half. */
    bool halved = client->state == CLIENT_LISTENING && client->text_bytes > PIECE_BYTES;
    if (note == NULL) {
        return;
    }
    if (client->state == CLIENT_NONE || halved) {
        note->fd = -1;
        return;
    }
    note->verb = client->verb;
    note->flags = client->flags;
    note->client = client->number;
    note->asking = client->state == CLIENT_ASKING;
    __atomic_store_n(&note->fd, client->fd, __ATOMIC_RELEASE);
}

/* ---- clients ---- */

static void client_watch(const struct control *control, struct client *client, bool is_new)
{
    static const uint32_t events[] = {
        [CLIENT_NONE] = 0,
        [CLIENT_ASKING] = EPOLLIN | EPOLLRDHUP,
        [CLIENT_WAITING] = EPOLLRDHUP,
        [CLIENT_LISTENING] = EPOLLOUT | EPOLLRDHUP,
    };
    int operation = is_new || client->unwatched ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
    bool done = watch(control, operation, client->fd, events[client->state], client->number);
    if (!done && !client->unwatched) {
        log_warn("control socket: a client cannot be watched now: %s; trying again", strerror(errno));
    }
    client->unwatched = !done;
}

/* The only place that assigns client->state. */
static void client_enter(struct control *control, struct client *client, enum client_state next)
{
    bool is_new = client->state == CLIENT_NONE;
    client->state = next;
    client->deadline = clock_after(clock_now(), CLIENT_PATIENCE_MS);
    note_client(control, client);
    if (next != CLIENT_NONE) {
        client_watch(control, client, is_new);
    } else {
        client->unwatched = false;
    }
    timer_arm(control);
    listener_rest_or_go(control);
}

/* Its request is taken out of the queue only now. Until it has its answer another image can read it once more; and a
 * socket that is closed with something unread resets its peer, which would then not see the answer. */
static void client_forget(struct control *control, struct client *client)
{
    struct request_packet packet;
    int fd = client->fd;
    epoll_ctl(control->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
    free(client->text);
    client->text = NULL;
    client_enter(control, client, CLIENT_NONE);
    ssize_t ignored = TEMP_FAILURE_RETRY(recv(fd, &packet, sizeof packet, MSG_DONTWAIT));
    (void)ignored;
    close_one(&client->fd);
}

static struct client *client_find(struct control *control, uint64_t number)
{
    for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
        struct client *client = &control->clients[i];
        if (client->state != CLIENT_NONE && client->number == number) {
            return client;
        }
    }
    return NULL;
}

/* It has not asked, nor is its request on the way to us. */
static bool client_is_silent(const struct client *client)
{
    char byte;
    return client->state == CLIENT_ASKING && recv(client->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

/* The one that came first of those that are silent; NULL: there is none. */
static struct client *client_most_silent(struct control *control)
{
    struct client *found = NULL;
    for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
        struct client *client = &control->clients[i];
        if ((found == NULL || client->number < found->number) && client_is_silent(client)) {
            found = client;
        }
    }
    return found;
}

static struct client *client_place(struct control *control)
{
    for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
        if (control->clients[i].state == CLIENT_NONE) {
            return &control->clients[i];
        }
    }
    return NULL;
}

/* Who asks does so at once, and who only holds a place has to give it up when others come. */
static struct client *client_make_place(struct control *control)
{
    struct client *place = client_place(control);
    struct client *silent = place == NULL ? client_most_silent(control) : NULL;
    if (silent != NULL) {
        client_forget(control, silent);
    }
    return place != NULL ? place : silent;
}

static bool peer_look(int fd, struct ucred *peer)
{
    socklen_t length = sizeof *peer;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, peer, &length) == 0;
}

/* Of its own group or of one of its others (SO_PEERGROUPS), as it was when it connected. */
static bool peer_is_of(int fd, const struct ucred *peer, gid_t group)
{
    gid_t groups[PEER_GROUPS_MOST];
    socklen_t length = sizeof groups;
    bool found = peer->gid == group;
    if (!found && getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &length) == 0) {
        for (size_t i = 0; i < length / sizeof groups[0]; i++) {
            found = found || groups[i] == group;
        }
    }
    return found;
}

static bool client_is_allowed(const struct control *control, int fd, struct ucred *peer)
{
    return peer_look(fd, peer) && (peer->uid == 0 || peer->uid == geteuid() ||
                                   (control->group >= 0 && peer_is_of(fd, peer, (gid_t)control->group)));
}

/* The listener goes on to say that somebody waits, for as long as nobody accepts. */
static void listener_rest(struct control *control)
{
    if (!control->warned) {
        log_warn("control socket: nobody can be accepted now: %s; trying again", strerror(errno));
    }
    control->warned = true;
    control->rest_until = clock_after(clock_now(), REST_MS);
    listener_rest_or_go(control);
    timer_arm(control);
}

static void client_accept(struct control *control)
{
    struct ucred peer;
    struct client *client = client_make_place(control);
    int fd = -1;
    do {
        fd = client != NULL ? accept4(control->listener_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC) : -1;
    } while (client != NULL && fd < 0 && errno == EINTR);
    if (fd < 0) {
        if (client != NULL && errno != EAGAIN && errno != ECONNABORTED) {
            listener_rest(control);
        }
        return;
    }
    control->warned = false;
    if (!client_is_allowed(control, fd, &peer)) {
        close(fd);
        return;
    }
    *client = (struct client){.state = CLIENT_NONE, .fd = fd, .number = control->next_number++, .peer = peer};
    client_enter(control, client, CLIENT_ASKING);
}

/* True if a whole request came; it stays in the queue. Anything else costs the client its connection. */
static bool client_read(struct control *control, struct client *client)
{
    struct request_packet packet;
    /* MSG_TRUNC: a packet that is too long shows its real length. */
    ssize_t got = TEMP_FAILURE_RETRY(recv(client->fd, &packet, sizeof packet, MSG_TRUNC | MSG_PEEK));
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return false;
    }
    if (got != (ssize_t)sizeof packet || packet.magic != PACKET_MAGIC || packet.verb >= CONTROL_VERBS) {
        client_forget(control, client);
        return false;
    }
    client->verb = (enum control_verb)packet.verb;
    client->flags = packet.flags;
    client_enter(control, client, CLIENT_WAITING);
    return true;
}

/* Send the next piece of the answer. Returns 1 when the last one is out, 0 when there is more, -1 with errno. */
static int client_send_piece(struct client *client)
{
    size_t left = client->text_bytes - client->text_at;
    size_t piece = left < PIECE_BYTES ? left : PIECE_BYTES;
    struct reply_head head = {.magic = PACKET_MAGIC, .last = piece == left, .exit_code = client->exit_code};
    struct iovec parts[2] = {{&head, sizeof head}, {client->text + client->text_at, piece}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    if (sendmsg(client->fd, &message, MSG_NOSIGNAL) < 0) {
        return -1;
    }
    client->text_at += piece;
    return piece == left;
}

static void client_write(struct control *control, struct client *client)
{
    int sent;
    do {
        sent = client_send_piece(client);
    } while (sent == 0 || (sent < 0 && errno == EINTR));
    if (sent < 0 && errno == EAGAIN) {
        return;
    }
    client_forget(control, client); /* all of it is in the client's queue, or the client is gone */
}

/* Whom the machine had no room for is tried again, and who is late is forgotten. */
static void on_timer(struct control *control)
{
    uint64_t ticks;
    ssize_t ignored = read(control->timer_fd, &ticks, sizeof ticks);
    (void)ignored;
    struct instant now = clock_now();
    for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
        struct client *client = &control->clients[i];
        bool has_deadline = client->state == CLIENT_ASKING || client->state == CLIENT_LISTENING;
        if (has_deadline && client->deadline.ms <= now.ms) {
            client_forget(control, client);
        } else if (client->unwatched) {
            client_watch(control, client, false);
        }
    }
    listener_rest_or_go(control);
    timer_arm(control);
}

/* ---- the server ---- */

static struct control *control_new(const char *run_dir)
{
    struct control *control = calloc(1, sizeof *control);
    if (control == NULL) {
        return NULL;
    }
    control->run_dir = strdup(run_dir);
    control->listener_fd = -1;
    control->group = -1;
    control->next_number = TAG_CLIENTS;
    control->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    control->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (control->run_dir == NULL || control->epoll_fd < 0 || control->timer_fd < 0) {
        control_close(control);
        return NULL;
    }
    if (!watch(control, EPOLL_CTL_ADD, control->timer_fd, EPOLLIN, TAG_TIMER)) {
        control_close(control);
        return NULL;
    }
    return control;
}

static void listener_take(struct control *control, int fd)
{
    control->listener_fd = fd;
    control->listening = watch(control, EPOLL_CTL_ADD, fd, EPOLLIN, TAG_LISTENER);
    if (!control->listening) {
        listener_rest(control);
    }
}

/* Bind at NAME with mode 0600 from the first moment on. */
static int bind_private(int fd, const struct sockaddr_un *name)
{
    mode_t before = umask(0177);
    int bound = bind(fd, (const struct sockaddr *)name, sizeof *name);
    int number = errno;
    umask(before);
    errno = number;
    return bound;
}

static int listener_open(const char *run_dir)
{
    struct sockaddr_un name;
    int directory_fd;
    if (control_socket_name(run_dir, &name, &directory_fd) != 0) {
        return -1;
    }
    remove_file(run_dir); /* the caller holds the lock: whoever made it is dead */
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd >= 0 && (bind_private(fd, &name) != 0 || listen(fd, CONTROL_CLIENTS_MAX) != 0)) {
        int number = errno;
        close_one(&fd);
        remove_file(run_dir);
        errno = number;
    }
    close_one(&directory_fd);
    return fd;
}

struct control *control_open(const char *run_dir, char error[CONTROL_ERROR_BYTES])
{
    int fd = listener_open(run_dir);
    struct control *control = fd >= 0 ? control_new(run_dir) : NULL;
    if (control == NULL) {
        snprintf(error, CONTROL_ERROR_BYTES, "cannot make the control socket %.200s/control.sock: %s; %s", run_dir,
                 strerror(errno), "see that the directory can be written and has room, or set run_dir to another");
        if (fd >= 0) {
            close(fd);
            remove_file(run_dir);
        }
        return NULL;
    }
    listener_take(control, fd);
    return control;
}

/* Mode 0660 is given last, and taken first. */
static bool file_permit(const char *path, int64_t group)
{
    bool closed = chmod(path, 0600) == 0 && chown(path, (uid_t)-1, group >= 0 ? (gid_t)group : getegid()) == 0;
    return closed && (group < 0 || chmod(path, 0660) == 0);
}

void control_permit(struct control *control, const char *group)
{
    char path[PATH_MAX];
    const struct group *found = group != NULL ? getgrnam(group) : NULL;
    control->group = found != NULL ? (int64_t)found->gr_gid : -1;
    file_path(control->run_dir, path);
    bool permitted = file_permit(path, control->group);
    if (group != NULL && found == NULL) {
        log_warn("%s: there is no group %s any more: its members may not ask", path, group);
    } else if (!permitted && (group != NULL || errno != ENOENT)) {
        log_warn("%s cannot be given to group %s: %s", path, group != NULL ? group : "of ours", strerror(errno));
    }
}

int control_fd(const struct control *control)
{
    return control->epoll_fd;
}

/* Deal with one event. True if it brought a request. */
static bool control_step(struct control *control, const struct epoll_event *event, struct control_request *request)
{
    if (event->data.u64 == TAG_LISTENER) {
        client_accept(control);
        return false;
    }
    if (event->data.u64 == TAG_TIMER) {
        on_timer(control);
        return false;
    }
    struct client *client = client_find(control, event->data.u64);
    if (client == NULL) {
        return false;
    }
    if (client->state == CLIENT_ASKING && (event->events & EPOLLIN) != 0) {
        if (!client_read(control, client)) {
            return false;
        }
        *request = (struct control_request){.client = client->number,
                                            .verb = client->verb,
                                            .flags = client->flags,
                                            .pid = client->peer.pid,
                                            .uid = client->peer.uid};
        return true;
    }
    if (client->state == CLIENT_LISTENING && (event->events & EPOLLOUT) != 0) {
        client_write(control, client);
    } else if ((event->events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) {
        client_forget(control, client);
    }
    return false;
}

bool control_next(struct control *control, struct control_request *request)
{
    struct epoll_event event;
    /* One event at a time: what is not looked at now, level triggering shows again. */
    for (int i = 0; i < EVENTS_AT_ONCE && TEMP_FAILURE_RETRY(epoll_wait(control->epoll_fd, &event, 1, 0)) == 1; i++) {
        if (control_step(control, &event, request)) {
            return true;
        }
    }
    return false;
}

void control_reply(struct control *control, uint64_t client, int exit_code, const char *text)
{
    struct client *owed = client_find(control, client);
    if (owed == NULL || owed->state != CLIENT_WAITING) {
        return;
    }
    owed->text = strdup(text);
    owed->text_bytes = owed->text != NULL ? strlen(text) : 0;
    owed->text_at = 0;
    /* An answer that is nothing but its text cannot go without it; of the others the result counts. */
    bool is_text = owed->verb == CONTROL_STATUS || owed->verb == CONTROL_DIFF;
    owed->exit_code = owed->text == NULL && is_text ? NO_ANSWER : exit_code;
    client_enter(control, owed, CLIENT_LISTENING);
    client_write(control, owed);
}

bool control_owes(struct control *control, uint64_t client)
{
    const struct client *owed = client_find(control, client);
    return owed != NULL && owed->state == CLIENT_WAITING;
}

void control_hide(const struct control *control)
{
    remove_file(control->run_dir);
}

void control_close(struct control *control)
{
    if (control->listener_fd >= 0) {
        remove_file(control->run_dir);
    }
    for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
        if (control->clients[i].state != CLIENT_NONE) {
            close_one(&control->clients[i].fd);
            free(control->clients[i].text);
        }
    }
    close_one(&control->listener_fd);
    close_one(&control->epoll_fd);
    close_one(&control->timer_fd);
    free(control->run_dir);
    free(control);
}

/* ---- across images ---- */

void control_keep_nothing(struct control_kept *kept)
{
    memset(kept, 0, sizeof *kept);
    kept->listener_fd = -1;
    for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
        kept->clients[i].fd = -1;
    }
}

void control_keep(struct control *control, struct control_kept *kept)
{
    control->kept = kept;
    kept->listener_fd = control->listener_fd;
    for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
        note_client(control, &control->clients[i]);
    }
}

void control_hear_again(struct control *control, uint64_t client)
{
    struct client *unanswered = client_find(control, client);
    if (unanswered != NULL && unanswered->state == CLIENT_WAITING) {
        client_enter(control, unanswered, CLIENT_ASKING);
    }
}

static bool is_seqpacket(int fd, int listens)
{
    int type = 0;
    int accepts = 0;
    socklen_t length = sizeof type;
    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) == 0 && type == SOCK_SEQPACKET &&
           getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &accepts, &length) == 0 && accepts == listens;
}

/* The client of NOTE, or its descriptor closed if it is not one. */
static void client_adopt(struct control *control, const struct control_kept_client *note)
{
    if (!is_seqpacket(note->fd, 0)) {
        return; /* whatever it is, it is not ours to close */
    }
    struct ucred peer;
    struct client *client = client_place(control);
    if (client == NULL || note->client < TAG_CLIENTS || note->client >= UINT64_MAX - CONTROL_CLIENTS_MAX ||
        note->verb >= CONTROL_VERBS || client_find(control, note->client) != NULL || !peer_look(note->fd, &peer)) {
        close(note->fd);
        return;
    }
    fcntl(note->fd, F_SETFD, FD_CLOEXEC);
    *client = (struct client){.fd = note->fd,
                              .number = note->client,
                              .verb = (enum control_verb)note->verb,
                              .flags = note->flags,
                              .peer = peer};
    client_enter(control, client, note->asking != 0 ? CLIENT_ASKING : CLIENT_WAITING);
    control->next_number = note->client >= control->next_number ? note->client + 1 : control->next_number;
}

struct control *control_adopt(const char *run_dir, const struct control_kept *kept)
{
    if (!is_seqpacket(kept->listener_fd, 1)) {
        errno = ENOTSOCK;
        return NULL;
    }
    struct control *control = control_new(run_dir);
    if (control == NULL) {
        return NULL;
    }
    /* listen(2) once more: SO_PEERCRED tells clients the pid of the process that listened last. */
    listen(kept->listener_fd, CONTROL_CLIENTS_MAX);
    fcntl(kept->listener_fd, F_SETFD, FD_CLOEXEC);
    listener_take(control, kept->listener_fd);
    for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
        client_adopt(control, &kept->clients[i]);
    }
    listener_rest_or_go(control);
    return control;
}
