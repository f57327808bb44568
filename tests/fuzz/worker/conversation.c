/* conversation.c — fuzzes a whole conversation: what a client is answered depends on what it sends and on nothing else,
 * neither on how that arrives nor on how often, and where, the worker dies and is succeeded meanwhile.
 *
 * Input: where four pieces end, two bytes each, and how many turns of the worker's loop follow, a byte each; then eight
 * bytes, after how many system calls it dies, and dies again; behind them all that the client sends. It is said twice:
 * at once to a worker that lives, and in pieces to one that dies. */
#include "tests/fuzz/live_worker.h"
#include "worker/succession.h"

enum { PIECES = 4, DEATHS = 8, TURNS_MOST = 8, ANSWER_BYTES_MOST = 128 * 1024, DATE_BYTES = 29 };

struct piece {
    size_t end;
    unsigned turns;
};

struct answer {
    size_t bytes;
    bool is_whole; /* it ended by itself, before there was no more room */
    char text[ANSWER_BYTES_MOST];
};

static const uint8_t *fates; /* how many calls there are before each further death */
static size_t fates_left;

static void next_fate(void)
{
    calls_left = 0;
    if (fates_left > 0) {
        calls_left = *fates++;
        fates_left--;
    }
}

/* One life, as far as it goes. */
static bool succeed(void)
{
    struct succession succession;
    fixture_succeed(&f, BIRTH_KILLED);
    if (setjmp(death) != 0) {
        is_working = false;
        return false;
    }
    is_working = true;
    succession_adopt(&f.w, &succession);
    check(succession.dropped == 0);
    succession_continue(&f.w, &succession);
    is_working = false;
    return true;
}

static void live_a_turn(void)
{
    if (setjmp(death) == 0) {
        is_working = true;
        turn();
        is_working = false;
        return;
    }
    is_working = false;
    do {
        next_fate();
    } while (!succeed());
}

/* ---- the client ---- */

static void open_once(void)
{
    if (open_live_worker()) {
        f.settings.head_limit = 1024;
        f.settings.target_limit = 200;
        f.settings.body_limit = 2000;
    }
}

/* Everything up to the connection's end. */
static void hear(int client, struct answer *answer)
{
    struct instant patience = clock_after(clock_now(), PATIENCE_MS);
    answer->bytes = 0;
    answer->is_whole = false;
    while (answer->bytes < ANSWER_BYTES_MOST) {
        live_a_turn();
        ssize_t got = recv(client, answer->text + answer->bytes, ANSWER_BYTES_MOST - answer->bytes, MSG_DONTWAIT);
        if (got == 0) {
            answer->is_whole = true;
            return;
        }
        check(clock_now().ms < patience.ms);
        answer->bytes += got > 0 ? (size_t)got : 0;
    }
}

static void say(int client, const uint8_t *bytes, size_t count)
{
    ssize_t said = send(client, bytes, count, MSG_NOSIGNAL); /* it may have been hung up on */
    (void)said;
}

/* A 100 goes only to who waits for it, and of dates there are many. */
static void make_comparable(struct answer *answer)
{
    static const char interim[] = "HTTP/1.1 100 Continue\r\n\r\n", date[] = "\r\nDate: ";
    char *at = answer->text, *end = answer->text + answer->bytes;
    while ((at = memmem(at, (size_t)(end - at), interim, sizeof interim - 1)) != NULL) {
        memmove(at, at + sizeof interim - 1, (size_t)(end - at) - (sizeof interim - 1));
        end -= sizeof interim - 1;
    }
    answer->bytes = (size_t)(end - answer->text);
    for (at = answer->text; (at = memmem(at, (size_t)(end - at), date, sizeof date - 1)) != NULL;) {
        at += sizeof date - 1;
        size_t room = (size_t)(end - at);
        memset(at, 'd', room < DATE_BYTES ? room : DATE_BYTES);
    }
}

static void converse(const uint8_t *bytes, size_t count, const struct piece *pieces, size_t pieces_count,
                     struct answer *answer)
{
    int server, client = join(&server);
    size_t at = 0;
    fixture_begin(&f, server);
    for (size_t i = 0; i < pieces_count; i++) {
        size_t end = pieces[i].end < count ? pieces[i].end : count;
        say(client, bytes + at, end > at ? end - at : 0);
        at = end > at ? end : at;
        for (unsigned j = 0; j < pieces[i].turns; j++) {
            live_a_turn();
        }
    }
    say(client, bytes + at, count - at);
    shutdown(client, SHUT_WR);
    hear(client, answer);
    make_comparable(answer);
    close(client);
    reset_live_worker();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    static struct answer at_once, piecewise;
    struct piece pieces[PIECES];
    struct input input = {bytes, count};
    for (size_t i = 0; i < PIECES; i++) {
        pieces[i].end = (size_t)input_number(&input, 2);
        pieces[i].turns = (unsigned)input_number(&input, 1) % TURNS_MOST;
    }
    open_once();
    size_t deaths = DEATHS;
    const uint8_t *after = input_take(&input, &deaths);
    fates_left = 0;
    next_fate();
    converse(input.at, input.left, NULL, 0, &at_once);
    fates = after;
    fates_left = deaths;
    next_fate();
    converse(input.at, input.left, pieces, PIECES, &piecewise);
    size_t common = at_once.bytes < piecewise.bytes ? at_once.bytes : piecewise.bytes;
    check(memcmp(at_once.text, piecewise.text, common) == 0);
    check(at_once.bytes == piecewise.bytes || !at_once.is_whole || !piecewise.is_whole);
    return 0;
}
