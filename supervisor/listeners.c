/* listeners.c — see listeners.h. */
#include "supervisor/listeners.h"

#include "supervisor/inherit/address.h"
#include "supervisor/inherit/log.h"
#include "supervisor/why/brief.h"

#include <errno.h>
#include <grp.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
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

static int32_t id_of(bool known, uint32_t id)
{
    return known ? (int32_t)id : SOCKET_FILE_AS_IT_IS;
}

/* What SETTING says of its file. False if the user or the group is gone since the configuration was checked. */
static bool rights_of(const struct listen_setting *setting, struct socket_file_rights *rights)
{
    const struct passwd *user = setting->owner != NULL ? getpwnam(setting->owner) : NULL;
    const struct group *group = setting->group != NULL ? getgrnam(setting->group) : NULL;
    *rights = (struct socket_file_rights){
        .mode = setting->mode,
        .owner = id_of(user != NULL, user != NULL ? user->pw_uid : 0),
        .group = id_of(group != NULL, group != NULL ? group->gr_gid : 0),
    };
    return (setting->owner == NULL || user != NULL) && (setting->group == NULL || group != NULL);
}

static bool rights_same(const struct socket_file_rights *one, const struct socket_file_rights *other)
{
    return one->mode == other->mode && one->owner == other->owner && one->group == other->group;
}

/* Give LISTENER's file its rights, in place of those it had as PRESENT. Returns 0, or -1 with errno. A file that is
 * gone or another's is none of our business any more. */
static int file_permit(const struct listener *listener, const struct listener *present)
{
    const char *path = unix_path(listener->address);
    struct socket_file_rights rights = listener->rights;
    if (path == NULL || listener->given || rights_same(&rights, &present->rights)) {
        return 0;
    }
    if (rights.owner == SOCKET_FILE_AS_IT_IS && present->rights.owner != SOCKET_FILE_AS_IT_IS) {
        rights.owner = (int32_t)geteuid();
    }
    if (rights.group == SOCKET_FILE_AS_IT_IS && present->rights.group != SOCKET_FILE_AS_IT_IS) {
        rights.group = (int32_t)getegid();
    }
    int done = socket_file_permit(path, &listener->file, &rights);
    return done != 0 && errno != ESTALE && errno != ENOENT ? -1 : 0;
}

/* ---- one socket ---- */

/* SO_REUSEADDR: connections in TIME_WAIT do not hold the port. IPV6_V6ONLY: [::] and 0.0.0.0 are two listeners,
 * whatever net.ipv6.bindv6only says. TCP_NODELAY: accepted connections inherit it; a response goes out as one piece
 * anyway, and its last segment shall not wait for an acknowledgement. SO_OOBINLINE: they inherit that, too; a byte that
 * its sender calls urgent is one of the stream (RFC 6093 section 6), or recv(2) would leave out what the kernel counts,
 * and a successor asks the kernel. */
static int set_options(int fd, int family)
{
    int on = 1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0) {
        return -1;
    }
    if (family != AF_UNIX && (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0 ||
                              setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &on, sizeof on) != 0)) {
        return -1;
    }
    return family == AF_INET6 ? setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) : 0;
}

/* Why LISTENER cannot be had, by the NUMBER that bind(2), chown(2) or another said. */
static void why_not(const struct listener *listener, int number, char *why, size_t bytes)
{
    const char *path = unix_path(listener->address);
    bool given_away = listener->rights.owner != SOCKET_FILE_AS_IT_IS || listener->rights.group != SOCKET_FILE_AS_IT_IS;
    if (path != NULL && number == EPERM && given_away) {
        snprintf(why, bytes,
                 "its file may not be given to that owner and group: %s; start as root, or leave owner and group out",
                 strerror(number));
    } else {
        why_not_bind(listener->address, number, why, bytes);
    }
}

static void explain(const struct listen_setting *setting, const char *address, const char *why,
                    char error[LISTENERS_ERROR_BYTES])
{
    if (setting->file != NULL) {
        snprintf(error, LISTENERS_ERROR_BYTES, "%.300s:%u: cannot listen on %s: %s", setting->file, setting->line,
                 address, why);
    } else {
        snprintf(error, LISTENERS_ERROR_BYTES, "cannot listen on %s: %s", address, why);
    }
}

void listeners_explain(const struct listen_setting *setting, const char *address, int number,
                       char error[LISTENERS_ERROR_BYTES])
{
    char why[LISTENERS_ERROR_BYTES / 2];
    struct listener listener = {.rights = {.owner = SOCKET_FILE_AS_IT_IS, .group = SOCKET_FILE_AS_IT_IS}};
    snprintf(listener.address, sizeof listener.address, "%s", address);
    why_not(&listener, number, why, sizeof why);
    explain(setting, address, why, error);
}

static void set_reuseport(int fd, int on)
{
    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
}

/* bind may succeed and listen fail with EADDRINUSE, when another got there between the two. */
static int bind_and_listen(int fd, struct listener *listener, const struct address *address)
{
    const struct sockaddr *name = (const struct sockaddr *)&address->storage;
    int bound = name->sa_family == AF_UNIX ? socket_file_bind(fd, (const struct sockaddr_un *)&address->storage,
                                                              &listener->rights, &listener->file)
                                           : bind(fd, name, address->length);
    return bound == 0 ? listen(fd, listener->backlog) : -1;
}

/* The file goes before the socket: whoever finds the name free may bind it at once. */
static void listener_close(const struct listener *listener)
{
    const char *path = unix_path(listener->address);
    if (path != NULL) {
        socket_file_remove(path, &listener->file);
    }
    close(listener->fd);
}

/* Make LISTENER listen; SHARED: beside others that allow SO_REUSEPORT. Returns 0, or -1 with errno and nothing left
 * behind. */
static int listener_bind(struct listener *listener, const struct address *address, bool shared)
{
    const char *path = unix_path(address->text);
    int fd = socket(address->storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -1;
    }
    int guard = path != NULL ? socket_file_guard(path) : -1;
    listener->fd = fd;
    set_reuseport(fd, shared);
    int done = set_options(fd, address->storage.ss_family) == 0 && bind_and_listen(fd, listener, address) == 0 ? 0 : -1;
    int number = errno;
    if (done == 0) {
        set_reuseport(fd, 0);
    } else {
        listener_close(listener);
        listener->fd = -1;
    }
    if (guard >= 0) {
        close(guard);
    }
    errno = number;
    return done;
}

/* Let the sockets of PRESENT that keep ADDRESS from being bound allow it, or no longer. Returns how many there are. */
static unsigned present_share(const struct listeners *present, const struct address *address, int on)
{
    unsigned count = 0;
    for (size_t i = 0; i < present->count; i++) {
        struct address held;
        char why[ADDRESS_WHY_BYTES];
        if (address->storage.ss_family != AF_UNIX && !present->all[i].given &&
            address_parse(present->all[i].address, &held, why) && address_collides(&held, address)) {
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

/* A listener as SETTING wants it, not yet bound. */
static int listener_describe(struct listener *listener, const struct listen_setting *setting,
                             char error[LISTENERS_ERROR_BYTES])
{
    *listener = (struct listener){.fd = -1, .backlog = setting->backlog, .proxied = setting->proxy_protocol};
    canonical(setting->address, listener->address);
    if (!rights_of(setting, &listener->rights)) {
        explain(setting, listener->address, "its owner or group does not exist any more; write another", error);
        return -1;
    }
    return 0;
}

static int listener_open(struct listener *listener, const struct listen_setting *setting,
                         const struct listeners *present, char error[LISTENERS_ERROR_BYTES])
{
    struct address address;
    char why[LISTENERS_ERROR_BYTES / 2];
    if (!address_parse(setting->address, &address, why)) {
        snprintf(error, LISTENERS_ERROR_BYTES, "%s", why);
        return -1;
    }
    if (listener_describe(listener, setting, error) != 0) {
        return -1;
    }
    if (listener_bind_beside(listener, &address, present) != 0) {
        why_not(listener, errno, why, sizeof why);
        explain(setting, listener->address, why, error);
        return -1;
    }
    return 0;
}

/* LISTENER goes on with the socket of PRESENT, as SETTING wants it now. */
static int listener_keep(struct listener *listener, const struct listen_setting *setting,
                         const struct listener *present, char error[LISTENERS_ERROR_BYTES])
{
    char why[LISTENERS_ERROR_BYTES / 2];
    if (listener_describe(listener, setting, error) != 0) {
        return -1;
    }
    listener->fd = present->fd;
    listener->file = present->file;
    listener->given = present->given;
    if (file_permit(listener, present) != 0) {
        why_not(listener, errno, why, sizeof why);
        explain(setting, listener->address, why, error);
        return -1;
    }
    return 0;
}

/* ---- sets ---- */

/* An AF_UNIX socket that was shut down never listens again, and does not say so by SO_ACCEPTCONN. */
static bool is_beyond_mending(const struct listener *listener)
{
    struct pollfd look = {.fd = listener->fd, .events = POLLRDHUP};
    return unix_path(listener->address) != NULL && !listener->given && TEMP_FAILURE_RETRY(poll(&look, 1, 0)) == 1 &&
           (look.revents & (POLLRDHUP | POLLHUP)) != 0;
}

bool listeners_want_renewal(const struct listeners *listeners)
{
    for (size_t i = 0; i < listeners->count; i++) {
        if (is_beyond_mending(&listeners->all[i])) {
            log_warn("%s has stopped listening: a process that holds the socket shut it down; it must be bound anew",
                     listeners->all[i].address);
            return true;
        }
    }
    return false;
}

/* The given ones that nobody wants, behind those that are wanted. */
static int rest_given(const struct listeners *present, struct listeners *next, char error[LISTENERS_ERROR_BYTES])
{
    for (size_t i = 0; i < present->count; i++) {
        const struct listener *listener = &present->all[i];
        if (!listener->given || find_address(next, listener->address) >= 0) {
            continue;
        }
        if (next->count == CONTRACT_LISTENERS_MAX) {
            snprintf(
                error, LISTENERS_ERROR_BYTES,
                "%d sockets are too many with those that were given (LISTEN_FDS); name those, or leave sections out",
                CONTRACT_LISTENERS_MAX + 1);
            return -1;
        }
        next->all[next->count] = *listener;
        next->all[next->count++].resting = 1;
    }
    return 0;
}

static int listener_settle(struct listener *listener, const struct listen_setting *setting, int keep,
                           const struct listeners *present, char error[LISTENERS_ERROR_BYTES])
{
    return keep >= 0 && !is_beyond_mending(&present->all[keep])
               ? listener_keep(listener, setting, &present->all[keep], error)
               : listener_open(listener, setting, present, error);
}

uint64_t listeners_cookie(int fd)
{
    uint64_t cookie = 0;
    socklen_t length = sizeof cookie;
    getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &length);
    return cookie;
}

int listeners_prepare(const struct listeners *present, const struct settings *settings, struct listeners *next,
                      char error[LISTENERS_ERROR_BYTES])
{
    struct listeners_plan plan;
    listeners_plan(present, settings, &plan);
    memset(next, 0, sizeof *next);
    bool good = true;
    for (size_t i = 0; good && i < plan.wanted_count; i++) {
        /* Counted even if it failed: what was changed of its file is put back. */
        good = listener_settle(&next->all[next->count++], &settings->listeners[i], plan.keep[i], present, error) == 0;
    }
    if (!good || rest_given(present, next, error) != 0) {
        listeners_abandon(present, next);
        return -1;
    }
    for (size_t i = 0; i < next->count; i++) {
        next->all[i].cookie = listeners_cookie(next->all[i].fd);
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

/* What is in LISTENERS and not in OTHERS, but for what was given. */
static void each_leaving(const struct listeners *listeners, const struct listeners *others,
                         void (*visit)(const struct listener *listener, void *context), void *context)
{
    for (size_t i = 0; i < listeners->count; i++) {
        const struct listener *listener = &listeners->all[i];
        if (listener->fd >= 0 && !listener->given && !has_fd(others, listener->fd)) {
            visit(listener, context);
        }
    }
}

/* Who begins to connect now, to a port, tries again in a second, by itself: there is another listener then, or none. */
static void listener_bar(const struct listener *listener, void *context)
{
    (void)context;
    const char *path = unix_path(listener->address);
    struct sock_filter nothing[] = {{.code = BPF_RET | BPF_K}};
    const struct sock_fprog filter = {.len = 1, .filter = nothing};
    if (path != NULL) {
        socket_file_remove(path, &listener->file);
    } else {
        setsockopt(listener->fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter);
    }
}

void listeners_bar(const struct listeners *listeners, const struct listeners *others,
                   void (*visit)(const struct listener *listener, void *context), void *context)
{
    each_leaving(listeners, others, listener_bar, NULL);
    each_leaving(listeners, others, visit, context);
}

static void visit_close(const struct listener *listener, void *context)
{
    (void)context;
    listener_close(listener);
}

static void close_unless_in(const struct listeners *listeners, const struct listeners *others)
{
    each_leaving(listeners, others, visit_close, NULL);
}

void listeners_commit(const struct listeners *present, const struct listeners *next)
{
    for (size_t i = 0; i < next->count; i++) {
        const struct listener *listener = &next->all[i];
        int before = find_address(present, listener->address);
        if (before >= 0 && present->all[before].backlog != listener->backlog) {
            listen(listener->fd, listener->backlog);
        }
        if (listener->resting && before >= 0 && !present->all[before].resting) {
            log_warn("%s (descriptor %d) was given to us, and no listen section names it: it is kept open, and nobody "
                     "accepts on it",
                     listener->address, listener->fd);
        }
    }
    close_unless_in(present, next);
}

void listeners_abandon(const struct listeners *present, const struct listeners *next)
{
    for (size_t i = 0; i < next->count; i++) {
        int before = find_address(present, next->all[i].address);
        if (before >= 0 && next->all[i].fd >= 0 && file_permit(&present->all[before], &next->all[i]) != 0) {
            log_warn("%s keeps the mode, owner and group of the configuration that was given up: %s",
                     next->all[i].address, strerror(errno));
        }
    }
    close_unless_in(next, present);
}

void listeners_close(struct listeners *listeners)
{
    static const struct listeners none;
    close_unless_in(listeners, &none);
    listeners->count = 0;
}

static void set_tcp(int fd, int option, uint64_t value)
{
    int number = (int)value;
    setsockopt(fd, IPPROTO_TCP, option, &number, sizeof number);
}

static uint64_t within(uint64_t value, uint64_t low, uint64_t high)
{
    return value < low ? low : value > high ? high : value;
}

/* What is not on its way to a client yet waits in the file, not in the kernel: 200 readers of five bytes a second had
 * half a gigabyte there, and others waited for a second. What is on its way is not bounded by that, so no line is
 * slower.
 *
 * A client that rests is probed in the second half of its time. While data waits for an acknowledgement there are no
 * probes, and TCP_USER_TIMEOUT counts; but that also ends who acknowledges and takes nothing, whom write_timeout may
 * allow more. */
static void listener_tune(int fd, const struct settings *settings)
{
    enum { PROBES = 4, SECONDS_MOST = 32767, UNSENT_BYTES = 256 * 1024 };
    uint64_t ms = settings->vanished_timeout_ms;
    int on = ms > 0;
    set_tcp(fd, TCP_KEEPIDLE, within(ms / 2000, 1, SECONDS_MOST));
    set_tcp(fd, TCP_KEEPINTVL, within(ms / 2000 / PROBES, 1, SECONDS_MOST));
    set_tcp(fd, TCP_KEEPCNT, PROBES);
    set_tcp(fd, TCP_NOTSENT_LOWAT, UNSENT_BYTES);
    set_tcp(fd, TCP_USER_TIMEOUT, ms >= settings->write_timeout_ms ? ms : 0);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
}

void listeners_tune(const struct listeners *listeners, const struct settings *settings)
{
    for (size_t i = 0; i < listeners->count; i++) {
        const struct listener *listener = &listeners->all[i];
        if (unix_path(listener->address) == NULL && !listener->resting) {
            listener_tune(listener->fd, settings);
        }
    }
}

size_t listeners_fds(const struct listeners *listeners, int32_t fds[CONTRACT_LISTENERS_MAX])
{
    size_t count = 0;
    for (size_t i = 0; i < listeners->count; i++) {
        if (!listeners->all[i].resting) {
            fds[count++] = listeners->all[i].fd;
        }
    }
    return count;
}

/* ---- health ---- */

static int socket_number(int fd, int option)
{
    int number = -1;
    socklen_t length = sizeof number;
    return getsockopt(fd, SOL_SOCKET, option, &number, &length) == 0 ? number : -1;
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
