/* listeners_test.c — a reload binds what is new first, all or nothing, keeps what stays, and closes what is gone last.
 */
#include "supervisor/listeners.h"
#include "supervisor/why/brief.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static char error[LISTENERS_ERROR_BYTES];
static char directory[64];

static int make_directory(void **state)
{
    snprintf(directory, sizeof directory, "/tmp/perdure-listeners-XXXXXX");
    assert_non_null(mkdtemp(directory));
    (void)state;
    return 0;
}

static int remove_directory(void **state)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", directory);
    (void)state;
    return system(command);
}

/* Settings that listen on up to four addresses; NULL ends the list. */
static struct settings *wish(const char *one, const char *two, const char *three)
{
    static struct listen_setting all[3];
    static struct settings settings;
    const char *const addresses[] = {one, two, three};
    memset(&settings, 0, sizeof settings);
    settings.listeners = all;
    for (size_t i = 0; i < 3 && addresses[i] != NULL; i++) {
        all[i] = (struct listen_setting){.address = (char *)(uintptr_t)addresses[i], .backlog = 16, .mode = 0666};
        all[i].file = "f.conf";
        all[i].line = (unsigned)i + 1;
        settings.listeners_count++;
    }
    return &settings;
}

/* A loopback address of this process's own, so that no other test can take a port that is free. */
static in_addr_t own_host(void)
{
    return htonl(INADDR_LOOPBACK + (((uint32_t)getpid() & 0x3fffff) << 2));
}

/* "ADDRESS:PORT" of a port that is free. */
static const char *free_address(void)
{
    static char texts[8][32];
    static size_t next;
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = own_host()};
    socklen_t length = sizeof name;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&name, sizeof name), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&name, &length), 0);
    close(fd);
    char *text = texts[next++ % 8];
    snprintf(text, sizeof texts[0], "%s:%u", inet_ntoa(name.sin_addr), ntohs(name.sin_port));
    return text;
}

/* A port below the range that connections get theirs from: one of those would be in the way of the wildcard. */
static uint16_t port_free_everywhere(void)
{
    for (unsigned port = 10000 + (unsigned)getpid() % 20000; port < 32768; port++) {
        struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        bool is_free = bind(fd, (struct sockaddr *)&name, sizeof name) == 0;
        close(fd);
        if (is_free) {
            return (uint16_t)port;
        }
    }
    fail_msg("no port is free");
    return 0;
}

static const char *unix_address(const char *name)
{
    static char text[128];
    snprintf(text, sizeof text, "unix:%s/%s", directory, name);
    return text;
}

static bool answers(const char *address)
{
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = own_host()};
    name.sin_port = htons((uint16_t)atoi(strrchr(address, ':') + 1));
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    bool connected = connect(fd, (struct sockaddr *)&name, sizeof name) == 0;
    close(fd);
    return connected;
}

static struct listeners present_of(const char *one, const char *two)
{
    struct listeners present = {0};
    const char *const addresses[] = {one, two};
    for (size_t i = 0; i < 2 && addresses[i] != NULL; i++) {
        snprintf(present.all[i].address, LISTENER_ADDRESS_BYTES, "%s", addresses[i]);
        present.all[i].fd = (int)i + 100;
        present.count++;
    }
    return present;
}

static void the_plan_keeps_binds_and_drops(void **state)
{
    struct listeners present = present_of("0.0.0.0:80", "[::]:80");
    struct listeners_plan plan;
    listeners_plan(&present, wish("127.0.0.1:81", "[::]:80", NULL), &plan);
    assert_int_equal(plan.wanted_count, 2);
    assert_int_equal(plan.keep[0], -1);
    assert_int_equal(plan.keep[1], 1);
    assert_true(plan.drop[0]);
    assert_false(plan.drop[1]);
    (void)state;
}

static void one_address_in_two_spellings_is_kept(void **state)
{
    struct listeners present = present_of("[::1]:80", NULL);
    struct listeners_plan plan;
    listeners_plan(&present, wish("[0:0:0:0:0:0:0:1]:80", NULL, NULL), &plan);
    assert_int_equal(plan.keep[0], 0);
    assert_false(plan.drop[0]);
    (void)state;
}

static void at_start_all_are_bound_with_the_right_options(void **state)
{
    struct listeners none = {0};
    struct listeners set;
    const char *address = free_address();
    assert_int_equal(listeners_prepare(&none, wish(address, NULL, NULL), &set, error), 0);
    assert_int_equal(set.count, 1);
    assert_string_equal(set.all[0].address, address);
    int on = 0;
    socklen_t length = sizeof on;
    assert_int_equal(getsockopt(set.all[0].fd, SOL_SOCKET, SO_REUSEADDR, &on, &length), 0);
    assert_int_equal(on, 1);
    assert_int_equal(fcntl(set.all[0].fd, F_GETFD), FD_CLOEXEC);
    assert_true(fcntl(set.all[0].fd, F_GETFL) & O_NONBLOCK);
    assert_true(answers(address));
    assert_true(listener_is_sound(&set.all[0]));
    listeners_close(&set);
    assert_false(answers(address));
    (void)state;
}

static void a_reload_keeps_the_socket_and_what_waits_in_its_queue(void **state)
{
    struct listeners none = {0};
    struct listeners before;
    struct listeners after;
    const char *stays = free_address();
    const char *goes = free_address();
    const char *comes = free_address();
    assert_int_equal(listeners_prepare(&none, wish(goes, stays, NULL), &before, error), 0);
    assert_int_equal(listeners_prepare(&before, wish(stays, comes, NULL), &after, error), 0);
    assert_int_equal(after.all[0].fd, before.all[1].fd);
    assert_true(answers(goes));
    listeners_commit(&before, &after);
    assert_false(answers(goes));
    assert_true(answers(stays));
    assert_true(answers(comes));
    int client = accept(after.all[0].fd, NULL, NULL); /* answers() left a connection in the queue */
    assert_true(client >= 0);
    close(client);
    listeners_close(&after);
    (void)state;
}

static void one_that_cannot_be_bound_undoes_the_others(void **state)
{
    struct listeners none = {0};
    struct listeners rival;
    struct listeners set;
    const char *taken = free_address();
    const char *other = free_address();
    char says[128];
    assert_int_equal(listeners_prepare(&none, wish(taken, NULL, NULL), &rival, error), 0);
    assert_int_equal(listeners_prepare(&none, wish(other, taken, NULL), &set, error), -1);
    snprintf(says, sizeof says, "f.conf:2: cannot listen on %s: in use by listeners_test (pid %d, ", taken,
             (int)getpid());
    assert_non_null(strstr(error, says));
    assert_false(answers(other));
    listeners_close(&rival);
    (void)state;
}

static void a_refused_reload_leaves_the_present_set(void **state)
{
    struct listeners none = {0};
    struct listeners before;
    struct listeners after;
    const char *stays = free_address();
    const char *comes = free_address();
    assert_int_equal(listeners_prepare(&none, wish(stays, NULL, NULL), &before, error), 0);
    assert_int_equal(listeners_prepare(&before, wish(comes, NULL, NULL), &after, error), 0);
    listeners_abandon(&before, &after);
    assert_true(answers(stays));
    assert_false(answers(comes));
    listeners_close(&before);
    (void)state;
}

/* The new one cannot be bound while our own old one listens, and the old one must not be closed before. */
static void a_reload_from_all_addresses_to_one_and_back(void **state)
{
    struct listeners none = {0};
    struct listeners one;
    struct listeners all;
    struct listeners again;
    char single[32];
    char wildcard[32];
    struct in_addr host = {.s_addr = own_host()};
    unsigned port = port_free_everywhere();
    snprintf(single, sizeof single, "%s:%u", inet_ntoa(host), port);
    snprintf(wildcard, sizeof wildcard, "0.0.0.0:%u", port);
    assert_int_equal(listeners_prepare(&none, wish(single, NULL, NULL), &one, error), 0);
    assert_int_equal(listeners_prepare(&one, wish(wildcard, NULL, NULL), &all, error), 0);
    listeners_commit(&one, &all);
    assert_true(answers(single));
    assert_int_equal(listeners_prepare(&all, wish(single, NULL, NULL), &again, error), 0);
    listeners_commit(&all, &again);
    assert_true(answers(single));
    int on = 1;
    socklen_t length = sizeof on;
    assert_int_equal(getsockopt(again.all[0].fd, SOL_SOCKET, SO_REUSEPORT, &on, &length), 0);
    assert_int_equal(on, 0);
    listeners_close(&again);
    (void)state;
}

static void an_address_of_another_machine_is_explained(void **state)
{
    struct listeners none = {0};
    struct listeners set;
    assert_int_equal(listeners_prepare(&none, wish("192.0.2.1:8000", NULL, NULL), &set, error), -1);
    assert_string_equal(error, "f.conf:1: cannot listen on 192.0.2.1:8000: not an address of this machine; see \"ip "
                               "address\", or listen on 0.0.0.0:8000 for all of them; more: perdure why "
                               "192.0.2.1:8000");
    (void)state;
}

/* Bound and not listening, and without SO_REUSEADDR: netstat shows nothing there. */
static void a_port_that_looks_free_is_explained(void **state)
{
    struct listeners none = {0};
    struct listeners set;
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = own_host()};
    const char *address = free_address();
    name.sin_port = htons((uint16_t)atoi(strrchr(address, ':') + 1));
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&name, sizeof name), 0);
    assert_int_equal(listeners_prepare(&none, wish(address, NULL, NULL), &set, error), -1);
    assert_non_null(strstr(error, "in use by listeners_test (pid "));
    assert_non_null(strstr(error, "which is bound there although it does not listen"));
    close(fd);
    (void)state;
}

static void other_causes_have_words_too(void **state)
{
    char text[256];
    why_not_bind("0.0.0.0:80", EACCES, text, sizeof text);
    assert_non_null(strstr(text, "privileged port"));
    why_not_bind("unix:/no/such/x", ENOENT, text, sizeof text);
    assert_non_null(strstr(text, "its directory does not exist"));
    why_not_bind("[::]:80", EAFNOSUPPORT, text, sizeof text);
    assert_non_null(strstr(text, "no IPv6"));
    (void)state;
}

static void a_unix_socket_is_open_to_all_and_removed_at_the_end(void **state)
{
    struct listeners none = {0};
    struct listeners set;
    struct stat is;
    const char *address = unix_address("a.sock");
    assert_int_equal(listeners_prepare(&none, wish(address, NULL, NULL), &set, error), 0);
    assert_int_equal(stat(address + 5, &is), 0);
    assert_int_equal(is.st_mode & 07777, 0666);
    assert_true(listener_is_sound(&set.all[0]));
    listeners_close(&set);
    assert_int_equal(stat(address + 5, &is), -1);
    (void)state;
}

static mode_t mode_of(const char *address)
{
    struct stat is;
    assert_int_equal(stat(address + 5, &is), 0);
    return is.st_mode & 07777;
}

/* Whatever the umask is, before and after. */
static void a_unix_socket_has_the_mode_that_was_asked_for(void **state)
{
    struct listeners none = {0};
    struct listeners set;
    const char *address = unix_address("mode.sock");
    mode_t before = umask(0027);
    struct settings *wanted = wish(address, NULL, NULL);
    wanted->listeners[0].mode = 0606;
    assert_int_equal(listeners_prepare(&none, wanted, &set, error), 0);
    assert_int_equal(mode_of(address), 0606);
    assert_int_equal(umask(before), 0027);
    listeners_close(&set);
    (void)state;
}

static void a_reload_changes_the_mode_in_place_and_puts_it_back_if_given_up(void **state)
{
    struct listeners none = {0};
    struct listeners before;
    struct listeners after;
    const char *address = unix_address("change.sock");
    assert_int_equal(listeners_prepare(&none, wish(address, NULL, NULL), &before, error), 0);
    struct settings *wanted = wish(address, NULL, NULL);
    wanted->listeners[0].mode = 0600;
    assert_int_equal(listeners_prepare(&before, wanted, &after, error), 0);
    assert_int_equal(after.all[0].fd, before.all[0].fd);
    assert_int_equal(mode_of(address), 0600);
    listeners_abandon(&before, &after);
    assert_int_equal(mode_of(address), 0666);
    wanted = wish(address, "192.0.2.1:8000", NULL); /* refused for another reason */
    wanted->listeners[0].mode = 0600;
    assert_int_equal(listeners_prepare(&before, wanted, &after, error), -1);
    assert_int_equal(mode_of(address), 0666);
    listeners_close(&before);
    (void)state;
}

static void an_owner_that_is_gone_is_refused(void **state)
{
    struct listeners none = {0};
    struct listeners set;
    struct stat is;
    const char *address = unix_address("owner.sock");
    struct settings *wanted = wish(address, NULL, NULL);
    wanted->listeners[0].owner = (char *)(uintptr_t) "nobody-of-that-name";
    assert_int_equal(listeners_prepare(&none, wanted, &set, error), -1);
    assert_non_null(strstr(error, "owner or group does not exist"));
    assert_int_equal(stat(address + 5, &is), -1);
    (void)state;
}

static void a_living_socket_of_another_kind_is_not_removed(void **state)
{
    struct listeners none = {0};
    struct listeners set;
    struct stat is;
    const char *address = unix_address("datagrams.sock");
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    snprintf(name.sun_path, sizeof name.sun_path, "%.100s", address + 5);
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&name, sizeof name), 0);
    assert_int_equal(listeners_prepare(&none, wish(address, NULL, NULL), &set, error), -1);
    assert_non_null(strstr(error, "in use by listeners_test (pid "));
    assert_int_equal(stat(address + 5, &is), 0);
    close(fd);
    (void)state;
}

/* Another perdure that starts at the same time: its socket looked stale, and its file was removed. */
static void one_that_is_bound_and_does_not_listen_yet_is_waited_for(void **state)
{
    struct listeners none = {0};
    struct listeners set;
    const char *address = unix_address("slow.sock");
    int ends[2];
    char bound = 0;
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* a failed test leaves nothing running */
        struct sockaddr_un name = {.sun_family = AF_UNIX};
        struct timespec pause = {.tv_nsec = 100 * 1000 * 1000};
        snprintf(name.sun_path, sizeof name.sun_path, "%.100s", address + 5);
        int guard = socket_file_guard(name.sun_path);
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);
        bound = bind(fd, (struct sockaddr *)&name, sizeof name) == 0 && write(ends[1], "b", 1) == 1;
        nanosleep(&pause, NULL); /* so slow is this one */
        listen(fd, 1);
        close(guard);
        while (read(ends[0], &bound, 1) < 0) { /* until the test is over */
        }
        _exit(0);
    }
    assert_int_equal(read(ends[0], &bound, 1), 1);
    assert_int_equal(listeners_prepare(&none, wish(address, NULL, NULL), &set, error), -1);
    assert_non_null(strstr(error, "in use by listeners_test (pid "));
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    close(ends[0]);
    close(ends[1]);
    (void)state;
}

static void a_stale_unix_socket_is_replaced_a_living_one_is_not(void **state)
{
    struct listeners none = {0};
    struct listeners first;
    struct listeners second;
    const char *address = unix_address("b.sock");
    assert_int_equal(listeners_prepare(&none, wish(address, NULL, NULL), &first, error), 0);
    assert_int_equal(listeners_prepare(&none, wish(address, NULL, NULL), &second, error), -1);
    char says[256];
    snprintf(says, sizeof says, "f.conf:1: cannot listen on %s: in use by listeners_test (pid %d, ", address,
             (int)getpid());
    assert_non_null(strstr(error, says));
    close(first.all[0].fd); /* as if killed: the file stays */
    assert_int_equal(listeners_prepare(&none, wish(address, NULL, NULL), &second, error), 0);
    listeners_close(&second);
    (void)state;
}

static void what_is_not_a_socket_is_never_removed(void **state)
{
    struct listeners none = {0};
    struct listeners set;
    struct stat is;
    const char *address = unix_address("c.sock");
    close(open(address + 5, O_CREAT | O_WRONLY, 0600));
    assert_int_equal(listeners_prepare(&none, wish(address, NULL, NULL), &set, error), -1);
    assert_non_null(strstr(error, "is a file and no socket"));
    assert_int_equal(stat(address + 5, &is), 0);
    (void)state;
}

/* Another supervisor's socket of the same name must outlive ours. */
static void a_file_that_is_no_longer_ours_stays(void **state)
{
    struct listeners none = {0};
    struct listeners ours;
    struct listeners theirs;
    struct stat is;
    const char *address = unix_address("d.sock");
    assert_int_equal(listeners_prepare(&none, wish(address, NULL, NULL), &ours, error), 0);
    /* Aside, not away: a freed inode number may be given out again at once. */
    char aside[160];
    snprintf(aside, sizeof aside, "%s.aside", address + 5);
    assert_int_equal(rename(address + 5, aside), 0);
    assert_int_equal(listeners_prepare(&none, wish(address, NULL, NULL), &theirs, error), 0);
    listeners_close(&ours);
    assert_int_equal(stat(address + 5, &is), 0);
    listeners_close(&theirs);
    (void)state;
}

/* A socket as systemd would give it. */
static struct listeners given_one(const char *address)
{
    struct listeners none = {0};
    struct listeners set;
    assert_int_equal(listeners_prepare(&none, wish(address, NULL, NULL), &set, error), 0);
    set.all[0].given = 1;
    set.all[0].backlog = 0;
    set.all[0].file = (struct socket_file){0};
    return set;
}

static void a_given_socket_is_used_rested_used_again_and_never_closed(void **state)
{
    const char *address = free_address();
    const char *other = free_address();
    struct listeners given = given_one(address);
    struct listeners used;
    struct listeners rested;
    int32_t fds[CONTRACT_LISTENERS_MAX];
    assert_int_equal(listeners_prepare(&given, wish(other, address, NULL), &used, error), 0);
    listeners_commit(&given, &used);
    assert_int_equal(used.all[1].fd, given.all[0].fd);
    assert_int_equal(listeners_fds(&used, fds), 2);
    assert_int_equal(listeners_prepare(&used, wish(other, NULL, NULL), &rested, error), 0);
    listeners_commit(&used, &rested);
    assert_int_equal(listeners_fds(&rested, fds), 1);
    assert_true(answers(address)); /* in its queue, as long as its giver wants it so */
    assert_int_equal(listeners_prepare(&rested, wish(address, NULL, NULL), &used, error), 0);
    listeners_commit(&rested, &used);
    assert_int_equal(used.all[0].fd, given.all[0].fd);
    assert_false(used.all[0].resting);
    listeners_close(&used);
    assert_true(answers(address));
    close(given.all[0].fd);
    (void)state;
}

static void more_than_there_is_room_for_is_refused(void **state)
{
    struct listeners given = {.count = CONTRACT_LISTENERS_MAX};
    struct listeners set;
    const char *address = free_address();
    for (unsigned i = 0; i < given.count; i++) {
        given.all[i] = (struct listener){.fd = (int)i + 1000, .given = 1};
        snprintf(given.all[i].address, LISTENER_ADDRESS_BYTES, "127.0.0.1:%u", i + 1);
    }
    assert_int_equal(listeners_prepare(&given, wish(address, NULL, NULL), &set, error), -1);
    assert_non_null(strstr(error, "65 sockets are too many with those that were given"));
    assert_false(answers(address));
    (void)state;
}

static void a_given_sockets_file_is_not_touched(void **state)
{
    const char *address = unix_address("given.sock");
    struct listeners given = given_one(address);
    struct listeners set;
    struct settings *wanted = wish(address, NULL, NULL);
    wanted->listeners[0].mode = 0600;
    assert_int_equal(listeners_prepare(&given, wanted, &set, error), 0);
    listeners_commit(&given, &set);
    assert_int_equal(mode_of(address), 0666);
    listeners_close(&set);
    assert_int_equal(mode_of(address), 0666);
    close(given.all[0].fd);
    (void)state;
}

static void a_listener_that_was_shut_down_is_mended(void **state)
{
    struct listeners none = {0};
    struct listeners set;
    const char *address = free_address();
    assert_int_equal(listeners_prepare(&none, wish(address, NULL, NULL), &set, error), 0);
    assert_int_equal(listeners_mend(&set), 0);
    shutdown(set.all[0].fd, SHUT_RD);
    assert_false(answers(address));
    assert_int_equal(listeners_mend(&set), 1);
    assert_true(answers(address));
    listeners_close(&set);
    (void)state;
}

/* listen(2) does not undo it, and SO_ACCEPTCONN goes on saying 1. */
static void a_unix_listener_that_was_shut_down_is_bound_anew(void **state)
{
    struct listeners none = {0};
    struct listeners broken;
    struct listeners set;
    struct stat is;
    const char *address = unix_address("broken.sock");
    assert_int_equal(listeners_prepare(&none, wish(address, NULL, NULL), &broken, error), 0);
    assert_false(listeners_want_renewal(&broken));
    shutdown(broken.all[0].fd, SHUT_RD);
    assert_int_equal(listeners_mend(&broken), 0);
    assert_true(listeners_want_renewal(&broken));
    assert_int_equal(listeners_prepare(&broken, wish(address, NULL, NULL), &set, error), 0);
    assert_int_not_equal(set.all[0].fd, broken.all[0].fd);
    listeners_commit(&broken, &set);
    assert_false(listeners_want_renewal(&set));
    assert_int_equal(stat(address + 5, &is), 0);
    listeners_close(&set);
    assert_int_equal(stat(address + 5, &is), -1);
    (void)state;
}

static void a_descriptor_that_is_something_else_is_not_sound(void **state)
{
    struct listener listener = {.address = "127.0.0.1:80", .fd = STDIN_FILENO};
    assert_false(listener_is_sound(&listener));
    listener.fd = -1;
    assert_false(listener_is_sound(&listener));
    listener.fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_false(listener_is_sound(&listener));
    close(listener.fd);
    memset(listener.address, 'x', sizeof listener.address);
    assert_false(listener_is_sound(&listener));
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_plan_keeps_binds_and_drops),
        cmocka_unit_test(one_address_in_two_spellings_is_kept),
        cmocka_unit_test(at_start_all_are_bound_with_the_right_options),
        cmocka_unit_test(a_reload_keeps_the_socket_and_what_waits_in_its_queue),
        cmocka_unit_test(one_that_cannot_be_bound_undoes_the_others),
        cmocka_unit_test(a_refused_reload_leaves_the_present_set),
        cmocka_unit_test(a_reload_from_all_addresses_to_one_and_back),
        cmocka_unit_test(an_address_of_another_machine_is_explained),
        cmocka_unit_test(a_port_that_looks_free_is_explained),
        cmocka_unit_test(other_causes_have_words_too),
        cmocka_unit_test(a_unix_socket_is_open_to_all_and_removed_at_the_end),
        cmocka_unit_test(a_unix_socket_has_the_mode_that_was_asked_for),
        cmocka_unit_test(a_reload_changes_the_mode_in_place_and_puts_it_back_if_given_up),
        cmocka_unit_test(an_owner_that_is_gone_is_refused),
        cmocka_unit_test(a_living_socket_of_another_kind_is_not_removed),
        cmocka_unit_test(one_that_is_bound_and_does_not_listen_yet_is_waited_for),
        cmocka_unit_test(a_stale_unix_socket_is_replaced_a_living_one_is_not),
        cmocka_unit_test(what_is_not_a_socket_is_never_removed),
        cmocka_unit_test(a_file_that_is_no_longer_ours_stays),
        cmocka_unit_test(a_given_socket_is_used_rested_used_again_and_never_closed),
        cmocka_unit_test(more_than_there_is_room_for_is_refused),
        cmocka_unit_test(a_given_sockets_file_is_not_touched),
        cmocka_unit_test(a_listener_that_was_shut_down_is_mended),
        cmocka_unit_test(a_unix_listener_that_was_shut_down_is_bound_anew),
        cmocka_unit_test(a_descriptor_that_is_something_else_is_not_sound),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
