/* bequest.c — see bequest.h. */
#include "supervisor/bequest.h"

#include "supervisor/estate.h"
#include "supervisor/image.h"
#include "supervisor/inherit/contract.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BEQUEST_MAGIC = 0x50455242, FDS_AT_ONCE = 64, PATIENCE_MS = 2000 };

/* The first packet; then as many as it takes of the second kind, each with its descriptors. */
struct bequest_head {
    uint32_t magic;
    uint32_t ledger_version;
    uint32_t contract_version;
    uint32_t count; /* of descriptors */
    int32_t ledger_fd;
};
struct bequest_piece {
    uint32_t count;
    int32_t numbers[FDS_AT_ONCE];
};

/* RUN_DIR/keeper.sock; through the directory's descriptor when the path is too long for a socket's name. */
static bool socket_name(const char *run_dir, struct sockaddr_un *name)
{
    name->sun_family = AF_UNIX;
    int length = snprintf(name->sun_path, sizeof name->sun_path, "%s/keeper.sock", run_dir);
    return length < (int)sizeof name->sun_path;
}

/* ---- in the keeper ---- */

int bequest_open(const char *run_dir)
{
    struct sockaddr_un name;
    if (!socket_name(run_dir, &name)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    unlink(name.sun_path); /* of a keeper that is gone: there is one at a time */
    mode_t before = umask(0177);
    bool opened = fd >= 0 && bind(fd, (struct sockaddr *)&name, sizeof name) == 0 && listen(fd, 4) == 0;
    umask(before);
    if (!opened && fd >= 0) {
        int saved = errno;
        close(fd);
        errno = saved;
        fd = -1;
    }
    return fd;
}

void bequest_close(const char *run_dir, int *listener_fd)
{
    struct sockaddr_un name;
    if (*listener_fd >= 0 && socket_name(run_dir, &name)) {
        unlink(name.sun_path);
        close(*listener_fd);
    }
    *listener_fd = -1;
}

static void collect(int32_t *fd, void *context) // NOLINT(readability-non-const-parameter): ledger_each_fd's
{
    if (fcntl(*fd, F_GETFD) >= 0) {
        (void)estate_add(context, *fd, *fd);
    }
}

static bool send_piece(int fd, const struct estate *estate, size_t from)
{
    struct bequest_piece piece = {0};
    int fds[FDS_AT_ONCE];
    for (size_t i = from; i < estate->count && piece.count < FDS_AT_ONCE; i++) {
        fds[piece.count] = estate->all[i].fd;
        piece.numbers[piece.count++] = estate->all[i].number;
    }
    struct pollfd room = {.fd = fd, .events = POLLOUT};
    return TEMP_FAILURE_RETRY(poll(&room, 1, PATIENCE_MS)) == 1 &&
           channel_send(fd, &piece, sizeof piece, fds, piece.count) == 0;
}

static bool send_all(int fd, const struct estate *estate, int ledger_fd)
{
    const struct bequest_head head = {.magic = BEQUEST_MAGIC,
                                      .ledger_version = LEDGER_VERSION,
                                      .contract_version = CONTRACT_VERSION,
                                      .count = (uint32_t)estate->count,
                                      .ledger_fd = ledger_fd};
    bool sent = channel_send(fd, &head, sizeof head, NULL, 0) == 0;
    for (size_t i = 0; sent && i < estate->count; i += FDS_AT_ONCE) {
        sent = send_piece(fd, estate, i);
    }
    return sent;
}

pid_t bequest_give(int listener_fd, struct ledger *ledger, int ledger_fd)
{
    struct ucred heir = {0};
    socklen_t length = sizeof heir;
    struct estate estate = {0};
    int fd = accept4(listener_fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0) {
        return 0;
    }
    bool may = getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &heir, &length) == 0 && (heir.uid == 0 || heir.uid == geteuid());
    ledger_each_fd(ledger, collect, &estate);
    bool given = may && estate_add(&estate, ledger_fd, ledger_fd) && send_all(fd, &estate, ledger_fd);
    free(estate.all);
    close(fd);
    return given ? heir.pid : 0;
}

/* ---- in the heir ---- */

static int call_on(const char *run_dir)
{
    struct sockaddr_un name;
    int fd = socket_name(run_dir, &name) ? socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0) : -1;
    if (fd >= 0 && connect(fd, (struct sockaddr *)&name, sizeof name) != 0) {
        close(fd);
        fd = -1;
    }
    return fd;
}

static bool await_packet(int fd)
{
    struct pollfd packet = {.fd = fd, .events = POLLIN};
    return TEMP_FAILURE_RETRY(poll(&packet, 1, PATIENCE_MS)) == 1;
}

static bool receive_piece(int fd, struct estate *estate)
{
    struct bequest_piece piece;
    int fds[FDS_AT_ONCE];
    size_t count = FDS_AT_ONCE;
    if (!await_packet(fd) || channel_receive(fd, &piece, sizeof piece, fds, &count, NULL) <= 0 ||
        piece.count != count) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (piece.numbers[i] <= STDERR_FILENO || !estate_add(estate, piece.numbers[i], fds[i])) {
            return false;
        }
    }
    return true;
}

static bool receive_all(int fd, struct bequest_head *head, struct estate *estate)
{
    if (!await_packet(fd) || channel_receive(fd, head, sizeof *head, NULL, NULL, NULL) <= 0 ||
        head->magic != BEQUEST_MAGIC) {
        fprintf(stderr, "perdure: the keeper of the dead supervisor does not answer\n");
        return false;
    }
    if (head->ledger_version != LEDGER_VERSION || head->contract_version != CONTRACT_VERSION) {
        fprintf(stderr, "perdure: what runs is another version, which this one cannot take over: its own keeper starts "
                        "it again; then stop and start\n");
        return false;
    }
    while (estate->count < head->count) {
        if (!receive_piece(fd, estate)) {
            fprintf(stderr, "perdure: the keeper of the dead supervisor went in the middle of it\n");
            return false;
        }
    }
    return true;
}

bool bequest_take(const char *run_dir, bool foreground, void (*ready)(void *context), void *context)
{
    struct bequest_head head;
    struct estate estate = {0};
    int fd = call_on(run_dir);
    if (fd < 0) {
        return false;
    }
    bool received = receive_all(fd, &head, &estate);
    close(fd);
    if (received) {
        ready(context);
    }
    struct ledger *ledger = received && estate_settle(&estate) ? ledger_adopt(head.ledger_fd) : NULL;
    free(estate.all);
    if (ledger == NULL) {
        return false;
    }
    ledger->foreground = foreground;
    image_exec_next(ledger, head.ledger_fd);
    fprintf(stderr, "perdure: cannot take over from the dead supervisor: exec: %s\n", strerror(errno));
    return false;
}
