/* given.c — see given.h. By hand: it is an environment variable and a row of descriptors, and libsystemd is much more.
 */
#include "supervisor/given.h"

#include "supervisor/fd_store.h"
#include "supervisor/inherit/address.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FIRST_FD = STDERR_FILENO + 1, NAME_BYTES = 256 /* as systemd bounds them */ };

/* A positive number and nothing else, at most INT_MAX; else 0. */
static int number_in(const char *variable)
{
    const char *text = getenv(variable);
    char *end;
    if (text == NULL || text[0] < '1' || text[0] > '9') {
        return 0;
    }
    errno = 0;
    long number = strtol(text, &end, 10);
    return errno == 0 && *end == '\0' && number <= INT_MAX ? (int)number : 0;
}

/* The address that FD is bound to, or why it is of no use. */
static const char *look_at(int fd, const struct listeners *given, struct address *address)
{
    struct sockaddr_storage bound = {.ss_family = AF_UNSPEC};
    socklen_t length = sizeof bound;
    int type = 0;
    socklen_t type_length = sizeof type;
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_length) != 0) {
        return "is no socket";
    }
    if (type != SOCK_STREAM) {
        return "is no stream socket";
    }
    if (getsockname(fd, (struct sockaddr *)&bound, &length) != 0 || !address_from(&bound, address)) {
        return "has no address that a configuration could name";
    }
    for (size_t i = 0; i < given->count; i++) {
        if (strcmp(given->all[i].address, address->text) == 0) {
            return "has the address of one before it";
        }
    }
    return given->count < (uint32_t)CONTRACT_LISTENERS_MAX ? NULL : "is one too many";
}

/* What we would have set on a socket of our own. The flags are its giver's as well, but who gives a socket away expects
 * it to be used so. */
static void prepare(int fd, const struct address *address)
{
    int on = 1;
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    if (address->storage.ss_family != AF_UNIX) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &on, sizeof on);
    }
}

const char *given_add(struct listeners *listeners, int fd)
{
    struct address address;
    const char *fault = look_at(fd, listeners, &address);
    if (fault != NULL) {
        return fault;
    }
    prepare(fd, &address);
    struct listener *listener = &listeners->all[listeners->count++];
    *listener = (struct listener){.fd = fd};
    snprintf(listener->address, sizeof listener->address, "%s", address.text);
    return NULL;
}

static void take_one(int fd, const char *name, void *context)
{
    struct listeners *given = context;
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    if (fd_store_serial(name) != 0) {
        return;
    }
    const char *fault = given_add(given, fd);
    if (fault != NULL) {
        fprintf(stderr, "perdure: warning: LISTEN_FDS: descriptor %d%s%s%s %s; it is left alone\n", fd,
                name[0] != '\0' ? " (" : "", name, name[0] != '\0' ? ")" : "", fault);
        return;
    }
    given->all[given->count - 1].given = 1;
}

void given_each(void (*visit)(int fd, const char *name, void *context), void *context)
{
    const char *names = getenv("LISTEN_FDNAMES");
    int count = number_in("LISTEN_PID") == getpid() ? number_in("LISTEN_FDS") : 0;
    for (int i = 0; i < count && i < INT_MAX - FIRST_FD && fcntl(FIRST_FD + i, F_GETFD) >= 0; i++) {
        char name[NAME_BYTES];
        size_t length = names != NULL ? strcspn(names, ":") : 0;
        snprintf(name, sizeof name, "%.*s", (int)length, names != NULL ? names : "");
        visit(FIRST_FD + i, name, context);
        names = names != NULL && names[length] == ':' ? names + length + 1 : NULL;
    }
}

void given_forget(void)
{
    static const char *const variables[] = {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID"};
    for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++) {
        unsetenv(variables[i]);
    }
}

void given_take(struct listeners *given)
{
    memset(given, 0, sizeof *given);
    given_each(take_one, given);
    given_forget();
}

int given_last_fd(const struct listeners *given)
{
    int last = STDERR_FILENO;
    for (size_t i = 0; i < given->count; i++) {
        last = given->all[i].fd > last ? given->all[i].fd : last;
    }
    return last;
}

bool given_are_meant(struct settings *settings, const struct listeners *listeners)
{
    const char *addresses[CONTRACT_LISTENERS_MAX];
    size_t count = 0;
    for (size_t i = 0; i < listeners->count; i++) {
        if (listeners->all[i].given) {
            addresses[count++] = listeners->all[i].address;
        }
    }
    return count == 0 || settings_listen_on(settings, addresses, count);
}
