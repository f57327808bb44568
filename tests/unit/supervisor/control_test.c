/* control_test.c — the supervisor's socket survives its clients: late, silent, rude, too many. */
#include "supervisor/control.h"
#include "supervisor/control_packet.h"

#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { SOON_MS = 5000 };

static char run_dir[64];
static struct control *control;
static char error[CONTROL_ERROR_BYTES];

static int open_control(void **state)
{
    snprintf(run_dir, sizeof run_dir, "/tmp/perdure-control-XXXXXX");
    assert_non_null(mkdtemp(run_dir));
    control = control_open(run_dir, error);
    assert_non_null(control);
    (void)state;
    return 0;
}

static int close_control(void **state)
{
    if (control != NULL) {
        control_close(control);
    }
    (void)state;
    return rmdir(run_dir); /* fails if the socket's file was left */
}

/* Wait for the next request. */
static struct control_request await_request(void)
{
    struct control_request request;
    while (!control_next(control, &request)) {
        struct pollfd poller = {.fd = control_fd(control), .events = POLLIN};
        assert_int_equal(poll(&poller, 1, SOON_MS), 1);
    }
    return request;
}

/* Deal with all events until the child that is the client has ended. */
static int await_client(pid_t pid)
{
    struct control_request request;
    int status;
    while (waitpid(pid, &status, WNOHANG) == 0) {
        struct pollfd poller = {.fd = control_fd(control), .events = POLLIN};
        poll(&poller, 1, 10);
        assert_false(control_next(control, &request));
    }
    return WEXITSTATUS(status);
}

/* A client in a process of its own: exits with the answer's code if the text is of TEXT_BYTES bytes, all 'x'. */
static pid_t start_client(enum control_verb verb, unsigned flags, size_t text_bytes)
{
    pid_t pid = fork();
    if (pid == 0) {
        struct control_answer answer;
        close_range(3, ~0U, 0); /* other clients' sockets are to be closed when the test closes them */
        enum control_outcome outcome = control_call(run_dir, verb, flags, SOON_MS, &answer);
        if (outcome != CONTROL_ANSWERED) {
            _exit(100 + (int)outcome);
        }
        bool whole = strlen(answer.text) == text_bytes && strspn(answer.text, "x") == text_bytes;
        _exit(whole ? answer.exit_code : 99);
    }
    return pid;
}

static int connect_raw(void)
{
    struct sockaddr_un name;
    int directory_fd;
    int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
    assert_int_equal(control_socket_name(run_dir, &name, &directory_fd), 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&name, sizeof name), 0);
    return fd;
}

/* True once the supervisor has closed FD's other end. */
static bool is_closed(int fd)
{
    struct control_request request;
    struct pollfd poller = {.fd = fd, .events = POLLIN};
    for (int i = 0; i < 100; i++) {
        control_next(control, &request);
        if (poll(&poller, 1, 10) == 1) {
            char byte;
            return recv(fd, &byte, 1, MSG_DONTWAIT) <= 0;
        }
    }
    return false;
}

static void the_socket_is_private(void **state)
{
    char path[128];
    struct stat is;
    snprintf(path, sizeof path, "%s/control.sock", run_dir);
    assert_int_equal(stat(path, &is), 0);
    assert_int_equal(is.st_mode & 07777, 0600);
    (void)state;
}

static void a_request_arrives_and_its_answer_comes_back(void **state)
{
    pid_t pid = start_client(CONTROL_STATUS, CONTROL_JSON, 3);
    struct control_request request = await_request();
    assert_int_equal(request.verb, CONTROL_STATUS);
    assert_int_equal(request.flags, CONTROL_JSON);
    assert_int_equal(request.pid, pid);
    assert_int_equal(request.uid, geteuid());
    control_reply(control, request.client, 7, "xxx");
    assert_int_equal(await_client(pid), 7);
    (void)state;
}

static void an_answer_may_be_megabytes(void **state)
{
    enum { BIG = 3 * 1024 * 1024 + 17 };
    char *text = malloc(BIG + 1);
    memset(text, 'x', BIG);
    text[BIG] = '\0';
    pid_t pid = start_client(CONTROL_STATUS, 0, BIG);
    struct control_request request = await_request();
    control_reply(control, request.client, 5, text);
    free(text);
    assert_int_equal(await_client(pid), 5);
    (void)state;
}

static void answers_go_to_whom_they_belong(void **state)
{
    pid_t one = start_client(CONTROL_RELOAD, 0, 1);
    struct control_request first = await_request();
    pid_t other = start_client(CONTROL_STATUS, 0, 2);
    struct control_request second = await_request();
    assert_true(first.client != second.client);
    control_reply(control, second.client, 2, "xx");
    assert_int_equal(await_client(other), 2);
    control_reply(control, first.client, 1, "x");
    control_reply(control, first.client, 9, "once is enough");
    assert_int_equal(await_client(one), 1);
    (void)state;
}

static void a_client_that_went_is_forgotten(void **state)
{
    int fd = connect_raw();
    struct request_packet packet = {.magic = PACKET_MAGIC, .verb = CONTROL_RELOAD};
    assert_int_equal(send(fd, &packet, sizeof packet, 0), sizeof packet);
    struct control_request request = await_request();
    assert_true(control_owes(control, request.client));
    close(fd);
    struct control_request none;
    assert_false(control_next(control, &none));
    assert_false(control_owes(control, request.client));
    control_reply(control, request.client, 0, "nobody hears this");
    pid_t pid = start_client(CONTROL_REOPEN, 0, 0);
    request = await_request();
    control_reply(control, request.client, 3, "");
    assert_int_equal(await_client(pid), 3);
    (void)state;
}

static void a_malformed_packet_costs_its_client_only(void **state)
{
    struct request_packet bad_magic = {.magic = 1, .verb = CONTROL_STOP};
    struct request_packet bad_verb = {.magic = PACKET_MAGIC, .verb = CONTROL_VERBS};
    struct {
        struct request_packet packet;
        char more;
    } too_long = {.packet = {.magic = PACKET_MAGIC, .verb = CONTROL_STOP}};
    const struct {
        const void *bytes;
        size_t count;
    } packets[] = {{&bad_magic, sizeof bad_magic},
                   {&bad_verb, sizeof bad_verb},
                   {&too_long, sizeof too_long},
                   {"x", 1},
                   {&bad_magic, sizeof bad_magic - 1}};
    pid_t pid = start_client(CONTROL_STATUS, 0, 0);
    struct control_request good = await_request();
    for (size_t i = 0; i < sizeof packets / sizeof packets[0]; i++) {
        int fd = connect_raw();
        assert_int_equal(send(fd, packets[i].bytes, packets[i].count, 0), (int)packets[i].count);
        assert_true(is_closed(fd));
        close(fd);
    }
    control_reply(control, good.client, 4, "");
    assert_int_equal(await_client(pid), 4);
    (void)state;
}

/* The seventeenth waits in the kernel's queue until another has gone. */
static void fill_places(int fds[CONTROL_CLIENTS_MAX], bool ask, struct control_request *request)
{
    const struct request_packet packet = {.magic = PACKET_MAGIC, .verb = CONTROL_RELOAD};
    for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
        fds[i] = connect_raw();
        assert_true(!ask || send(fds[i], &packet, sizeof packet, 0) == (ssize_t)sizeof packet);
        assert_int_equal(control_next(control, request), ask);
    }
}

static void close_all(const int fds[CONTROL_CLIENTS_MAX])
{
    for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
        close(fds[i]);
    }
}

static void more_clients_than_places_that_wait_for_answers_wait_their_turn(void **state)
{
    int fds[CONTROL_CLIENTS_MAX];
    struct control_request request;
    fill_places(fds, true, &request);
    pid_t pid = start_client(CONTROL_STATUS, 0, 0);
    struct pollfd poller = {.fd = control_fd(control), .events = POLLIN};
    assert_int_equal(poll(&poller, 1, 50), 0);
    close_all(fds);
    request = await_request();
    control_reply(control, request.client, 6, "");
    assert_int_equal(await_client(pid), 6);
    (void)state;
}

static void silent_clients_make_room_the_first_of_them_first(void **state)
{
    int fds[CONTROL_CLIENTS_MAX];
    struct control_request request;
    const struct request_packet packet = {.magic = PACKET_MAGIC, .verb = CONTROL_RELOAD};
    fill_places(fds, false, &request);
    assert_int_equal(send(fds[0], &packet, sizeof packet, 0), sizeof packet); /* not silent any more, if not read yet */
    pid_t pid = start_client(CONTROL_STATUS, 0, 0);
    do {
        request = await_request();
    } while (request.verb != CONTROL_STATUS);
    control_reply(control, request.client, 7, "");
    assert_int_equal(await_client(pid), 7);
    assert_true(is_closed(fds[1]));
    for (size_t i = 2; i < CONTROL_CLIENTS_MAX; i++) {
        char byte;
        assert_int_equal(recv(fds[i], &byte, 1, MSG_DONTWAIT), -1);
    }
    close_all(fds);
    (void)state;
}

static void a_call_deals_with_some_events_only(void **state)
{
    int fds[CONTROL_CLIENTS_MAX];
    struct control_request request;
    for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
        fds[i] = connect_raw();
    }
    assert_false(control_next(control, &request));
    struct pollfd poller = {.fd = control_fd(control), .events = POLLIN};
    assert_int_equal(poll(&poller, 1, 0), 1); /* the rest is told again */
    close_all(fds);
    (void)state;
}

static void a_stale_file_is_replaced(void **state)
{
    char path[128];
    control_close(control);
    snprintf(path, sizeof path, "%s/control.sock", run_dir);
    int fd = open(path, O_CREAT | O_WRONLY, 0644);
    close(fd);
    control = control_open(run_dir, error);
    assert_non_null(control);
    pid_t pid = start_client(CONTROL_STATUS, 0, 0);
    struct control_request request = await_request();
    control_reply(control, request.client, 8, "");
    assert_int_equal(await_client(pid), 8);
    (void)state;
}

/* What an exec leaves of the only client: the descriptors and the ledger, no memory. */
static struct control_kept carry_over(void)
{
    struct control_kept kept;
    char path[128];
    char aside[128];
    control_keep_nothing(&kept);
    control_keep(control, &kept);
    assert_true(kept.clients[0].fd >= 0);
    assert_int_equal(kept.clients[1].fd, -1);
    kept.listener_fd = dup(kept.listener_fd);
    kept.clients[0].fd = dup(kept.clients[0].fd);
    snprintf(path, sizeof path, "%s/control.sock", run_dir);
    snprintf(aside, sizeof aside, "%s/aside", run_dir);
    assert_int_equal(rename(path, aside), 0);
    control_close(control);
    assert_int_equal(rename(aside, path), 0);
    control = control_adopt(run_dir, &kept);
    assert_non_null(control);
    return kept;
}

static void clients_that_wait_are_carried_over_an_exec(void **state)
{
    pid_t pid = start_client(CONTROL_RESTART, 0, 1);
    struct control_request request = await_request();
    struct control_kept kept = carry_over();
    assert_int_equal(kept.clients[0].verb, CONTROL_RESTART);
    assert_int_equal(kept.clients[0].asking, 0);
    assert_true(control_owes(control, request.client));
    control_reply(control, request.client, 11, "x");
    assert_int_equal(await_client(pid), 11);
    pid = start_client(CONTROL_STATUS, 0, 0);
    request = await_request();
    control_reply(control, request.client, 12, "");
    assert_int_equal(await_client(pid), 12);
    (void)state;
}

/* The image before read the request, and died before it had noted what comes of it. */
static void a_request_that_nobody_knows_of_any_more_is_heard_again(void **state)
{
    pid_t pid = start_client(CONTROL_DIFF, 0, 1);
    struct control_request first = await_request();
    carry_over();
    struct control_request none;
    assert_false(control_next(control, &none));
    control_hear_again(control, first.client);
    struct control_request again = await_request();
    assert_int_equal(again.client, first.client);
    assert_int_equal(again.verb, CONTROL_DIFF);
    control_reply(control, again.client, 13, "x");
    assert_int_equal(await_client(pid), 13);
    (void)state;
}

/* What is noted about a client is true at every instant, not once in a turn. */
static void notes_go_with_every_change(void **state)
{
    static struct control_kept kept; /* the control has it for its life */
    control_keep_nothing(&kept);
    control_keep(control, &kept);
    assert_int_equal(kept.clients[0].fd, -1);
    pid_t pid = start_client(CONTROL_RELOAD, 0, 1);
    struct control_request request = await_request();
    assert_true(kept.clients[0].fd >= 0);
    assert_int_equal(kept.clients[0].asking, 0);
    assert_int_equal(kept.clients[0].verb, CONTROL_RELOAD);
    control_reply(control, request.client, 14, "x");
    assert_int_equal(kept.clients[0].fd, -1);
    assert_int_equal(await_client(pid), 14);
    (void)state;
}

/* One that had connected just before a restart was told that the supervisor went. */
static void clients_that_have_not_asked_yet_are_carried_over_an_exec(void **state)
{
    struct control_request none;
    int fd = connect_raw();
    assert_false(control_next(control, &none));
    carry_over();
    struct request_packet packet = {.magic = PACKET_MAGIC, .verb = CONTROL_RELOAD};
    assert_int_equal(send(fd, &packet, sizeof packet, 0), sizeof packet);
    struct control_request request = await_request();
    assert_int_equal(request.verb, CONTROL_RELOAD);
    assert_int_equal(request.pid, getpid());
    close(fd);
    (void)state;
}

static void nonsense_is_not_adopted(void **state)
{
    struct control_kept kept = {.listener_fd = STDIN_FILENO};
    assert_null(control_adopt(run_dir, &kept));
    kept.listener_fd = -1;
    assert_null(control_adopt(run_dir, &kept));
    (void)state;
}

static void nobody_there_is_said(void **state)
{
    struct control_answer answer;
    control_close(control);
    control = NULL;
    assert_int_equal(control_call(run_dir, CONTROL_STATUS, 0, SOON_MS, &answer), CONTROL_NOBODY);
    assert_non_null(strstr(answer.text, "no supervisor is running"));
    free(answer.text);
    (void)state;
}

static void a_supervisor_that_does_not_answer_is_left_in_time(void **state)
{
    struct control_answer answer;
    assert_int_equal(control_call(run_dir, CONTROL_STATUS, 0, 20, &answer), CONTROL_FAILED);
    assert_non_null(strstr(answer.text, "not answered in time"));
    free(answer.text);
    (void)state;
}

static void the_end_of_the_supervisor_is_told_from_a_refusal(void **state)
{
    pid_t pid = start_client(CONTROL_STOP, 0, 0);
    await_request();
    control_close(control);
    control = NULL;
    int status;
    waitpid(pid, &status, 0);
    assert_int_equal(WEXITSTATUS(status), 100 + CONTROL_ENDED);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_socket_is_private, open_control, close_control),
        cmocka_unit_test_setup_teardown(a_request_arrives_and_its_answer_comes_back, open_control, close_control),
        cmocka_unit_test_setup_teardown(an_answer_may_be_megabytes, open_control, close_control),
        cmocka_unit_test_setup_teardown(answers_go_to_whom_they_belong, open_control, close_control),
        cmocka_unit_test_setup_teardown(a_client_that_went_is_forgotten, open_control, close_control),
        cmocka_unit_test_setup_teardown(a_malformed_packet_costs_its_client_only, open_control, close_control),
        cmocka_unit_test_setup_teardown(more_clients_than_places_that_wait_for_answers_wait_their_turn, open_control,
                                        close_control),
        cmocka_unit_test_setup_teardown(silent_clients_make_room_the_first_of_them_first, open_control, close_control),
        cmocka_unit_test_setup_teardown(a_call_deals_with_some_events_only, open_control, close_control),
        cmocka_unit_test_setup_teardown(a_stale_file_is_replaced, open_control, close_control),
        cmocka_unit_test_setup_teardown(clients_that_wait_are_carried_over_an_exec, open_control, close_control),
        cmocka_unit_test_setup_teardown(a_request_that_nobody_knows_of_any_more_is_heard_again, open_control,
                                        close_control),
        cmocka_unit_test_setup_teardown(notes_go_with_every_change, open_control, close_control),
        cmocka_unit_test_setup_teardown(clients_that_have_not_asked_yet_are_carried_over_an_exec, open_control,
                                        close_control),
        cmocka_unit_test_setup_teardown(nonsense_is_not_adopted, open_control, close_control),
        cmocka_unit_test_setup_teardown(nobody_there_is_said, open_control, close_control),
        cmocka_unit_test_setup_teardown(a_supervisor_that_does_not_answer_is_left_in_time, open_control, close_control),
        cmocka_unit_test_setup_teardown(the_end_of_the_supervisor_is_told_from_a_refusal, open_control, close_control),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
