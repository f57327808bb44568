/* listeners.c — see listeners.h. */
#include "supervisor/listeners.h"

#include "supervisor/inherit/address.h"
#include "supervisor/inherit/log.h"
#include "supervisor/why.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

_Static_assert((int)SETTINGS_LISTENERS_MAX <= (int)CONTRACT_LISTENERS_MAX,
               "what settings may ask for has room in a birth");
_Static_assert((int)LISTENER_ADDRESS_BYTES >= (int)ADDRESS_TEXT_BYTES, "every canonical address has room");

/* Settings were checked, so a text that is no address cannot come here; it would stay as it is and bind would say so.
 */
static void canonical(const char *text, char address[LISTENER_ADDRESS_BYTES])
{
    struct address parsed;
    char why[ADDRESS_WHY_BYTES];
    snprintf(address, LISTENER_ADDRESS_BYTES, "%s", address_parse(text, &parsed, why) ? parsed.text : text);
}

/* ---- the plan ---- */

static int find_address(const struct listeners *present, const char *address)
{
    for (size_t i = 0; i < present->count; i++) {
        if (strcmp(present->all[i].address, address) == 0) {
            return (int)i;
        }
    }
    return -1;
}

void listeners_plan(const struct listeners *present, const struct settings *settings, struct listeners_plan *plan)
{
    memset(plan, 0, sizeof *plan);
    plan->wanted_count = settings->listeners_count;
    for (size_t i = 0; i < present->count; i++) {
        plan->drop[i] = true;
    }
    for (size_t i = 0; i < plan->wanted_count; i++) {
        char address[LISTENER_ADDRESS_BYTES];
        canonical(settings->listeners[i].address, address);
        plan->keep[i] = find_address(present, address);
        if (plan->keep[i] >= 0) {
            plan->drop[plan->keep[i]] = false;
        }
    }
}

/* ---- AF_UNIX files ---- */

static const char *unix_path(const char *address)
{
    return strncmp(address, "unix:", 5) == 0 ? address + 5 : NULL;
}

/* True if the file at NAME is a socket that nobody listens on any more: connecting is the only test there is. */
static bool is_stale(const struct sockaddr_un *name)
{
    struct stat is;
    if (lstat(name->sun_path, &is) != 0 || !S_ISSOCK(is.st_mode)) {
        return false;
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool stale = fd >= 0 && connect(fd, (const struct sockaddr *)name, sizeof *name) != 0 && errno == ECONNREFUSED;
    if (fd >= 0) {
        close(fd);
    }
    return stale;
}

/* Remove the socket's file, if it is still the one we made. */
static void remove_own_file(const struct listener *listener)
{
    const char *path = unix_path(listener->address);
    struct stat is;
    if (path != NULL && lstat(path, &is) == 0 && is.st_dev == listener->file_device &&
        is.st_ino == listener->file_inode) {
        unlink(path);
    }
}

/* Open to everybody, as a TCP port is: who may come is said by the rights of the directory it is in. */
static int file_settle(struct listener *listener)
{
    const char *path = unix_path(listener->address);
    struct stat is;
    if (path == NULL) {
        return 0;
    }
    if (lstat(path, &is) != 0 || chmod(path, 0666) != 0) {
        return -1;
    }
    listener->file_device = is.st_dev;
    listener->file_inode = is.st_ino;
    return 0;
}

/* ---- one socket ---- */

/* SO_REUSEADDR: connections in TIME_WAIT do not hold the port. IPV6_V6ONLY: [::] and 0.0.0.0 are two listeners,
 * whatever net.ipv6.bindv6only says. TCP_NODELAY: accepted connections inherit it; a response goes out as one piece
 * anyway, and its last segment shall not wait for an acknowledgement. */
static int set_options(int fd, int family)
{
    int on = 1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0) {
        return -1;
    }
    if (family != AF_UNIX && setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0) {
        return -1;
    }
    return family == AF_INET6 ? setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) : 0;
}

static int bind_to(int fd, const struct address *address)
{
    const struct sockaddr *name = (const struct sockaddr *)&address->storage;
    int bound = bind(fd, name, address->length);
    if (bound != 0 && errno == EADDRINUSE && address->storage.ss_family == AF_UNIX) {
        const struct sockaddr_un *file = (const struct sockaddr_un *)&address->storage;
        if (is_stale(file) && unlink(file->sun_path) == 0) {
            log_info("removed %s, left by a process that is gone", file->sun_path);
            return bind(fd, name, address->length);
        }
        errno = EADDRINUSE;
    }
    return bound;
}

/* A file is there that is not a socket at all: "in use" would mislead. */
static bool is_other_file(const char *address)
{
    struct stat is;
    const char *path = unix_path(address);
    return path != NULL && lstat(path, &is) == 0 && !S_ISSOCK(is.st_mode);
}

void listeners_explain(const struct listen_setting *setting, const char *address, int number,
                       char error[LISTENERS_ERROR_BYTES])
{
    char why[LISTENERS_ERROR_BYTES / 2];
    if (number == EADDRINUSE && is_other_file(address)) {
        snprintf(why, sizeof why, "is a file and no socket; remove it, or choose another path");
    } else {
        why_not_bind(address, number, why, sizeof why);
    }
    if (setting->file != NULL) {
        snprintf(error, LISTENERS_ERROR_BYTES, "%.300s:%u: %s %s", setting->file, setting->line, address, why);
    } else {
        snprintf(error, LISTENERS_ERROR_BYTES, "%s %s", address, why);
    }
}

static void set_reuseport(int fd, int on)
{
    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
}

/* Make LISTENER listen; SHARED: beside others that allow SO_REUSEPORT. Returns 0, or -1 with errno and nothing left
 * behind. */
static int listener_bind(struct listener *listener, const struct address *address, bool shared)
{
    int fd = socket(address->storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -1;
    }
    set_reuseport(fd, shared);
    bool bound = set_options(fd, address->storage.ss_family) == 0 && bind_to(fd, address) == 0;
    /* bind may succeed and listen fail with EADDRINUSE, when another got there between the two. */
    if (!bound || file_settle(listener) != 0 || listen(fd, listener->backlog) != 0) {
        int number = errno;
        if (bound) {
            remove_own_file(listener);
        }
        close(fd);
        errno = number;
        return -1;
    }
    set_reuseport(fd, 0);
    listener->fd = fd;
    return 0;
}

/* Let the sockets of PRESENT that keep ADDRESS from being bound allow it, or no longer. Returns how many there are. */
static unsigned present_share(const struct listeners *present, const struct address *address, int on)
{
    unsigned count = 0;
    for (size_t i = 0; i < present->count; i++) {
        struct address held;
        char why[ADDRESS_WHY_BYTES];
        if (address->storage.ss_family != AF_UNIX && address_parse(present->all[i].address, &held, why) &&
            address_collides(&held, address)) {
            set_reuseport(present->all[i].fd, on);
            count++;
        }
    }
    return count;
}

/* A reload from 0.0.0.0:80 to 127.0.0.1:80, or back, is to bind the new before the old is closed, and it is our own old
 * one that is in the way. SO_REUSEPORT on both, for this moment, lets it pass.
 * Only a process of our own user that asks for SO_REUSEPORT too could slip in, then and later. */
static int listener_bind_beside(struct listener *listener, const struct address *address,
                                const struct listeners *present)
{
    if (listener_bind(listener, address, false) == 0) {
        return 0;
    }
    int number = errno;
    if (number != EADDRINUSE || present_share(present, address, 1) == 0) {
        errno = number;
        return -1;
    }
    int bound = listener_bind(listener, address, true);
    number = errno;
    present_share(present, address, 0);
    errno = number;
    return bound;
}

static int listener_open(struct listener *listener, const struct listen_setting *setting,
                         const struct listeners *present, char error[LISTENERS_ERROR_BYTES])
{
    struct address address;
    char why[ADDRESS_WHY_BYTES];
    *listener = (struct listener){.fd = -1, .backlog = setting->backlog};
    if (!address_parse(setting->address, &address, why)) {
        snprintf(error, LISTENERS_ERROR_BYTES, "%s", why);
        return -1;
    }
    snprintf(listener->address, sizeof listener->address, "%s", address.text);
    if (listener_bind_beside(listener, &address, present) != 0) {
        listeners_explain(setting, listener->address, errno, error);
        return -1;
    }
    return 0;
}

/* ---- sets ---- */

int listeners_prepare(const struct listeners *present, const struct settings *settings, struct listeners *next,
                      char error[LISTENERS_ERROR_BYTES])
{
    struct listeners_plan plan;
    listeners_plan(present, settings, &plan);
    memset(next, 0, sizeof *next);
    for (size_t i = 0; i < plan.wanted_count; i++) {
        struct listener *listener = &next->all[next->count];
        if (plan.keep[i] >= 0) {
            *listener = present->all[plan.keep[i]];
            listener->backlog = settings->listeners[i].backlog;
        } else if (listener_open(listener, &settings->listeners[i], present, error) != 0) {
            listeners_abandon(present, next);
            return -1;
        }
        next->count++;
    }
    return 0;
}

static bool has_fd(const struct listeners *listeners, int fd)
{
    for (size_t i = 0; i < listeners->count; i++) {
        if (listeners->all[i].fd == fd) {
            return true;
        }
    }
    return false;
}

/* The file goes before the socket: whoever finds the name free may bind it at once. */
static void listener_close(const struct listener *listener)
{
    if (listener->fd >= 0) {
        remove_own_file(listener);
        close(listener->fd);
    }
}

/* Close what is in LISTENERS and not in OTHERS. */
static void close_unless_in(const struct listeners *listeners, const struct listeners *others)
{
    for (size_t i = 0; i < listeners->count; i++) {
        if (!has_fd(others, listeners->all[i].fd)) {
            listener_close(&listeners->all[i]);
        }
    }
}

void listeners_commit(const struct listeners *present, const struct listeners *next)
{
    for (size_t i = 0; i < next->count; i++) {
        int before = find_address(present, next->all[i].address);
        if (before >= 0 && present->all[before].backlog != next->all[i].backlog) {
            listen(next->all[i].fd, next->all[i].backlog);
        }
    }
    close_unless_in(present, next);
}

void listeners_abandon(const struct listeners *present, const struct listeners *next)
{
    close_unless_in(next, present);
}

void listeners_close(struct listeners *listeners)
{
    static const struct listeners none;
    close_unless_in(listeners, &none);
    listeners->count = 0;
}

size_t listeners_fds(const struct listeners *listeners, int32_t fds[CONTRACT_LISTENERS_MAX])
{
    for (size_t i = 0; i < listeners->count; i++) {
        fds[i] = listeners->all[i].fd;
    }
    return listeners->count;
}

/* ---- health ---- */

static int socket_number(int fd, int option)
{
    int number = -1;
    socklen_t length = sizeof number;
    return getsockopt(fd, SOL_SOCKET, option, &number, &length) == 0 ? number : -1;
}

unsigned listeners_mend(const struct listeners *listeners)
{
    unsigned mended = 0;
    for (size_t i = 0; i < listeners->count; i++) {
        const struct listener *listener = &listeners->all[i];
        if (socket_number(listener->fd, SO_ACCEPTCONN) != 0) {
            continue;
        }
        bool listens = listen(listener->fd, listener->backlog) == 0;
        log_warn("%s had stopped listening: a process that holds the socket shut it down; %s", listener->address,
                 listens ? "it listens again" : strerror(errno));
        mended += listens;
    }
    return mended;
}

bool listener_is_sound(const struct listener *listener)
{
    struct address address;
    char why[ADDRESS_WHY_BYTES];
    struct sockaddr_storage name = {0};
    socklen_t length = sizeof name;
    return memchr(listener->address, '\0', sizeof listener->address) != NULL &&
           address_parse(listener->address, &address, why) && socket_number(listener->fd, SO_TYPE) == SOCK_STREAM &&
           getsockname(listener->fd, (struct sockaddr *)&name, &length) == 0 &&
           memcmp(&name, &address.storage, address.length) == 0;
}
