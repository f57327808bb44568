/* contract_test.c — a birth survives its exec, a message its channel, and neither takes what is malformed. */
#include "supervisor/inherit/contract.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static struct birth some_birth(uint32_t listeners)
{
    struct birth birth = {.version = CONTRACT_VERSION,
                          .slot = 3,
                          .generation = 12,
                          .cause = BIRTH_HANG,
                          .signal = 9,
                          .error_log_fd = STDERR_FILENO,
                          .control_fd = 5,
                          .keeper_fd = 6,
                          .snapshot_fd = 7,
                          .access_log_fd = 8,
                          .program_fd = -1,
                          .cell_fd = 9,
                          .epoll_fd = -1,
                          .listeners_count = listeners};
    for (uint32_t i = 0; i < listeners; i++) {
        birth.listener_fds[i] = (int32_t)(100 + i);
    }
    return birth;
}

static void a_birth_is_read_as_it_was_written(void **state)
{
    (void)state;
    for (uint32_t listeners = 0; listeners <= CONTRACT_LISTENERS_MAX; listeners++) {
        struct birth birth = some_birth(listeners);
        struct birth read;
        char text[BIRTH_TEXT_BYTES];
        birth_write(&birth, text);
        assert_true(birth_read(&read, text));
        assert_memory_equal(&read, &birth, sizeof birth);
    }
}

static void a_malformed_birth_is_refused(void **state)
{
    (void)state;
    struct birth birth = some_birth(2);
    struct birth read;
    char text[BIRTH_TEXT_BYTES];
    birth_write(&birth, text);
    size_t length = strlen(text);
    char copy[BIRTH_TEXT_BYTES + 8];
    snprintf(copy, sizeof copy, "%s 1", text);
    assert_false(birth_read(&read, copy));
    snprintf(copy, sizeof copy, "%s", text);
    copy[length - 4] = '\0'; /* the last listener is missing */
    assert_false(birth_read(&read, copy));
    assert_false(birth_read(&read, ""));
    assert_false(birth_read(&read, "x"));
    birth.version = CONTRACT_VERSION + 1;
    birth_write(&birth, text);
    assert_false(birth_read(&read, text));
    birth = some_birth(0);
    birth.listeners_count = CONTRACT_LISTENERS_MAX + 1;
    birth_write(&birth, text);
    assert_false(birth_read(&read, text));
    birth = some_birth(0);
    birth.cause = BIRTH_CAUSES;
    birth_write(&birth, text);
    assert_false(birth_read(&read, text));
}

static void a_message_brings_its_descriptors_and_its_sender(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(channel_pair(ends), 0);
    struct report sent = {.kind = REPORT_READY, .pid = 42};
    int given[2] = {open("/dev/null", O_RDONLY), open("/dev/zero", O_RDONLY)};
    assert_int_equal(channel_send(ends[1], &sent, sizeof sent, given, 2), 0);
    struct report got;
    int fds[4];
    size_t count = 4;
    pid_t sender;
    assert_int_equal(channel_receive(ends[0], &got, sizeof got, fds, &count, &sender), 1);
    assert_memory_equal(&got, &sent, sizeof sent);
    assert_int_equal(count, 2);
    assert_int_equal(sender, getpid());
    assert_int_equal(fcntl(fds[0], F_GETFD), FD_CLOEXEC);
    char byte = 'x';
    assert_int_equal(read(fds[1], &byte, 1), 1);
    assert_int_equal(byte, 0);
    for (int i = 0; i < 2; i++) {
        close(given[i]);
        close(fds[i]);
        close(ends[i]);
    }
}

static void descriptors_for_which_there_is_no_room_are_closed(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(channel_pair(ends), 0);
    int before = dup(0);
    close(before);
    int given = open("/dev/null", O_RDONLY);
    int both[2] = {given, given};
    char message = 'm';
    assert_int_equal(channel_send(ends[1], &message, 1, both, 2), 0);
    close(given);
    size_t count = 0;
    char got;
    assert_int_equal(channel_receive(ends[0], &got, 1, NULL, &count, NULL), 1);
    assert_int_equal(count, 0);
    int after = dup(0);
    assert_int_equal(after, before);
    close(after);
    close(ends[0]);
    close(ends[1]);
}

/* Once, who was killed as soon as it had received one left it to a successor whose exec closed it. */
static void a_parcels_connection_lives_over_an_exec_at_once(void **state)
{
    (void)state;
    int ends[2];
    int fd;
    assert_int_equal(channel_pair(ends), 0);
    int given = open("/dev/null", O_RDONLY);
    struct parcel sent = {.received = 5, .sent = 7};
    struct parcel got;
    assert_int_equal(channel_send(ends[1], &sent, sizeof sent, &given, 1), 0);
    assert_int_equal(parcel_receive(ends[0], &got, &fd), 1);
    assert_memory_equal(&got, &sent, sizeof sent);
    assert_int_equal(fcntl(fd, F_GETFD), 0);
    close(fd);
    close(given);
    close(ends[1]);
    assert_int_equal(parcel_receive(ends[0], &got, &fd), 0);
    assert_int_equal(fd, -1);
    close(ends[0]);
}

static void a_message_of_another_size_is_dropped_alone(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(channel_pair(ends), 0);
    char bytes[8] = "1234567";
    char got[8];
    assert_int_equal(channel_send(ends[1], bytes, 7, NULL, 0), 0);
    assert_int_equal(channel_send(ends[1], bytes, 8, NULL, 0), 0);
    assert_int_equal(channel_receive(ends[0], got, 8, NULL, NULL, NULL), -1);
    assert_int_equal(errno, EBADMSG);
    assert_int_equal(channel_receive(ends[0], got, 8, NULL, NULL, NULL), 1);
    assert_int_equal(channel_receive(ends[0], got, 8, NULL, NULL, NULL), -1);
    assert_int_equal(errno, EAGAIN);
    close(ends[1]);
    assert_int_equal(channel_receive(ends[0], got, 8, NULL, NULL, NULL), 0);
    close(ends[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_birth_is_read_as_it_was_written),
        cmocka_unit_test(a_malformed_birth_is_refused),
        cmocka_unit_test(a_message_brings_its_descriptors_and_its_sender),
        cmocka_unit_test(descriptors_for_which_there_is_no_room_are_closed),
        cmocka_unit_test(a_parcels_connection_lives_over_an_exec_at_once),
        cmocka_unit_test(a_message_of_another_size_is_dropped_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
