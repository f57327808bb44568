/* why.c — see why.h. Reads /proc/net/tcp and tcp6 for the listener's inode, then /proc/PID/fd for who has it open. */
#include "supervisor/why.h"

#include "supervisor/inherit/address.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { HOLDERS_MAX = 3, TCP_STATE_LISTEN = 0x0A, COMMAND_BYTES = 64, WHO_BYTES = 256 };

static in_port_t address_port(const struct address *address)
{
    if (address->storage.ss_family == AF_INET) {
        return ntohs(((const struct sockaddr_in *)&address->storage)->sin_port);
    }
    return ntohs(((const struct sockaddr_in6 *)&address->storage)->sin6_port);
}

/* The 8 or 32 hexadecimal digits of /proc/net/tcp are the address in 32-bit words of this machine's byte order. */
static bool read_hex_address(const char *hex, unsigned port, struct address *address)
{
    memset(address, 0, sizeof *address);
    uint32_t words[4];
    size_t count = strlen(hex) / 8;
    if (count != 1 && count != 4) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        char digits[9];
        snprintf(digits, sizeof digits, "%.8s", hex + 8 * i);
        words[i] = (uint32_t)strtoul(digits, NULL, 16);
    }
    char host[INET6_ADDRSTRLEN];
    char text[INET6_ADDRSTRLEN + 16];
    char why[ADDRESS_WHY_BYTES];
    inet_ntop(count == 1 ? AF_INET : AF_INET6, words, host, sizeof host);
    snprintf(text, sizeof text, count == 1 ? "%s:%u" : "[%s]:%u", host, port);
    return address_parse(text, address, why);
}

/* True if a listener on HELD keeps us from listening on WANTED. A wildcard IPv6 socket may be dual-stack, which
 * /proc/net/tcp6 does not show; it then holds the port of IPv4 too. */
static bool stands_in_the_way(const struct address *held, const struct address *wanted)
{
    if (address_collides(held, wanted)) {
        return true;
    }
    return held->storage.ss_family == AF_INET6 && wanted->storage.ss_family == AF_INET &&
           IN6_IS_ADDR_UNSPECIFIED(&((const struct sockaddr_in6 *)&held->storage)->sin6_addr) &&
           address_port(held) == address_port(wanted);
}

/* The inode in one LINE of /proc/net/tcp, which is taken apart, if it is of a listener that stands in the way; else 0.
 * Fields, from 0: number, local address, remote address, state, queues, timer, retransmits, uid, timeout, inode. */
static unsigned long line_inode(char *line, const struct address *wanted, struct address *held)
{
    char *fields[10] = {NULL};
    char *rest = line;
    for (size_t i = 0; i < 10; i++) {
        fields[i] = strtok_r(NULL, " \n", &rest);
        if (fields[i] == NULL) {
            return 0;
        }
    }
    char *colon = strchr(fields[1], ':');
    if (colon == NULL || strtoul(fields[3], NULL, 16) != TCP_STATE_LISTEN) {
        return 0;
    }
    *colon = '\0';
    unsigned long port = strtoul(colon + 1, NULL, 16);
    return port == address_port(wanted) && read_hex_address(fields[1], (unsigned)port, held) &&
                   stands_in_the_way(held, wanted)
               ? strtoul(fields[9], NULL, 10)
               : 0;
}

/* The inode of a listening socket in TABLE that stands in the way of WANTED, and its address; 0: none. */
static unsigned long find_listener(const char *table, const struct address *wanted, struct address *held)
{
    FILE *file = fopen(table, "re");
    if (file == NULL) {
        return 0;
    }
    char line[512];
    unsigned long found = 0;
    while (found == 0 && fgets(line, sizeof line, file) != NULL) {
        found = line_inode(line, wanted, held);
    }
    fclose(file);
    return found;
}

static bool process_has_socket(const char *pid, const char *link_wanted)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%.20s/fd", pid);
    DIR *fds = opendir(path);
    if (fds == NULL) {
        return false;
    }
    bool has = false;
    const struct dirent *entry;
    while (!has && (entry = readdir(fds)) != NULL) {
        char link[64];
        ssize_t length = readlinkat(dirfd(fds), entry->d_name, link, sizeof link - 1);
        if (length > 0) {
            link[length] = '\0';
            has = strcmp(link, link_wanted) == 0;
        }
    }
    closedir(fds);
    return has;
}

static void read_command(const char *pid, char command[COMMAND_BYTES])
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%.20s/comm", pid);
    snprintf(command, COMMAND_BYTES, "?");
    FILE *file = fopen(path, "re");
    if (file != NULL) {
        if (fgets(command, COMMAND_BYTES, file) != NULL) {
            command[strcspn(command, "\n")] = '\0';
        }
        fclose(file);
    }
}

/* "pid 123 (nginx), pid 124 (nginx)" into WHO; returns how many processes hold the socket. */
static unsigned list_holders(unsigned long inode, char who[WHO_BYTES])
{
    char wanted[64];
    snprintf(wanted, sizeof wanted, "socket:[%lu]", inode);
    DIR *processes = opendir("/proc");
    unsigned count = 0;
    size_t length = 0;
    who[0] = '\0';
    const struct dirent *entry;
    while (processes != NULL && (entry = readdir(processes)) != NULL) {
        if (!isdigit((unsigned char)entry->d_name[0]) || !process_has_socket(entry->d_name, wanted)) {
            continue;
        }
        char command[COMMAND_BYTES];
        read_command(entry->d_name, command);
        if (count++ < HOLDERS_MAX && length < WHO_BYTES) {
            length += (size_t)snprintf(who + length, WHO_BYTES - length, "%spid %s (%s)", count > 1 ? ", " : "",
                                       entry->d_name, command);
        }
    }
    if (count > HOLDERS_MAX && length < WHO_BYTES) {
        snprintf(who + length, WHO_BYTES - length, " and %u more", count - HOLDERS_MAX);
    }
    if (processes != NULL) {
        closedir(processes);
    }
    return count;
}

/* The file of a unix socket is there, and it is not stale. Who listens is asked of the kernel, by connecting. */
static void why_file_in_use(const struct address *wanted, char *text, size_t bytes)
{
    char pid[16];
    char command[COMMAND_BYTES];
    struct ucred peer = {.pid = 0};
    socklen_t length = sizeof peer;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int connected = fd >= 0 ? connect(fd, (const struct sockaddr *)&wanted->storage, wanted->length) : -1;
    int number = errno;
    if (connected == 0 && getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 && peer.pid > 0) {
        snprintf(pid, sizeof pid, "%d", (int)peer.pid);
        read_command(pid, command);
        snprintf(text, bytes, "is in use by pid %s (%s); stop that, or choose another path", pid, command);
    } else if (connected == 0 || number == EAGAIN) {
        snprintf(text, bytes, "is in use: a process listens on it; stop that, or choose another path");
    } else {
        snprintf(text, bytes,
                 "is there already, and whether a process listens on it cannot be told: %s; remove it if none does, or "
                 "choose another path",
                 strerror(number));
    }
    if (fd >= 0) {
        close(fd);
    }
}

static void why_in_use(const struct address *wanted, char *text, size_t bytes)
{
    if (wanted->storage.ss_family == AF_UNIX) {
        why_file_in_use(wanted, text, bytes);
        return;
    }
    struct address held;
    unsigned long inode = find_listener("/proc/net/tcp", wanted, &held);
    if (inode == 0) {
        inode = find_listener("/proc/net/tcp6", wanted, &held);
    }
    if (inode == 0) {
        snprintf(text, bytes,
                 "is in use, although nobody listens there: a socket is bound to it without SO_REUSEADDR; find its "
                 "process, or choose another port");
        return;
    }
    char who[WHO_BYTES];
    if (list_holders(inode, who) == 0) {
        snprintf(who, sizeof who, "a process that cannot be seen from here (of another user or container)");
    }
    bool same = strcmp(held.text, wanted->text) == 0;
    snprintf(text, bytes, "is in use by %s%s%s%s; stop it, or choose another port", who, same ? "" : ", which holds ",
             same ? "" : held.text, same ? "" : " and with it this address");
}

void why_not_bind(const char *address_text, int number, char *text, size_t bytes)
{
    struct address wanted;
    char parse_why[ADDRESS_WHY_BYTES];
    if (!address_parse(address_text, &wanted, parse_why)) {
        snprintf(text, bytes, "is no address: %s", parse_why);
        return;
    }
    bool is_unix = wanted.storage.ss_family == AF_UNIX;
    switch (number) {
    case EADDRINUSE:
        why_in_use(&wanted, text, bytes);
        return;
    case EADDRNOTAVAIL:
        snprintf(text, bytes,
                 "is not an address of this machine; see `ip address`, or listen on \"%s:%u\" for all of them",
                 wanted.storage.ss_family == AF_INET6 ? "[::]" : "0.0.0.0", address_port(&wanted));
        return;
    case EACCES:
    case EPERM:
        if (is_unix) {
            snprintf(text, bytes,
                     "may not be made there: %s; give the directory to the user who starts, or choose another",
                     strerror(number));
            return;
        }
        snprintf(text, bytes,
                 "is a privileged port (below net.ipv4.ip_unprivileged_port_start) and needs root; start as root, or "
                 "choose a port from 1024 up");
        return;
    case ENOENT:
    case ENOTDIR:
        snprintf(text, bytes, "cannot be made: its directory does not exist; make it, or choose another path");
        return;
    case ENOSPC:
    case EDQUOT:
        snprintf(text, bytes, "cannot be made: %s; make room there, or choose another path", strerror(number));
        return;
    case EROFS:
        snprintf(text, bytes, "cannot be made on a read-only file system; choose another path");
        return;
    case EAFNOSUPPORT:
        snprintf(text, bytes, "cannot be used: this machine's kernel has no %s; leave this listen section out",
                 wanted.storage.ss_family == AF_INET6 ? "IPv6" : "such addresses");
        return;
    default:
        snprintf(text, bytes, "cannot be listened on: %s", strerror(number));
    }
}
