/* listener_probe.c — see listener_probe.h. */
#include "supervisor/listener_probe.h"

#include "supervisor/inherit/address.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* ---- TCP: bound for a moment, never listening ---- */

static int bind_briefly(const struct address *address)
{
    int on = 1;
    int family = address->storage.ss_family;
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return errno;
    }
    bool good = setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
                (family != AF_INET6 || setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) == 0) &&
                bind(fd, (const struct sockaddr *)&address->storage, address->length) == 0;
    int number = good ? 0 : errno;
    close(fd);
    return number;
}

static bool is_held_by(const struct listeners *present, const struct address *wanted)
{
    for (size_t i = 0; i < present->count; i++) {
        struct address held;
        char why[ADDRESS_WHY_BYTES];
        if (address_parse(present->all[i].address, &held, why) && address_collides(&held, wanted)) {
            return true;
        }
    }
    return false;
}

/* ---- AF_UNIX ---- */

/* A file could be made in the directory of PATH. */
static int directory_takes_files(const char *path)
{
    char directory[PATH_MAX];
    snprintf(directory, sizeof directory, "%s", path);
    char *slash = strrchr(directory, '/');
    if (slash == NULL) {
        return EINVAL;
    }
    slash[slash == directory] = '\0';
    return faccessat(AT_FDCWD, directory, W_OK | X_OK, AT_EACCESS) == 0 ? 0 : errno;
}

/* A datagram socket cannot be connected to a stream socket: EPROTOTYPE says that somebody is there, who does not
 * notice; ECONNREFUSED, that the file was left by one who is gone. */
static int somebody_is_there(const struct sockaddr_un *name)
{
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return errno;
    }
    bool refused = connect(fd, (const struct sockaddr *)name, sizeof *name) != 0 && errno == ECONNREFUSED;
    close(fd);
    return refused ? 0 : EADDRINUSE;
}

static int file_could_be_made(const struct sockaddr_un *name)
{
    struct stat is;
    if (lstat(name->sun_path, &is) != 0) {
        return errno == ENOENT ? directory_takes_files(name->sun_path) : errno;
    }
    return S_ISSOCK(is.st_mode) ? somebody_is_there(name) : EADDRINUSE;
}

/* ---- both ---- */

/* The errno of bind(2) as it would be; 0: it would do. */
static int probe(const struct listeners *present, const struct address *address)
{
    if (address->storage.ss_family == AF_UNIX) {
        return file_could_be_made((const struct sockaddr_un *)&address->storage);
    }
    int number = bind_briefly(address);
    return number == EADDRINUSE && is_held_by(present, address) ? 0 : number;
}

int listeners_probe(const struct listeners *present, const struct settings *settings, char error[LISTENERS_ERROR_BYTES])
{
    struct listeners_plan plan;
    listeners_plan(present, settings, &plan);
    for (size_t i = 0; i < plan.wanted_count; i++) {
        struct address address;
        if (plan.keep[i] >= 0) {
            continue;
        }
        if (!address_parse(settings->listeners[i].address, &address, error)) {
            return -1;
        }
        int number = probe(present, &address);
        if (number != 0) {
            listeners_explain(&settings->listeners[i], address.text, number, error);
            return -1;
        }
    }
    return 0;
}
