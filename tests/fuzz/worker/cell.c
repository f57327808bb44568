/* cell.c — fuzzes the adoption of a cell: whatever was scribbled over it costs the connections that it speaks of, and
 * nobody else. A connection that was left alone is served, what is ours stays open, and a second successor finds
 * nothing to put right.
 *
 * Input: a byte for the cause of the birth, one for the system call at which that successor dies, then changes to the
 * cell of a worker with a connection in each of the usual stages, one after another; see `struct change`. */
#include "tests/fuzz/live_worker.h"
#include "worker/succession.h"

#include <signal.h>

enum { TURNS = 8 };

/* The connections that a successor finds, each in the middle of what it has sent so far; and how many bytes of its
 * answer its client has taken. */
static const struct {
    enum stage stage;
    size_t taken;
    const char *sent;
} scene[] = {
    {STAGE_RESPOND, 1000, "GET /big.bin HTTP/1.1\r\nHost: x\r\n\r\n"},
    {STAGE_HEAD, 0, "GET /hello.txt HTT"},
    {STAGE_BODY, 0, "GET /hello.txt HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc"},
    {STAGE_BODY, 0, "GET /hello.txt HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"},
    {STAGE_RESPOND, 500, "GET /big.bin HTTP/1.1\r\nHost: x\r\nRange: bytes=0-999999,2000000-2999999\r\n\r\n"},
    {STAGE_PARTING, 10, "GET /hello.txt HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"},
    {STAGE_LINGER, 10, "GET no/path HTTP/1.1\r\n\r\n"},
    {STAGE_IDLE, 0, ""}, /* nobody writes over this one */
};
enum { CONNECTIONS = sizeof scene / sizeof scene[0], BYSTANDER = CONNECTIONS - 1 };

enum area {
    AREA_HEADER,
    AREA_SLOT,
    AREA_DESK, /* its records and parts */
    AREA_IN,
    AREA_OUT,
    AREA_DESK_LOG,
    AREA_LOG,
    AREAS,
};

/* In the input: a byte for area and repeat, one for the slot or desk, two for AT, one for BYTES, then these. */
struct change {
    enum area area;
    uint8_t which;
    size_t at;
    size_t bytes;
    const uint8_t *value;
    size_t repeat; /* how often the value is written, one behind the other */
};

static int server[CONNECTIONS], client[CONNECTIONS];

/* ---- the scene ---- */

static void turns(void)
{
    for (int i = 0; i < TURNS && turn(); i++) {
    }
}

static void play(void)
{
    char taken[SOCKET_BYTES];
    for (size_t i = 0; i < CONNECTIONS; i++) {
        client[i] = join(&server[i]);
        fixture_begin(&f, server[i]);
        check(send(client[i], scene[i].sent, strlen(scene[i].sent), 0) == (ssize_t)strlen(scene[i].sent));
    }
    turns();
    for (size_t i = 0; i < CONNECTIONS; i++) {
        check(scene[i].taken == 0 || recv(client[i], taken, scene[i].taken, 0) > 0);
        check(fixture_facts(&f, server[i]).stage == scene[i].stage);
    }
}

/* ---- scribbling ---- */

static void change_take(struct input *input, struct change *change)
{
    uint8_t how = (uint8_t)input_number(input, 1);
    change->area = (enum area)(how % AREAS);
    change->which = (uint8_t)input_number(input, 1);
    change->at = (size_t)input_number(input, 2);
    change->bytes = (size_t)input_number(input, 1) % 16 + 1;
    change->value = input_take(input, &change->bytes);
    change->repeat = (size_t)1 << (how / AREAS % 12);
}

/* The slots of the scene have numbers of their own, for descriptors may be counted in another way some day. */
static struct slot *slot_of(uint8_t which)
{
    int fd = which < SLOTS ? which : server[which % CONNECTIONS];
    return fd != server[BYSTANDER] ? &f.w.cell.slots[fd] : &f.w.cell.slots[server[0]];
}

/* Where CHANGE goes, and *BYTES: how much room is there. */
static char *place_of(const struct change *change, size_t *bytes)
{
    struct desk *desk = cell_desk(&f.w.cell, change->which % (CONNECTIONS + 1));
    switch (change->area) {
    case AREA_HEADER:
        *bytes = sizeof *f.w.cell.header;
        return (char *)f.w.cell.header;
    case AREA_SLOT:
        *bytes = sizeof(struct slot);
        return (char *)slot_of(change->which);
    case AREA_DESK:
        *bytes = offsetof(struct desk, in);
        return (char *)desk;
    case AREA_IN:
        *bytes = sizeof desk->in;
        return desk->in;
    case AREA_OUT:
        *bytes = sizeof desk->out;
        return desk->out;
    case AREA_DESK_LOG:
        *bytes = sizeof desk->log;
        return desk->log;
    case AREA_LOG:
    case AREAS:
        break;
    }
    *bytes = CELL_LOG_BYTES;
    return f.w.cell.log;
}

static void apply(const struct change *change)
{
    size_t room;
    char *place = place_of(change, &room);
    size_t at = change->at % room;
    for (size_t i = 0; i < change->repeat && change->bytes <= room - at; i++, at += change->bytes) {
        memcpy(place + at, change->value, change->bytes);
    }
}

/* ---- what must be true all the same ---- */

static void check_ours_open(void)
{
    const int ours[] = {f.control, f.w.birth.control_fd, f.w.birth.cell_fd, f.w.birth.epoll_fd, LISTENER_FD};
    for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++) {
        check(fcntl(ours[i], F_GETFD) >= 0);
    }
}

/* As cell.h says of it. */
static void check_desk(const struct slot *slot, int32_t number)
{
    const struct desk_record *work = &cell_desk(&f.w.cell, number)->record[slot->current & 1];
    check(work->head_at <= work->next_at && work->next_at <= work->fill_at && work->fill_at <= DESK_IN_BYTES);
    check((uint64_t)work->memory_at + work->memory_bytes <= DESK_OUT_BYTES);
    check(work->parts <= DESK_PARTS_MAX && (work->part < work->parts || work->parts == 0));
    check(work->log_split <= work->log_bytes && work->log_bytes <= DESK_LOG_BYTES);
}

/* Every connection is counted, and no two have one desk. */
static void check_slots(void)
{
    bool borrowed[SLOTS] = {false};
    uint32_t connections = 0;
    for (int fd = 0; fd < SLOTS; fd++) {
        const struct slot_record facts = fixture_facts(&f, fd);
        connections += facts.stage != STAGE_FREE;
        if (facts.stage == STAGE_FREE || facts.desk < 0) {
            continue;
        }
        check(facts.stage < STAGES && facts.desk < SLOTS && !borrowed[facts.desk]);
        borrowed[facts.desk] = true;
        check_desk(&f.w.cell.slots[fd], facts.desk);
    }
    check(f.w.cell.header->connections == connections);
}

static void check_bystander_served(void)
{
    static const char request[] = "GET /hello.txt HTTP/1.1\r\nHost: x\r\n\r\n";
    char answer[1024];
    size_t have = 0;
    struct instant patience = clock_after(clock_now(), PATIENCE_MS);
    check(send(client[BYSTANDER], request, sizeof request - 1, MSG_NOSIGNAL) == sizeof request - 1);
    while (have < 13 || memcmp(answer + have - 13, "hello, world\n", 13) != 0) {
        turn();
        ssize_t got = recv(client[BYSTANDER], answer + have, sizeof answer - have, MSG_DONTWAIT);
        check(got != 0 && clock_now().ms < patience.ms);
        have += got > 0 ? (size_t)got : 0;
    }
    check(memcmp(answer, "HTTP/1.1 200 ", 13) == 0);
}

/* One life as far as READY and a little beyond. False if it died. */
static bool adopt(enum birth_cause cause, struct succession *succession)
{
    fixture_succeed(&f, cause);
    f.w.birth.signal = cause == BIRTH_CRASH ? SIGSEGV : 0;
    if (setjmp(death) != 0) {
        is_working = false;
        return false;
    }
    is_working = true;
    succession_adopt(&f.w, succession);
    check_slots();
    succession_continue(&f.w, succession);
    turns();
    is_working = false;
    return true;
}

static struct succession succeed(enum birth_cause cause)
{
    struct succession succession;
    while (!adopt(cause, &succession)) {
        cause = BIRTH_KILLED;
    }
    check_slots();
    check_ours_open();
    check_bystander_served();
    return succession;
}

static void close_all(void)
{
    for (size_t i = 0; i < CONNECTIONS; i++) {
        close(client[i]);
    }
    reset_live_worker();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    static const enum birth_cause causes[] = {BIRTH_KILLED, BIRTH_CRASH, BIRTH_HANG, BIRTH_RELOAD, BIRTH_UPGRADE};
    struct input input = {bytes, count};
    enum birth_cause cause = causes[input_number(&input, 1) % (sizeof causes / sizeof causes[0])];
    unsigned fate = (unsigned)input_number(&input, 1);
    (void)open_live_worker();
    play();
    while (input.left > 0) {
        struct change change;
        change_take(&input, &change);
        apply(&change);
    }
    calls_left = fate;
    (void)succeed(cause);
    calls_left = 0;
    check(succeed(BIRTH_KILLED).dropped == 0);
    close_all();
    return 0;
}
