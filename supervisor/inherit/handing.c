/* handing.c — see handing.h. */
#include "supervisor/inherit/handing.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    HANDED_MAX = 32, /* at a time: the successor needs as many numbers more while it puts them where they belong */
    FREE_MAX = 2 * CONTRACT_FDS_MAX,
    FREE_FIXED = 5, /* of a HANDED_FREE: the cell, the epoll set, the door, the ledger, the tally */
    BLOCK = 64,     /* descriptors looked at with one poll(2) */
    FULL_MS = 10,   /* until the kernel may let more descriptors be on their way */
};

enum handed_kind {
    HANDED_EDITION, /* descriptors: program, snapshot */
    HANDED_FREE,    /* numbers: FREE_FIXED, then those that are free */
    HANDED_OPEN,    /* descriptors, and their numbers */
    HANDED_ALL,     /* that was all */
    HANDED_TAKEN,   /* the successor's answer */
    HANDED_YOURS,   /* from now on */
};

struct handed {
    uint32_t kind; /* enum handed_kind */
    uint32_t count;
    int32_t numbers[FREE_FIXED + FREE_MAX];
};

/* ---- the keeper's side ---- */

/* False: nobody is there to take it. */
static bool hand(int channel, const struct handed *handed, const int *fds, size_t count)
{
    while (channel_send(channel, handed, sizeof *handed, fds, count) != 0) {
        struct pollfd room = {.fd = channel, .events = POLLOUT};
        if (errno == ETOOMANYREFS) {
            (void)poll(NULL, 0, FULL_MS);
        } else if (errno != EAGAIN || poll(&room, 1, -1) < 0) {
            return false;
        }
    }
    return true;
}

static int table_end(void)
{
    struct rlimit limit;
    return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? (int)limit.rlim_max : BLOCK;
}

/* Would it be open after an exec? */
static bool is_passed_on(int fd)
{
    int flags = fcntl(fd, F_GETFD);
    return flags >= 0 && (flags & FD_CLOEXEC) == 0;
}

static bool is_empty_block(int first)
{
    struct pollfd block[BLOCK];
    for (int i = 0; i < BLOCK; i++) {
        block[i] = (struct pollfd){.fd = first + i};
    }
    bool empty = poll(block, BLOCK, 0) == BLOCK;
    for (int i = 0; i < BLOCK; i++) {
        empty = empty && (block[i].revents & POLLNVAL) != 0;
    }
    return empty;
}

static bool give_free(const struct birth *mine, int channel, int end)
{
    struct handed handed = {.kind = HANDED_FREE,
                            .count = FREE_FIXED,
                            .numbers = {mine->cell_fd, mine->epoll_fd, mine->door_fd, mine->ledger_fd, mine->tally_fd}};
    for (int fd = STDERR_FILENO + 1; fd < end && handed.count < FREE_FIXED + FREE_MAX; fd++) {
        if (!is_passed_on(fd)) {
            handed.numbers[handed.count++] = fd;
        }
    }
    return hand(channel, &handed, NULL, 0);
}

static bool give_open(int channel, int end)
{
    struct handed handed = {.kind = HANDED_OPEN};
    for (int fd = STDERR_FILENO + 1; fd < end; fd++) {
        if (fd % BLOCK == 0 && is_empty_block(fd)) {
            fd += BLOCK - 1;
            continue;
        }
        if (is_passed_on(fd)) {
            handed.numbers[handed.count++] = fd;
        }
        if (handed.count == HANDED_MAX) {
            if (!hand(channel, &handed, handed.numbers, handed.count)) {
                return false;
            }
            handed.count = 0;
        }
    }
    return handed.count == 0 || hand(channel, &handed, handed.numbers, handed.count);
}

/* The pid of who has taken all, 0: nobody has. */
static pid_t wait_for_taker(int channel)
{
    struct handed handed;
    struct pollfd answer = {.fd = channel, .events = POLLIN};
    pid_t taker = 0;
    (void)poll(&answer, 1, -1);
    bool taken = channel_receive(channel, &handed, sizeof handed, NULL, NULL, &taker) == 1;
    return taken && handed.kind == HANDED_TAKEN ? taker : 0;
}

pid_t handing_give(const struct birth *mine, int channel, bool own_edition)
{
    const int edition[] = {mine->program_fd, mine->snapshot_fd};
    const int end = table_end();
    bool good = !own_edition || hand(channel, &(struct handed){.kind = HANDED_EDITION}, edition, 2);
    good = good && give_free(mine, channel, end) && give_open(channel, end);
    return good && hand(channel, &(struct handed){.kind = HANDED_ALL}, NULL, 0) ? wait_for_taker(channel) : 0;
}

void handing_let_go(int channel)
{
    (void)hand(channel, &(struct handed){.kind = HANDED_YOURS}, NULL, 0);
}

/* ---- the successor's side ---- */

/* One message; *COUNT in: room, out: how many descriptors came. False: it is not what is awaited, or there is none. */
static bool take(int channel, struct handed *handed, int *fds, size_t *count)
{
    return channel_inherit(channel, handed, sizeof *handed, fds, count) == 1 && handed->count <= FREE_FIXED + FREE_MAX;
}

bool handing_take_edition(struct birth *birth)
{
    struct handed handed;
    int fds[2];
    size_t count = 2;
    if (!take(birth->handed_fd, &handed, fds, &count) || handed.kind != HANDED_EDITION || count != 2) {
        return false;
    }
    birth->program_fd = fds[0];
    birth->snapshot_fd = fds[1];
    return fcntl(fds[0], F_SETFD, FD_CLOEXEC) == 0;
}

static bool is_among(const struct handed *free, int fd)
{
    for (uint32_t i = FREE_FIXED; i < free->count; i++) {
        if (free->numbers[i] == fd) {
            return true;
        }
    }
    return false;
}

/* Move *FD, which is ours, to a number that is none of the predecessor's. */
static bool move_away(int32_t *fd, const struct handed *free)
{
    if (*fd <= STDERR_FILENO || is_among(free, *fd)) {
        return true;
    }
    for (uint32_t i = FREE_FIXED; i < free->count; i++) {
        if (fcntl(free->numbers[i], F_GETFD) < 0 && dup2(*fd, free->numbers[i]) >= 0) {
            close(*fd);
            *fd = free->numbers[i];
            return true;
        }
    }
    return false;
}

static bool make_room(struct birth *birth, const struct handed *free)
{
    int32_t *const ours[] = {&birth->control_fd, &birth->keeper_fd, &birth->snapshot_fd, &birth->access_log_fd,
                             &birth->handed_fd};
    bool good = true;
    for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++) {
        good = good && move_away(ours[i], free);
    }
    for (uint32_t i = 0; i < birth->listeners_count; i++) {
        good = good && move_away(&birth->listener_fds[i], free);
    }
    return good;
}

/* Put FDS[AT] where it was. Another one that came with it may be in its way, and goes aside. */
static bool put(int *fds, size_t at, size_t count, int number)
{
    if (fds[at] == number) {
        return true;
    }
    for (size_t i = at + 1; i < count; i++) {
        if (fds[i] == number) {
            fds[i] = dup(number);
            if (fds[i] < 0) {
                return false;
            }
        }
    }
    return dup2(fds[at], number) == number && close(fds[at]) == 0;
}

bool handing_take(struct birth *birth)
{
    struct handed handed;
    int fds[HANDED_MAX];
    size_t count = 0;
    if (!take(birth->handed_fd, &handed, fds, &count) || handed.kind != HANDED_FREE || handed.count < FREE_FIXED ||
        !make_room(birth, &handed)) {
        return false;
    }
    birth->cell_fd = handed.numbers[0];
    birth->epoll_fd = handed.numbers[1];
    birth->door_fd = handed.numbers[2];
    birth->ledger_fd = handed.numbers[3];
    birth->tally_fd = handed.numbers[4];
    for (;;) {
        count = HANDED_MAX;
        if (!take(birth->handed_fd, &handed, fds, &count) || count != handed.count) {
            return false;
        }
        if (handed.kind == HANDED_ALL) {
            break;
        }
        for (size_t i = 0; i < count; i++) {
            if (!put(fds, i, count, handed.numbers[i])) {
                return false;
            }
        }
    }
    bool yours = hand(birth->handed_fd, &(struct handed){.kind = HANDED_TAKEN}, NULL, 0);
    count = 0;
    yours = yours && take(birth->handed_fd, &handed, NULL, &count) && handed.kind == HANDED_YOURS;
    close(birth->handed_fd);
    birth->handed_fd = -1;
    return yours;
}
