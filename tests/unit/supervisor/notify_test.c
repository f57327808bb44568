/* notify_test.c — the service manager hears the datagrams of sd_notify(3), over a path and over an abstract name. */
#include "supervisor/notify.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

/* A manager that listens on NAME; '@' is an abstract one. */
static int listen_on(const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, name, strlen(name));
    if (name[0] == '@') {
        address.sun_path[0] = '\0';
    }
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name));
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, length), 0);
    setenv("NOTIFY_SOCKET", name, 1);
    return fd;
}

static const char *heard(int fd)
{
    static char text[2048];
    ssize_t got = recv(fd, text, sizeof text - 1, MSG_DONTWAIT);
    text[got > 0 ? got : 0] = '\0';
    return text;
}

static void tell_all(int fd)
{
    notify_ready(4711, "serving on\n127.0.0.1:80 \n");
    assert_string_equal(heard(fd), "READY=1\nMAINPID=4711\nSTATUS=serving on 127.0.0.1:80");
    notify_reloading();
    assert_int_equal(strncmp(heard(fd), "RELOADING=1\nMONOTONIC_USEC=", 27), 0);
    notify_status("refused: %s", "a\nREADY=1");
    assert_string_equal(heard(fd), "STATUS=refused: a READY=1");
    notify_stopping();
    assert_string_equal(heard(fd), "STOPPING=1\nSTATUS=stopping");
    notify_watchdog();
    assert_string_equal(heard(fd), "WATCHDOG=1");
}

static void over_a_path(void **state)
{
    char directory[] = "/tmp/perdure-notify-XXXXXX";
    char path[64];
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/notify", directory);
    int fd = listen_on(path);
    tell_all(fd);
    close(fd);
    unlink(path);
    rmdir(directory);
    (void)state;
}

static void over_an_abstract_name(void **state)
{
    char name[64];
    snprintf(name, sizeof name, "@perdure-notify-%d", (int)getpid());
    int fd = listen_on(name);
    tell_all(fd);
    close(fd);
    (void)state;
}

static void without_a_manager_nothing_happens(void **state)
{
    static const char *const names[] = {"", "/no/such/socket", "relative", "@"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        setenv("NOTIFY_SOCKET", names[i], 1);
        notify_ready(1, "x");
    }
    unsetenv("NOTIFY_SOCKET");
    notify_ready(1, "x");
    (void)state;
}

/* Tell until there is no room. */
static void fill(void)
{
    for (int i = 0; i < 10000; i++) {
        notify_watchdog();
    }
}

/* Everything but what filled it. */
static const char *heard_next(int fd)
{
    const char *text = heard(fd);
    while (strcmp(text, "WATCHDOG=1") == 0) {
        text = heard(fd);
    }
    return text;
}

static void what_there_was_no_room_for_is_told_in_the_end(void **state)
{
    char name[64];
    snprintf(name, sizeof name, "@perdure-notify-full-%d", (int)getpid());
    int fd = listen_on(name);
    fill();
    notify_reloading();
    notify_status("rolling");
    notify_ready(4711, "reloaded");
    notify_status("two workers");
    assert_true(notify_turn() != UINT64_MAX);
    assert_string_equal(heard_next(fd), "");
    assert_true(notify_turn() == UINT64_MAX);
    assert_string_equal(heard(fd), "READY=1\nMAINPID=4711\nSTATUS=reloaded");
    assert_string_equal(heard(fd), "STATUS=two workers");
    assert_true(notify_turn() == UINT64_MAX);
    assert_string_equal(heard(fd), "");

    fill();
    notify_status("old");
    notify_stopping();
    close(fd);
    assert_true(notify_turn() == UINT64_MAX); /* nobody is there any more */
    unsetenv("NOTIFY_SOCKET");
    fill();
    notify_stopping();
    assert_true(notify_turn() == UINT64_MAX);
    (void)state;
}

/* Sets both, NULL: unsets it; returns the interval then. */
static uint64_t interval_with(const char *usec, const char *pid)
{
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
    if (usec != NULL) {
        setenv("WATCHDOG_USEC", usec, 1);
    }
    if (pid != NULL) {
        setenv("WATCHDOG_PID", pid, 1);
    }
    return notify_watchdog_interval_ms();
}

static void the_watchdog_is_fed_only_by_whom_it_waits_for(void **state)
{
    char ours[16];
    char parents[16];
    snprintf(ours, sizeof ours, "%d", (int)getpid());
    snprintf(parents, sizeof parents, "%d", (int)getppid());
    assert_int_equal(interval_with("30000000", ours), 30000);
    assert_int_equal(interval_with("30000000", NULL), 30000);
    assert_int_equal(interval_with("30000000", parents), 0);
    assert_int_equal(interval_with("30000000", ""), 0);
    assert_int_equal(interval_with(NULL, ours), 0);
    static const char *const no_numbers[] = {"", "-1", "+5000", "30s", " 30000000", "99999999999999999999999"};
    for (size_t i = 0; i < sizeof no_numbers / sizeof no_numbers[0]; i++) {
        assert_int_equal(interval_with(no_numbers[i], NULL), 0);
    }
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(over_a_path),
        cmocka_unit_test(over_an_abstract_name),
        cmocka_unit_test(without_a_manager_nothing_happens),
        cmocka_unit_test(what_there_was_no_room_for_is_told_in_the_end),
        cmocka_unit_test(the_watchdog_is_fed_only_by_whom_it_waits_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
