/* given_test.c — LISTEN_FDS is believed only by whom it is meant for, and what is of no use does no harm.
 *
 * Each case runs in a child, whose descriptors from 3 on are as the case wants them. */
#include "supervisor/given.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* Bound to a port of 127.0.0.1; it need not listen. */
static int bound_socket(int type)
{
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, type, 0);
    return bind(fd, (struct sockaddr *)&name, sizeof name) == 0 ? fd : -1;
}

static int abstract_socket(void)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    return bind(fd, (struct sockaddr *)&name, sizeof(sa_family_t)) == 0 ? fd : -1; /* autobind */
}

/* Descriptors 3 … are copies of COUNT FDS, and the variables say PID, FDS. */
static void arrange(const int *fds, int count, pid_t pid, const char *said)
{
    char text[16];
    int copies[8];
    for (int i = 0; i < count; i++) {
        copies[i] = fcntl(fds[i], F_DUPFD, 100);
    }
    for (int i = 0; i < count; i++) {
        dup2(copies[i], 3 + i);
    }
    snprintf(text, sizeof text, "%d", (int)pid);
    setenv("LISTEN_PID", text, 1);
    setenv("LISTEN_FDS", said, 1);
    setenv("LISTEN_FDNAMES", "http:odd", 1);
}

/* Run CASE_OF in a child; it returns what is wrong, NULL: nothing. */
static void in_a_child(const char *(*case_of)(void))
{
    pid_t pid = fork();
    if (pid == 0) {
        close(STDERR_FILENO);
        open("/dev/null", O_WRONLY);
        const char *wrong = case_of();
        if (wrong != NULL) {
            printf("%s\n", wrong);
            fflush(stdout);
        }
        _exit(wrong != NULL);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    assert_int_equal(status, 0);
}

static const char *given_to_us(void)
{
    static struct listeners given;
    char address[64];
    struct sockaddr_in name;
    socklen_t length = sizeof name;
    int one = bound_socket(SOCK_STREAM);
    arrange(&one, 1, getpid(), "1");
    given_take(&given);
    getsockname(3, (struct sockaddr *)&name, &length);
    snprintf(address, sizeof address, "127.0.0.1:%u", ntohs(name.sin_port));
    if (given.count != 1 || given.all[0].fd != 3 || !given.all[0].given || strcmp(given.all[0].address, address) != 0) {
        return "it was not taken";
    }
    if (fcntl(3, F_GETFD) != FD_CLOEXEC || (fcntl(3, F_GETFL) & O_NONBLOCK) == 0 || given_last_fd(&given) != 3) {
        return "it is not prepared";
    }
    return getenv("LISTEN_PID") != NULL || getenv("LISTEN_FDS") != NULL || getenv("LISTEN_FDNAMES") != NULL
               ? "the variables are left to our children"
               : NULL;
}

static const char *given_to_another(void)
{
    static struct listeners given;
    int one = bound_socket(SOCK_STREAM);
    arrange(&one, 1, getppid(), "1");
    given_take(&given);
    return given.count != 0 || given_last_fd(&given) != 2 ? "it was taken" : NULL;
}

static const char *given_in_nonsense(void)
{
    static const char *const texts[] = {"", "0", "-1", "1x", "x", "99999999999999999999"};
    static struct listeners given;
    int one = bound_socket(SOCK_STREAM);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        arrange(&one, 1, getpid(), texts[i]);
        given_take(&given);
        if (given.count != 0) {
            return texts[i];
        }
    }
    return NULL;
}

static const char *given_what_is_of_no_use(void)
{
    static struct listeners given;
    int good = bound_socket(SOCK_STREAM);
    int all[] = {bound_socket(SOCK_DGRAM), open("/dev/null", O_RDONLY), abstract_socket(), good, good};
    arrange(all, 5, getpid(), "2000000000");
    given_take(&given);
    if (given.count != 1 || given.all[0].fd != 6) {
        return "not the one that is good";
    }
    for (int fd = 3; fd < 8; fd++) {
        if (fcntl(fd, F_GETFD) != FD_CLOEXEC) {
            return "one was closed, or is left to our children";
        }
    }
    return NULL;
}

static void what_is_given_to_us_is_taken(void **state)
{
    (void)state;
    in_a_child(given_to_us);
}

static void what_is_given_to_another_is_not(void **state)
{
    (void)state;
    in_a_child(given_to_another);
}

static void nonsense_gives_nothing(void **state)
{
    (void)state;
    in_a_child(given_in_nonsense);
}

static void what_is_of_no_use_is_left_alone(void **state)
{
    (void)state;
    in_a_child(given_what_is_of_no_use);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_given_to_us_is_taken),
        cmocka_unit_test(what_is_given_to_another_is_not),
        cmocka_unit_test(nonsense_gives_nothing),
        cmocka_unit_test(what_is_of_no_use_is_left_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
