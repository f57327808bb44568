/* machine.c — see machine.h. */
#include "supervisor/why/machine.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <limits.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { SETTING_BYTES = 65536 }; /* a list of every second port has room */

/* ---- net.* ---- */

/* The text of a setting below /proc/sys/net/; "" if this kernel has none. */
static void read_setting(const char *name, char *text, size_t bytes)
{
    char path[128];
    snprintf(path, sizeof path, "/proc/sys/net/%s", name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t count = fd >= 0 ? read(fd, text, bytes - 1) : 0;
    text[count > 0 ? count : 0] = '\0';
    if (fd >= 0) {
        close(fd);
    }
}

static int setting_number(const char *name, int otherwise)
{
    char text[64];
    read_setting(name, text, sizeof text);
    return text[0] != '\0' ? (int)strtol(text, NULL, 10) : otherwise;
}

bool machine_lists_port(const char *list, unsigned port)
{
    while (*list != '\0') {
        char *end;
        unsigned long first = strtoul(list, &end, 10);
        if (end == list) {
            return false;
        }
        unsigned long last = *end == '-' ? strtoul(end + 1, &end, 10) : first;
        if (port >= first && port <= last) {
            return true;
        }
        list = end + (*end == ',');
    }
    return false;
}

static bool is_reserved(uint16_t port)
{
    char *list = malloc(SETTING_BYTES);
    bool reserved = false;
    if (list != NULL) {
        read_setting("ipv4/ip_local_reserved_ports", list, SETTING_BYTES);
        reserved = machine_lists_port(list, port);
        free(list);
    }
    return reserved;
}

/* ---- rights ---- */

static bool may_bind_privileged(void)
{
    char text[4096];
    int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    ssize_t count = fd >= 0 ? read(fd, text, sizeof text - 1) : 0;
    text[count > 0 ? count : 0] = '\0';
    if (fd >= 0) {
        close(fd);
    }
    const char *line = strstr(text, "\nCapEff:");
    unsigned long long effective = line != NULL ? strtoull(line + strlen("\nCapEff:"), NULL, 16) : 0;
    return (effective & (1ULL << CAP_NET_BIND_SERVICE)) != 0;
}

/* ---- addresses ---- */

static bool is_address_of(const struct ifaddrs *interface, const struct target *target)
{
    if (interface->ifa_addr == NULL || interface->ifa_addr->sa_family != target->family) {
        return false;
    }
    if (target->family == AF_INET6) {
        const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)interface->ifa_addr;
        return memcmp(&six->sin6_addr, &target->end.host, sizeof target->end.host) == 0;
    }
    const struct sockaddr_in *four = (const struct sockaddr_in *)interface->ifa_addr;
    const struct sockaddr_in *mask = (const struct sockaddr_in *)interface->ifa_netmask;
    in_addr_t wanted = target->end.host.s6_addr32[3];
    bool loopback = (ntohl(four->sin_addr.s_addr) >> 24) == 127; /* all of 127.0.0.0/8 is local, not one address */
    return four->sin_addr.s_addr == wanted ||
           (loopback && mask != NULL && ((four->sin_addr.s_addr ^ wanted) & mask->sin_addr.s_addr) == 0);
}

static bool is_local(const struct target *target)
{
    struct ifaddrs *interfaces = NULL;
    bool local = end_is_wildcard(&target->end) || getifaddrs(&interfaces) != 0; /* in doubt, it is not the cause */
    for (const struct ifaddrs *at = interfaces; !local && at != NULL; at = at->ifa_next) {
        local = is_address_of(at, target);
    }
    if (interfaces != NULL) {
        freeifaddrs(interfaces);
    }
    return local;
}

void machine_look(struct facts *facts)
{
    struct machine_fact *machine = &facts->machine;
    char range[64];
    facts->unseen.root = geteuid() == 0;
    machine->may_privileged = may_bind_privileged();
    machine->first_unprivileged = setting_number("ipv4/ip_unprivileged_port_start", 1024);
    machine->reserved = is_reserved(facts->port);
    read_setting("ipv4/ip_local_port_range", range, sizeof range);
    char *rest = range;
    machine->range_low = (int)strtol(range, &rest, 10);
    machine->range_high = (int)strtol(rest, NULL, 10);
    machine->nonlocal_bind = setting_number("ipv4/ip_nonlocal_bind", 0) != 0;
    machine->v6only_default = setting_number("ipv6/bindv6only", 0) != 0;
    machine->timestamps = setting_number("ipv4/tcp_timestamps", 1) != 0;
    for (size_t i = 0; i < facts->targets_count; i++) {
        facts->targets[i].local = is_local(&facts->targets[i]);
    }
}

/* ---- files ---- */

/* The errno of making a file beside PATH; 0: it could be made. */
static int directory_refuses(const char *path)
{
    char directory[PATH_MAX];
    snprintf(directory, sizeof directory, "%s", path);
    char *slash = strrchr(directory, '/');
    slash[slash == directory] = '\0';
    struct stat is;
    if (stat(directory, &is) != 0) {
        return errno;
    }
    if (!S_ISDIR(is.st_mode)) {
        return ENOTDIR;
    }
    return faccessat(AT_FDCWD, directory, W_OK | X_OK, AT_EACCESS) == 0 ? 0 : errno;
}

/* A datagram socket cannot be connected to a stream socket: EPROTOTYPE says that somebody is there, who does not notice
 * it; ECONNREFUSED, that nobody is; EACCES says nothing of that. */
static void ask_who_listens(const char *path, struct unix_file *file)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    snprintf(name.sun_path, sizeof name.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int number = fd < 0 || connect(fd, (const struct sockaddr *)&name, sizeof name) != 0 ? errno : 0;
    file->may_connect = number != EACCES && number != EPERM;
    file->answers = file->may_connect && number != ECONNREFUSED;
    if (fd >= 0) {
        close(fd);
    }
}

void machine_look_at_file(struct facts *facts)
{
    struct stat is;
    struct unix_file *file = &facts->file;
    facts->unseen.root = geteuid() == 0;
    file->exists = lstat(facts->path, &is) == 0;
    file->is_socket = file->exists && S_ISSOCK(is.st_mode);
    file->is_directory = file->exists && S_ISDIR(is.st_mode);
    if (file->is_socket) {
        ask_who_listens(facts->path, file);
    }
    file->directory_error = directory_refuses(facts->path);
}
