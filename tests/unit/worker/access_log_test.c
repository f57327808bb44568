/* access_log_test.c — a line per response: none lost, none doubled, none forged. */
#include "worker/access_log.h"

#include "tests/unit/worker/fixture.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static char access_log_path[] = "test";

struct logged {
    struct fixture f;
    int server;
    int client;
};

static int open_logged(void **state)
{
    struct logged *l = malloc(sizeof *l);
    fixture_open(&l->f, 1024);
    l->f.settings.access_log = access_log_path;
    l->f.w.birth.access_log_fd = memfd_create("access_log", MFD_CLOEXEC);
    l->client = fixture_connect(&l->server);
    fixture_begin(&l->f, l->server);
    *state = l;
    return 0;
}

static int close_logged(void **state)
{
    struct logged *l = *state;
    close(l->f.w.birth.access_log_fd);
    close(l->client);
    fixture_close(&l->f);
    free(l);
    return 0;
}

static size_t read_log(const struct logged *l, char *text, size_t size)
{
    ssize_t got = pread(l->f.w.birth.access_log_fd, text, size - 1, 0);
    assert_true(got >= 0);
    text[got] = '\0';
    return (size_t)got;
}

static size_t count_lines(const char *text)
{
    size_t lines = 0;
    for (; *text != '\0'; text++) {
        lines += *text == '\n';
    }
    return lines;
}

static void ask(struct logged *l, const char *request, size_t answer_bytes)
{
    char answer[8192];
    assert_int_equal(send(l->client, request, strlen(request), 0), strlen(request));
    (void)fixture_serve(&l->f, l->client, answer, answer_bytes);
    for (int i = 0; i < 3; i++) {
        fixture_turn(&l->f);
    }
}

static void a_response_has_one_line_in_the_combined_format(void **state)
{
    struct logged *l = *state;
    char text[4096];
    ask(l, "GET /hello.txt HTTP/1.1\r\nHost: x\r\nReferer: http://a/\r\nUser-Agent: t\"x\r\n\r\n", 100);
    access_log_flush(&l->f.w);
    read_log(l, text, sizeof text);
    assert_int_equal(count_lines(text), 1);
    assert_memory_equal(text, "127.0.0.1 - - [", 15);
    assert_non_null(strstr(text, "] \"GET /hello.txt HTTP/1.1\" 200 13 \"http://a/\" \"t\\x22x\"\n"));
}

static void pipelined_responses_have_a_line_each_in_order(void **state)
{
    struct logged *l = *state;
    char text[4096];
    ask(l, "GET /hello.txt?1 HTTP/1.1\r\nHost: x\r\n\r\nGET /hello.txt?2 HTTP/1.1\r\nHost: x\r\n\r\n", 300);
    access_log_flush(&l->f.w);
    read_log(l, text, sizeof text);
    assert_int_equal(count_lines(text), 2);
    assert_true(strstr(text, "?1 ") < strstr(text, "?2 "));
}

static void a_successor_that_completes_a_response_again_does_not_log_it_again(void **state)
{
    struct logged *l = *state;
    char text[4096];
    struct connection c;
    assert_true(connection_load(&l->f.w, l->server, &c));
    c.at.desk = desks_borrow(&l->f.w.desks);
    c.desk = cell_desk(&l->f.w.cell, c.at.desk);
    c.work = (struct desk_record){.file_fd = -1, .log_bytes = 5, .log_split = 2};
    memcpy(c.desk->log, "line\n", 5);
    connection_publish(&c);
    access_log_commit(&l->f.w, &c); /* and here the worker dies, before it publishes that the response is over */
    access_log_adopt(&l->f.w);
    access_log_commit(&l->f.w, &c);
    access_log_flush(&l->f.w);
    read_log(l, text, sizeof text);
    assert_string_equal(text, "line\n");
}

/* Between that death and the response's completion others may complete theirs. */
static void not_even_if_other_lines_came_between(void **state)
{
    struct logged *l = *state;
    char text[4096];
    struct connection c;
    assert_true(connection_load(&l->f.w, l->server, &c));
    c.at.desk = desks_borrow(&l->f.w.desks);
    c.desk = cell_desk(&l->f.w.cell, c.at.desk);
    c.work = (struct desk_record){.file_fd = -1, .log_bytes = 5, .log_split = 2, .log_from = 7};
    memcpy(c.desk->log, "line\n", 5);
    connection_publish(&c);
    access_log_commit(&l->f.w, &c);
    access_log_adopt(&l->f.w);
    struct connection other = c;
    other.work.log_from++;
    access_log_commit(&l->f.w, &other);
    access_log_commit(&l->f.w, &c);
    c.at.sent = 20;
    access_log_cut(&l->f.w, &c);
    access_log_flush(&l->f.w);
    read_log(l, text, sizeof text);
    assert_string_equal(text, "line\nline\n");
}

static void lines_not_yet_written_are_written_by_the_successor(void **state)
{
    struct logged *l = *state;
    char text[4096];
    ask(l, "GET /hello.txt HTTP/1.1\r\nHost: x\r\n\r\n", 100);
    assert_int_equal(read_log(l, text, sizeof text), 0);
    fixture_succeed(&l->f, BIRTH_KILLED);
    access_log_adopt(&l->f.w);
    access_log_flush(&l->f.w);
    read_log(l, text, sizeof text);
    assert_int_equal(count_lines(text), 1);
}

static void a_response_cut_short_is_logged_with_the_bytes_that_went_out(void **state)
{
    struct logged *l = *state;
    char text[4096];
    struct connection c;
    static const char request[] = "GET /big.bin HTTP/1.1\r\nHost: x\r\n\r\n";
    assert_int_equal(send(l->client, request, sizeof request - 1, 0), sizeof request - 1);
    fixture_turn(&l->f); /* a turn does not send 3 MiB */
    assert_true(connection_load(&l->f.w, l->server, &c));
    assert_int_equal(c.at.stage, STAGE_RESPOND);
    uint64_t body = c.at.sent - c.work.log_head_bytes;
    connection_end(&l->f.w, &c, END_CLIENT);
    access_log_flush(&l->f.w);
    read_log(l, text, sizeof text);
    char expected[64];
    snprintf(expected, sizeof expected, "\" 200 %llu \"-\"", (unsigned long long)body);
    assert_non_null(strstr(text, expected));
}

static void a_long_request_line_is_cut_not_spilled(void **state)
{
    struct logged *l = *state;
    char request[8000] = "GET /";
    memset(request + 5, 'a', 7000);
    strcpy(request + 7005, " HTTP/1.1\r\nHost: x\r\n\r\n");
    char text[16384];
    ask(l, request, 100);
    access_log_flush(&l->f.w);
    assert_in_range(read_log(l, text, sizeof text), 3000, DESK_LOG_LINE);
    assert_int_equal(count_lines(text), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_logged, close_logged)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_response_has_one_line_in_the_combined_format),
        TEST(pipelined_responses_have_a_line_each_in_order),
        TEST(a_successor_that_completes_a_response_again_does_not_log_it_again),
        TEST(not_even_if_other_lines_came_between),
        TEST(lines_not_yet_written_are_written_by_the_successor),
        TEST(a_response_cut_short_is_logged_with_the_bytes_that_went_out),
        TEST(a_long_request_line_is_cut_not_spilled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
