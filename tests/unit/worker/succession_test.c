/* succession_test.c — what a successor makes of a cell and a descriptor table: the lessons that the prototype paid for,
 * one test each, and the sick cell. */
#include "worker/succession.h"

#include "tests/unit/worker/fixture.h"
#include "worker/connection.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static const char hello[] = "GET /hello.txt HTTP/1.1\r\nHost: x\r\n\r\n";
static const char big[] = "GET /big.bin HTTP/1.1\r\nHost: x\r\n\r\n";
enum { BIG_BYTES = 3 * 1024 * 1024 };

static void say(int client, const char *bytes)
{
    assert_int_equal(send(client, bytes, strlen(bytes), 0), strlen(bytes));
}

/* Expect one whole response whose body is TEXT. */
static void expect_hello(struct fixture *f, int client)
{
    char answer[4096] = {0};
    size_t have = 0;
    while (strstr(answer, "hello, world\n") == NULL) {
        size_t got = fixture_serve(f, client, answer + have, 1);
        assert_int_equal(got, 1);
        have += got;
    }
    assert_memory_equal(answer, "HTTP/1.1 200 ", 13);
}

/* How a predecessor leaves a connection that it killed in mid-step looks: it has taken BYTES from the socket into the
 * desk and published nothing since. */
static void die_after_receiving(struct fixture *f, int server, const char *bytes)
{
    struct connection c;
    assert_true(connection_load(&f->w, server, &c));
    c.at.desk = desks_borrow(&f->w.desks);
    c.desk = cell_desk(&f->w.cell, c.at.desk);
    c.work = (struct desk_record){.file_fd = -1};
    connection_enter(&f->w, &c, STAGE_HEAD);
    connection_publish(&c);
    assert_int_equal(recv(server, c.desk->in, DESK_IN_BYTES, 0), strlen(bytes));
    f->w.cell.header->in_hand = server;
}

static void adopt(struct fixture *f, enum birth_cause cause, struct succession *succession)
{
    fixture_succeed(f, cause);
    succession_adopt(&f->w, succession);
}

static void adopt_and_continue(struct fixture *f, enum birth_cause cause)
{
    struct succession succession;
    adopt(f, cause, &succession);
    succession_continue(&f->w, &succession);
}

static void lesson_1_a_request_that_is_buffered_whole_is_answered_though_no_event_comes(void **state)
{
    struct fixture *f = *state;
    int server;
    int client = fixture_connect(&server);
    fixture_begin(f, server);
    say(client, hello);
    die_after_receiving(f, server, hello);
    adopt_and_continue(f, BIRTH_KILLED);
    expect_hello(f, client);
    say(client, hello);
    expect_hello(f, client);
    close(client);
}

static void lesson_2_a_connection_just_accepted_is_adopted_and_what_nobody_speaks_of_is_closed(void **state)
{
    struct fixture *f = *state;
    struct succession succession;
    int server;
    int client = fixture_connect(&server);
    int file = open("/dev/null", O_RDONLY);
    int used_server;
    int used_client = fixture_connect(&used_server);
    char byte;
    say(used_client, "xy");
    assert_int_equal(recv(used_server, &byte, 1, 0), 1);
    adopt(f, BIRTH_KILLED, &succession);
    succession_continue(&f->w, &succession);
    assert_int_equal(fcntl(file, F_GETFD), -1);
    say(client, hello);
    expect_hello(f, client);
    /* Bytes were taken from this one and are in no desk: it cannot be continued. */
    assert_int_equal(fixture_serve(f, used_client, &byte, 1), 0);
    assert_int_equal(fixture_facts(f, used_server).stage, STAGE_FREE);
    close(client);
    close(used_client);
}

/* Its successor dropped it for the bytes that the kernel had counted. */
static void a_connection_that_was_taken_in_the_very_instant_of_a_death_is_served(void **state)
{
    struct fixture *f = *state;
    int server;
    int client = fixture_connect(&server);
    char byte;
    say(client, "x");
    assert_int_equal(recv(server, &byte, 1, 0), 1); /* by the giver, long ago */
    f->w.cell.header->receiving = 1;
    adopt_and_continue(f, BIRTH_KILLED);
    assert_int_equal(f->w.cell.header->receiving, 0);
    say(client, hello);
    expect_hello(f, client);
    close(client);
}

static void a_connection_that_was_taken_twice_in_that_instant_is_had_once(void **state)
{
    struct fixture *f = *state;
    struct succession succession;
    int server;
    int client = fixture_connect(&server);
    fixture_begin(f, server);
    int again = fcntl(server, F_DUPFD, 0);
    f->w.cell.header->receiving = 1;
    adopt(f, BIRTH_KILLED, &succession);
    succession_continue(&f->w, &succession);
    assert_int_equal(succession.adopted, 1);
    assert_int_equal(fcntl(again, F_GETFD), -1);
    say(client, hello);
    expect_hello(f, client);
    close(client);
}

/* The heir serves it already: the giver's successor saw that the counts had moved on, and shut it down. */
static void what_a_dead_giver_has_perhaps_given_is_left_alone(void **state)
{
    struct fixture *f = *state;
    struct connection c;
    int server;
    int client = fixture_connect(&server);
    char byte;
    fixture_begin(f, server);
    assert_true(connection_load(&f->w, server, &c));
    connection_enter(&f->w, &c, STAGE_GIVING);
    connection_publish(&c);
    int heirs = fcntl(server, F_DUPFD, (int)f->w.cell.slots_count); /* beyond what a worker looks at: another's */
    assert_true(heirs > 0);
    say(client, "xy");
    assert_int_equal(recv(heirs, &byte, 1, 0), 1);
    adopt_and_continue(f, BIRTH_KILLED);
    fixture_turn(f);
    assert_int_equal(fixture_facts(f, server).stage, STAGE_GIVING);
    assert_int_equal(send(heirs, "z", 1, MSG_NOSIGNAL), 1);
    assert_int_equal(recv(client, &byte, 1, 0), 1);
    close(heirs);
    close(client);
}

/* "Look at every descriptor": cached files may lie far above the highest slot, and a new connection above them. */
static void lesson_2_descriptors_far_above_the_highest_slot_are_looked_at(void **state)
{
    enum { FAR = 400 };
    struct fixture *f = *state;
    struct succession succession;
    int server;
    int client = fixture_connect(&server);
    int far_server = fcntl(server, F_DUPFD, FAR);
    int file = open("/dev/null", O_RDONLY);
    int far_file = fcntl(file, F_DUPFD, FAR);
    assert_true(far_server >= FAR && far_file >= FAR);
    close(server);
    close(file);
    adopt(f, BIRTH_KILLED, &succession);
    assert_int_equal(succession.adopted, 1);
    assert_int_equal(fcntl(far_file, F_GETFD), -1);
    succession_continue(&f->w, &succession);
    say(client, hello);
    expect_hello(f, client);
    close(client);
}

static void lesson_3_a_half_written_record_is_not_seen(void **state)
{
    struct fixture *f = *state;
    int server;
    int client = fixture_connect(&server);
    fixture_begin(f, server);
    struct slot *slot = &f->w.cell.slots[server];
    memset(&slot->record[(slot->current & 1) ^ 1], 0xa5, sizeof slot->record[0]);
    adopt_and_continue(f, BIRTH_KILLED);
    say(client, hello);
    expect_hello(f, client);
    close(client);
}

static char big_byte(size_t at)
{
    return (char)(at % 251);
}

/* Read the rest of the big file's response, HAVE bytes of which are in ANSWER. */
static void expect_big(struct fixture *f, int client, char *answer, size_t have)
{
    while (memmem(answer, have, "\r\n\r\n", 4) == NULL) {
        size_t got = fixture_serve(f, client, answer + have, 1);
        assert_int_equal(got, 1);
        have += got;
    }
    size_t head = (size_t)((char *)memmem(answer, have, "\r\n\r\n", 4) - answer) + 4;
    have += fixture_serve(f, client, answer + have, head + BIG_BYTES - have);
    assert_int_equal(have, head + BIG_BYTES);
    for (size_t i = 0; i < BIG_BYTES; i++) {
        if (answer[head + i] != big_byte(i)) {
            fail_msg("byte %zu of the body is wrong", i);
        }
    }
    char more;
    assert_int_equal(recv(client, &more, 1, MSG_DONTWAIT), -1);
}

static void lesson_4_a_file_replaced_in_mid_response_is_sent_as_it_began(void **state)
{
    struct fixture *f = *state;
    char *answer = malloc(BIG_BYTES + 4096);
    char from[128];
    char to[128];
    int server;
    int client = fixture_connect(&server);
    fixture_begin(f, server);
    say(client, big);
    size_t have = fixture_serve(f, client, answer, 1000);
    assert_int_equal(have, 1000);
    assert_int_equal(fixture_facts(f, server).stage, STAGE_RESPOND);
    snprintf(from, sizeof from, "%s/hello.txt", f->root);
    snprintf(to, sizeof to, "%s/big.bin", f->root);
    assert_int_equal(rename(from, to), 0);
    adopt_and_continue(f, BIRTH_KILLED);
    expect_big(f, client, answer, have);
    free(answer);
    close(client);
}

static void lesson_5_how_much_was_sent_is_asked_of_the_kernel(void **state)
{
    struct fixture *f = *state;
    char *answer = malloc(BIG_BYTES + 4096);
    int server;
    int client = fixture_connect(&server);
    fixture_begin(f, server);
    say(client, big);
    size_t have = fixture_serve(f, client, answer, 1000);
    /* The facts fall behind: as if the predecessor had died between a send and the next publication. */
    struct connection c;
    assert_true(connection_load(&f->w, server, &c));
    assert_true(c.at.sent > c.work.out_from + 500);
    c.at.sent = c.work.out_from;
    connection_publish(&c);
    adopt_and_continue(f, BIRTH_KILLED);
    expect_big(f, client, answer, have);
    free(answer);
    close(client);
}

static void lesson_6_connections_and_response_files_live_over_exec_and_nothing_else_does(void **state)
{
    struct fixture *f = *state;
    char byte;
    int server;
    int client = fixture_connect(&server);
    fixture_begin(f, server);
    say(client, big);
    assert_int_equal(fixture_serve(f, client, &byte, 1), 1);
    struct connection c;
    assert_true(connection_load(&f->w, server, &c));
    assert_int_equal(fcntl(server, F_GETFD), 0);
    assert_int_equal(fcntl(c.work.file_fd, F_GETFD), 0);
    close(client);
}

static void lesson_7_an_idle_connection_is_checked_when_it_first_moves(void **state)
{
    struct fixture *f = *state;
    struct succession succession;
    char byte;
    int server;
    int client = fixture_connect(&server);
    fixture_begin(f, server);
    say(client, "xy");
    assert_int_equal(recv(server, &byte, 1, 0), 1); /* no fact tells of this: it does not add up */
    adopt(f, BIRTH_KILLED, &succession);
    succession_continue(&f->w, &succession);
    assert_int_equal(succession.adopted, 1);
    assert_int_equal(fixture_facts(f, server).stage, STAGE_IDLE);
    assert_int_equal(fixture_serve(f, client, &byte, 1), 0);
    assert_int_equal(fixture_facts(f, server).stage, STAGE_FREE);
    close(client);
}

static void lesson_8_a_close_reaches_the_client_though_an_old_keeper_holds_the_socket(void **state)
{
    struct fixture *f = *state;
    struct connection c;
    char byte;
    int server;
    int client = fixture_connect(&server);
    int keepers = fcntl(server, F_DUPFD_CLOEXEC, 100);
    fixture_begin(f, server);
    f->w.alone = false;
    assert_true(connection_load(&f->w, server, &c));
    connection_end(&f->w, &c, END_US);
    assert_int_equal(fixture_serve(f, client, &byte, 1), 0);
    assert_int_equal(recv(client, &byte, 1, MSG_DONTWAIT), 0);
    close(keepers);
    close(client);
}

/* The kernel counts our FIN as a byte that we sent. */
static void a_worker_killed_right_after_its_half_close_loses_nothing(void **state)
{
    struct fixture *f = *state;
    struct succession succession;
    struct connection c;
    int server;
    int client = fixture_connect(&server);
    fixture_begin(f, server);
    say(client, big);
    (void)fixture_serve(f, client, (char[1]){0}, 1);
    assert_true(connection_load(&f->w, server, &c));
    assert_int_equal(c.at.stage, STAGE_RESPOND);
    /* All of it is with the kernel, and after that the half-close; neither is published. */
    c.work.out_from = c.at.sent - 10;
    c.work.memory_bytes = 10;
    c.work.file_bytes = 0;
    c.work.flags |= DESK_CLOSE;
    connection_publish(&c);
    assert_int_equal(shutdown(server, SHUT_WR), 0);
    adopt(f, BIRTH_KILLED, &succession);
    succession_continue(&f->w, &succession);
    assert_int_equal(fixture_facts(f, server).stage, STAGE_LINGER);
    assert_int_equal(f->w.cell.header->counters.dropped, 0);
    close(client);
}

static void a_suspect_gets_one_more_try_and_then_500(void **state)
{
    struct fixture *f = *state;
    struct succession succession;
    char answer[13] = {0};
    int server;
    int client = fixture_connect(&server);
    fixture_begin(f, server);
    say(client, hello);
    die_after_receiving(f, server, hello);
    adopt(f, BIRTH_CRASH, &succession);
    assert_int_equal(succession.suspect, server);
    assert_false(succession.poison);
    f->w.cell.header->in_hand = server; /* and it dies of it again */
    adopt(f, BIRTH_CRASH, &succession);
    assert_true(succession.poison);
    succession_continue(&f->w, &succession);
    assert_int_equal(fixture_serve(f, client, answer, 12), 12);
    assert_string_equal(answer, "HTTP/1.1 500");
    close(client);
}

/* It was to be answered together with the one before it, and killed: on its second try it stands alone. */
static void a_suspect_behind_others_is_poison_when_it_kills_again(void **state)
{
    struct fixture *f = *state;
    struct succession succession;
    struct connection c;
    char answers[4096];
    char three[3 * sizeof hello];
    int server;
    int client = fixture_connect(&server);
    fixture_begin(f, server);
    snprintf(three, sizeof three, "%s%s%s", hello, hello, hello);
    say(client, three);
    die_after_receiving(f, server, three);
    f->w.cell.header->in_hand_at = 2 * (uint32_t)strlen(hello);
    adopt(f, BIRTH_CRASH, &succession);
    assert_false(succession.poison);
    /* The first two are answered, and then it kills again. */
    assert_true(connection_load(&f->w, server, &c));
    c.work.head_at = c.work.next_at = 2 * (uint32_t)strlen(hello);
    c.at.received = c.work.fill_at = (uint32_t)strlen(three);
    connection_publish(&c);
    f->w.cell.header->in_hand = server;
    adopt(f, BIRTH_CRASH, &succession);
    assert_true(succession.poison);
    succession_continue(&f->w, &succession);
    assert_int_equal(fixture_serve(f, client, answers, 12), 12);
    assert_memory_equal(answers, "HTTP/1.1 500", 12);
    close(client);
}

static void a_kill_from_outside_makes_nobody_a_suspect(void **state)
{
    struct fixture *f = *state;
    struct succession succession;
    int server;
    int client = fixture_connect(&server);
    fixture_begin(f, server);
    say(client, hello);
    die_after_receiving(f, server, hello);
    for (int i = 0; i < 5; i++) {
        adopt(f, BIRTH_KILLED, &succession);
        assert_int_equal(succession.suspect, -1);
        f->w.cell.header->in_hand = server;
    }
    succession_continue(&f->w, &succession);
    expect_hello(f, client);
    close(client);
}

static void a_descriptor_of_our_own_is_never_closed_for_a_slot(void **state)
{
    struct fixture *f = *state;
    int own = f->w.birth.control_fd;
    f->w.cell.slots[own].record[0] = (struct slot_record){.stage = STAGE_CLOSING, .desk = -1};
    f->w.cell.header->top = 200;
    adopt_and_continue(f, BIRTH_KILLED);
    assert_true(fcntl(own, F_GETFD) >= 0);
    assert_int_equal(fixture_facts(f, own).stage, STAGE_FREE);
}

/* ---- the sick cell ---- */

/* No slot above the header's top is in use: were that believed, those above would share their desks with others. */
static void a_top_that_is_too_low_costs_nobody_anything(void **state)
{
    struct fixture *f = *state;
    int server[2];
    int client[2];
    for (int i = 0; i < 2; i++) {
        client[i] = fixture_connect(&server[i]);
        fixture_begin(f, server[i]);
    }
    say(client[0], "GET /hello.txt HT");
    for (int i = 0; i < 3; i++) {
        fixture_turn(f);
    }
    assert_int_equal(fixture_facts(f, server[0]).stage, STAGE_HEAD);
    f->w.cell.header->top = 0;
    adopt_and_continue(f, BIRTH_KILLED);
    assert_int_equal(f->w.cell.header->connections, 2);
    say(client[1], "GET /none HTTP/1.1\r\nHos");
    for (int i = 0; i < 3; i++) {
        fixture_turn(f);
    }
    say(client[0], "TP/1.1\r\nHost: x\r\n\r\n");
    expect_hello(f, client[0]);
    close(client[0]);
    close(client[1]);
}

static void an_idle_slot_that_claims_a_desk_does_not_take_it_from_its_owner(void **state)
{
    struct fixture *f = *state;
    int server[2];
    int client[2];
    for (int i = 0; i < 2; i++) {
        client[i] = fixture_connect(&server[i]);
        fixture_begin(f, server[i]);
    }
    say(client[1], "GET /hello.txt HT");
    for (int i = 0; i < 3; i++) {
        fixture_turn(f);
    }
    struct slot *sick = &f->w.cell.slots[server[0]];
    sick->record[sick->current & 1].desk = fixture_facts(f, server[1]).desk;
    assert_true(server[0] < server[1]);
    adopt_and_continue(f, BIRTH_KILLED);
    say(client[1], "TP/1.1\r\nHost: x\r\n\r\n");
    expect_hello(f, client[1]);
    close(client[0]);
    close(client[1]);
}

/* Its successor claimed the desk first, for a connection that it was to close at once, and dropped the owner. */
static void a_slot_being_closed_does_not_take_a_desk_from_its_owner(void **state)
{
    struct fixture *f = *state;
    int server[2];
    int client[2];
    for (int i = 0; i < 2; i++) {
        client[i] = fixture_connect(&server[i]);
        fixture_begin(f, server[i]);
    }
    say(client[1], "GET /hello.txt HT");
    for (int i = 0; i < 3; i++) {
        fixture_turn(f);
    }
    struct slot *sick = &f->w.cell.slots[server[0]];
    sick->record[sick->current & 1].desk = fixture_facts(f, server[1]).desk;
    sick->record[sick->current & 1].stage = STAGE_CLOSING;
    assert_true(server[0] < server[1]);
    adopt_and_continue(f, BIRTH_KILLED);
    assert_int_equal(fixture_facts(f, server[0]).stage, STAGE_FREE);
    say(client[1], "TP/1.1\r\nHost: x\r\n\r\n");
    expect_hello(f, client[1]);
    close(client[0]);
    close(client[1]);
}

static void clear(struct fixture *f, int fd)
{
    f->w.cell.slots[fd].record[0] = f->w.cell.slots[fd].record[1] = (struct slot_record){.desk = -1};
}

static int make_listener(void)
{
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(listener, 1), 0);
    return listener;
}

/* The predecessor's numbers of the listeners are open still. A slot that claimed one had it shut down, for everybody.
 */
static void a_slot_that_bears_a_listeners_number_does_not_shut_it_down(void **state)
{
    struct fixture *f = *state;
    int everybodys = fcntl(make_listener(), F_DUPFD, (int)f->w.cell.slots_count);
    for (int stage = STAGE_IDLE; stage < STAGES; stage++) {
        for (uint8_t flags = 0; flags <= SLOT_UNIX; flags++) {
            int listener = fcntl(everybodys, F_DUPFD, 0);
            f->w.cell.slots[listener].record[0] = f->w.cell.slots[listener].record[1] =
                (struct slot_record){.stage = (uint8_t)stage, .flags = flags, .desk = -1, .deadline_ms = 1};
            f->w.cell.header->top = (uint32_t)listener;
            adopt_and_continue(f, BIRTH_KILLED);
            fixture_turn(f);
            int listens = 0;
            socklen_t length = sizeof listens;
            assert_int_equal(getsockopt(everybodys, SOL_SOCKET, SO_ACCEPTCONN, &listens, &length), 0);
            assert_int_equal(listens, 1);
            close(listener);
            clear(f, listener);
        }
    }
    close(everybodys);
}

/* That number was closed as one of a connection's, and the next to get it was sent instead of the file. */
static void a_slot_that_bears_a_response_files_number_does_not_close_it(void **state)
{
    struct fixture *f = *state;
    struct connection c;
    char *answer = malloc(BIG_BYTES + 4096);
    int server;
    int client = fixture_connect(&server);
    fixture_begin(f, server);
    say(client, big);
    size_t have = fixture_serve(f, client, answer, 1000);
    assert_true(connection_load(&f->w, server, &c));
    struct slot *sick = &f->w.cell.slots[c.work.file_fd];
    sick->record[0] = sick->record[1] = (struct slot_record){.stage = STAGE_IDLE, .desk = 1000000};
    f->w.cell.header->top = (uint32_t)(c.work.file_fd > server ? c.work.file_fd : server);
    adopt_and_continue(f, BIRTH_KILLED);
    expect_big(f, client, answer, have);
    free(answer);
    close(client);
}

static void our_own_channels_are_no_givers(void **state)
{
    struct fixture *f = *state;
    f->w.cell.header->taking[0] = f->w.birth.control_fd;
    adopt_and_continue(f, BIRTH_KILLED);
    assert_int_equal(f->w.cell.header->taking[0], -1);
}

/* No patience is longer than its stage allows, whatever the cell says. */
static void a_deadline_in_a_far_future_is_brought_back(void **state)
{
    struct fixture *f = *state;
    int server;
    int client = fixture_connect(&server);
    fixture_begin(f, server);
    struct slot *slot = &f->w.cell.slots[server];
    slot->record[slot->current & 1].deadline_ms = UINT64_MAX;
    adopt_and_continue(f, BIRTH_KILLED);
    assert_true(fixture_facts(f, server).deadline_ms <= f->w.now.ms + f->settings.idle_timeout_ms);
    close(client);
}

static uint32_t noise(void)
{
    return (uint32_t)random() ^ (uint32_t)random() << 16;
}

/* Put noise over some words of everything that a slot says, and of the header. */
static void scribble(struct fixture *f, int fd)
{
    struct slot *slot = &f->w.cell.slots[fd];
    uint32_t *words = (uint32_t *)(void *)slot;
    for (int i = 0; i < 3; i++) {
        words[(size_t)random() % (sizeof *slot / 4)] = random() % 2 != 0 ? noise() : noise() % 64;
    }
    struct desk *desk = cell_desk(&f->w.cell, (int32_t)(random() % 4));
    words = (uint32_t *)(void *)desk;
    for (int i = 0; i < 6; i++) {
        size_t span = (sizeof desk->record + sizeof desk->part) / 4;
        words[(size_t)random() % span] = random() % 2 != 0 ? noise() : noise() % 4096;
    }
    f->w.cell.header->in_hand = (int32_t)noise();
    f->w.cell.header->top = random() % 2 != 0 ? noise() : noise() % 300;
    f->w.cell.header->log_state = (uint64_t)noise() << 32 | noise();
    f->w.cell.header->log_from = noise();
    f->w.cell.header->connections = noise();
    f->w.cell.header->taking[random() % CELL_TAKING_MAX] = (int32_t)(random() % 2 != 0 ? noise() : noise() % 32);
}

/* True if a request on CLIENT is answered. */
static bool is_served(struct fixture *f, int client)
{
    char start[16];
    return send(client, hello, sizeof hello - 1, MSG_NOSIGNAL) == sizeof hello - 1 &&
           fixture_serve(f, client, start, 12) == 12 && memcmp(start, "HTTP/1.1 200", 12) == 0;
}

/* Leave three connections in the middle of something, scribble over the first two, succeed. True if the third is
 * served. */
static bool survive(struct fixture *f)
{
    char byte;
    int server[3];
    int client[3];
    for (int i = 0; i < 3; i++) {
        client[i] = fixture_connect(&server[i]);
        fixture_begin(f, server[i]);
    }
    say(client[0], big);
    (void)fixture_serve(f, client[0], &byte, 1);
    say(client[1], "GET /hello.txt HTT");
    for (int i = 0; i < 3; i++) {
        fixture_turn(f);
    }
    scribble(f, server[random() % 2]);
    adopt_and_continue(f, random() % 2 != 0 ? BIRTH_CRASH : BIRTH_KILLED);
    for (int i = 0; i < 20; i++) {
        fixture_turn(f);
    }
    return is_served(f, client[2]);
}

/* A process of its own for each round: it may crash, and it may loop. */
static pid_t begin_to_survive(unsigned seed)
{
    pid_t pid = fork();
    if (pid == 0) {
        struct fixture f;
        dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), STDERR_FILENO);
        srandom(seed);
        alarm(20);
        fixture_open(&f, 1024);
        bool served = survive(&f);
        fixture_remove_site(&f);
        _exit(served ? 0 : 1);
    }
    return pid;
}

/* Some at a time, for most of the time they wait. */
static void a_sick_cell_costs_the_sick_connections_only(void **state)
{
    enum { ROUNDS = 300, AT_ONCE = 10 };
    (void)state;
    for (unsigned first = 1; first <= ROUNDS; first += AT_ONCE) {
        pid_t pid[AT_ONCE];
        for (unsigned i = 0; i < AT_ONCE; i++) {
            pid[i] = begin_to_survive(first + i);
        }
        for (unsigned i = 0; i < AT_ONCE; i++) {
            int status;
            assert_int_equal(waitpid(pid[i], &status, 0), pid[i]);
            if (status != 0) {
                fail_msg("seed %u: wait status %x", first + i, (unsigned)status);
            }
        }
    }
}

static int open_fixture(void **state)
{
    struct fixture *f = malloc(sizeof *f);
    fixture_open(f, 1024);
    *state = f;
    return 0;
}

static int close_fixture(void **state)
{
    fixture_close(*state);
    free(*state);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_fixture, close_fixture)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(lesson_1_a_request_that_is_buffered_whole_is_answered_though_no_event_comes),
        TEST(lesson_2_a_connection_just_accepted_is_adopted_and_what_nobody_speaks_of_is_closed),
        TEST(a_connection_that_was_taken_in_the_very_instant_of_a_death_is_served),
        TEST(a_connection_that_was_taken_twice_in_that_instant_is_had_once),
        TEST(what_a_dead_giver_has_perhaps_given_is_left_alone),
        TEST(lesson_2_descriptors_far_above_the_highest_slot_are_looked_at),
        TEST(lesson_3_a_half_written_record_is_not_seen),
        TEST(lesson_4_a_file_replaced_in_mid_response_is_sent_as_it_began),
        TEST(lesson_5_how_much_was_sent_is_asked_of_the_kernel),
        TEST(lesson_6_connections_and_response_files_live_over_exec_and_nothing_else_does),
        TEST(lesson_7_an_idle_connection_is_checked_when_it_first_moves),
        TEST(lesson_8_a_close_reaches_the_client_though_an_old_keeper_holds_the_socket),
        TEST(a_worker_killed_right_after_its_half_close_loses_nothing),
        TEST(a_suspect_gets_one_more_try_and_then_500),
        TEST(a_suspect_behind_others_is_poison_when_it_kills_again),
        TEST(a_kill_from_outside_makes_nobody_a_suspect),
        TEST(a_descriptor_of_our_own_is_never_closed_for_a_slot),
        TEST(a_top_that_is_too_low_costs_nobody_anything),
        TEST(an_idle_slot_that_claims_a_desk_does_not_take_it_from_its_owner),
        TEST(a_slot_being_closed_does_not_take_a_desk_from_its_owner),
        TEST(a_slot_that_bears_a_listeners_number_does_not_shut_it_down),
        TEST(a_slot_that_bears_a_response_files_number_does_not_close_it),
        TEST(our_own_channels_are_no_givers),
        TEST(a_deadline_in_a_far_future_is_brought_back),
        cmocka_unit_test(a_sick_cell_costs_the_sick_connections_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
