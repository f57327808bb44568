/* processes.c — see processes.h. */
#include "supervisor/why/processes.h"

#include "supervisor/why/cgroup.h"
#include "supervisor/why/proc_net.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { FILE_BYTES = 4096 };

/* ---- one process ---- */

/* The bytes of /proc/PID/NAME, with a NUL behind; returns how many. */
static size_t read_proc(pid_t pid, const char *name, char bytes[FILE_BYTES])
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t count = fd >= 0 ? read(fd, bytes, FILE_BYTES - 1) : 0;
    if (fd >= 0) {
        close(fd);
    }
    count = count > 0 ? count : 0;
    bytes[count] = '\0';
    return (size_t)count;
}

void process_clean(char *text)
{
    for (unsigned char *byte = (unsigned char *)text; *byte != '\0'; byte++) {
        bool c1 = *byte == 0xc2 && byte[1] >= 0x80 && byte[1] < 0xa0; /* control characters in UTF-8, too */
        if (*byte < 0x20 || *byte == 0x7f || c1) {
            *byte = '?';
        }
    }
}

/* Who was started by its descriptor, as a successor of perdure's supervisor is, is "exe" to the kernel, or a number:
 * then the first word of its command line tells its name. */
static void read_name(pid_t pid, char *name, size_t bytes)
{
    char text[FILE_BYTES];
    read_proc(pid, "comm", text);
    text[strcspn(text, "\n")] = '\0';
    if (strcmp(text, "exe") == 0 || (text[0] != '\0' && strspn(text, "0123456789") == strlen(text))) {
        char command[FILE_BYTES];
        read_proc(pid, "cmdline", command);
        const char *slash = strrchr(command, '/');
        if (command[0] != '\0') {
            snprintf(text, sizeof text, "%s", slash != NULL ? slash + 1 : command);
        }
    }
    process_clean(text);
    snprintf(name, bytes, "%.*s", (int)bytes - 1, text);
}

static void read_command(struct process_fact *process)
{
    char text[FILE_BYTES];
    size_t count = read_proc(process->pid, "cmdline", text);
    for (size_t i = 0; i < count; i++) {
        text[i] = text[i] != '\0' ? text[i] : ' ';
    }
    while (count > 0 && text[count - 1] == ' ') {
        text[--count] = '\0'; /* nginx and others write their title over it, and leave blanks */
    }
    process_clean(text);
    snprintf(process->command, sizeof process->command, "%.*s", (int)sizeof process->command - 1, text);
}

static int64_t age_s(uint64_t start_ticks)
{
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (int64_t)now.tv_sec - (int64_t)(start_ticks / (uint64_t)sysconf(_SC_CLK_TCK));
}

/* /proc/PID/stat: the name, in parentheses, may contain anything; the fields behind it are counted from 3. */
static bool read_stat(struct process_fact *process)
{
    enum { STATE = 3, PARENT = 4, SESSION = 6, START = 22 };
    char text[FILE_BYTES];
    unsigned long long fields[START + 1] = {0};
    read_proc(process->pid, "stat", text);
    char *rest = strrchr(text, ')');
    if (rest == NULL) {
        return false;
    }
    rest++;
    for (size_t i = STATE; i <= START; i++) {
        const char *word = strtok_r(NULL, " ", &rest);
        if (word == NULL) {
            return false;
        }
        fields[i] = strtoull(word, NULL, 10); /* 0 for the state, which is a letter */
    }
    process->parent = (pid_t)fields[PARENT];
    process->session = (pid_t)fields[SESSION];
    process->age_s = age_s(fields[START]);
    return true;
}

static void read_user(struct process_fact *process)
{
    char text[FILE_BYTES];
    read_proc(process->pid, "status", text);
    const char *line = strstr(text, "\nUid:");
    if (line != NULL) {
        char *effective;
        strtoul(line + strlen("\nUid:"), &effective, 10);
        process->uid = (uint32_t)strtoul(effective, NULL, 10);
        const struct passwd *user = getpwuid(process->uid);
        snprintf(process->user, sizeof process->user, user != NULL ? "%.30s" : "%.0s%u",
                 user != NULL ? user->pw_name : "", process->uid);
    }
}

static bool is_alive(pid_t pid)
{
    char path[32];
    struct stat is;
    snprintf(path, sizeof path, "/proc/%d", (int)pid);
    return pid > 0 && stat(path, &is) == 0;
}

bool process_describe(pid_t pid, struct process_fact *process)
{
    char text[FILE_BYTES];
    *process = (struct process_fact){.pid = pid};
    if (!read_stat(process)) {
        return false;
    }
    read_name(pid, process->name, sizeof process->name);
    read_command(process);
    read_user(process);
    if (process->parent > 0) {
        read_name(process->parent, process->parent_name, sizeof process->parent_name);
    }
    process->session_led = is_alive(process->session);
    read_proc(pid, "cgroup", text);
    cgroup_read(text, process);
    return true;
}

/* ---- all of them ---- */

static uint32_t socket_inode(int directory, const char *name)
{
    char link[64];
    ssize_t length = readlinkat(directory, name, link, sizeof link - 1);
    link[length > 0 ? length : 0] = '\0';
    bool is_socket = strncmp(link, "socket:[", strlen("socket:[")) == 0;
    return is_socket ? (uint32_t)strtoul(link + strlen("socket:["), NULL, 10) : 0;
}

/* A socket by its number. */
struct numbered {
    uint32_t inode;
    size_t socket;
};

static int compare_inodes(const void *one, const void *other)
{
    uint32_t a = ((const struct numbered *)one)->inode;
    uint32_t b = ((const struct numbered *)other)->inode;
    return (a > b) - (a < b);
}

/* The sockets that processes may have, sorted, for looking them up. NULL: no memory. */
static struct numbered *sort_sockets(struct facts *facts, size_t *count)
{
    struct numbered *sorted = calloc(facts->sockets_count + 1, sizeof *sorted);
    *count = 0;
    for (size_t i = 0; sorted != NULL && i < facts->sockets_count; i++) {
        if (facts->sockets[i].inode != 0) {
            sorted[(*count)++] = (struct numbered){.inode = facts->sockets[i].inode, .socket = i};
        }
    }
    if (sorted != NULL) {
        qsort(sorted, *count, sizeof *sorted, compare_inodes);
    }
    facts->unseen.truncated |= sorted == NULL;
    return sorted;
}

/* The index of PID in FACTS, described if it is not there yet. False: it is gone. */
static bool find_process(struct facts *facts, pid_t pid, size_t *index)
{
    struct process_fact described;
    if (facts->processes_count > 0 && facts->processes[facts->processes_count - 1].pid == pid) {
        *index = facts->processes_count - 1;
        return true;
    }
    if (!process_describe(pid, &described)) {
        return false;
    }
    struct process_fact *added = facts_add_process(facts);
    if (added != NULL) {
        *added = described;
        *index = facts->processes_count - 1;
    }
    return added != NULL;
}

static void add_holding(struct facts *facts, pid_t pid, size_t socket)
{
    size_t process;
    if (!find_process(facts, pid, &process) || facts->sockets[socket].found_in == pid) {
        return;
    }
    facts->sockets[socket].found_in = pid;
    struct holding *holding = facts_add_holding(facts);
    if (holding != NULL) {
        *holding = (struct holding){.socket = socket, .process = process};
    }
}

/* The directory of a process's descriptors; NULL if it is gone, or with it counted if it may not be read. */
static DIR *open_descriptors(struct facts *facts, pid_t pid)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    DIR *directory = opendir(path);
    if (directory == NULL && (errno == EACCES || errno == EPERM)) {
        facts->unseen.processes++;
    }
    return directory;
}

static void look_at_descriptors(struct facts *facts, pid_t pid, const struct numbered *sockets, size_t count)
{
    DIR *descriptors = count > 0 ? open_descriptors(facts, pid) : NULL;
    const struct dirent *entry;
    while (descriptors != NULL && (entry = readdir(descriptors)) != NULL) {
        struct numbered key = {.inode = socket_inode(dirfd(descriptors), entry->d_name)};
        const struct numbered *found =
            key.inode != 0 ? bsearch(&key, sockets, count, sizeof *sockets, compare_inodes) : NULL;
        if (found != NULL) {
            add_holding(facts, pid, found->socket);
        }
    }
    if (descriptors != NULL) {
        closedir(descriptors);
    }
}

static ino_t namespace_of(const char *process)
{
    char path[64];
    struct stat is;
    snprintf(path, sizeof path, "/proc/%.20s/ns/net", process);
    return stat(path, &is) == 0 ? is.st_ino : 0;
}

/* ---- other network namespaces ---- */

struct namespaces {
    ino_t own;
    ino_t known[FACTS_NAMESPACES_MAX];
};

static void look_at_namespace(struct facts *facts, pid_t pid, struct namespaces *namespaces)
{
    char text[16];
    snprintf(text, sizeof text, "%d", (int)pid);
    ino_t inode = namespace_of(text);
    facts->unseen.namespaces += inode == 0 && errno == EACCES;
    if (inode == 0 || inode == namespaces->own) {
        return;
    }
    size_t kept = facts->namespaces_count < FACTS_NAMESPACES_MAX ? facts->namespaces_count : FACTS_NAMESPACES_MAX;
    for (size_t i = 0; i < kept; i++) {
        if (namespaces->known[i] == inode) {
            return;
        }
    }
    if (kept < FACTS_NAMESPACES_MAX) {
        struct process_fact process;
        struct namespace_fact *found = &facts->namespaces[kept];
        namespaces->known[kept] = inode;
        *found = (struct namespace_fact){.pid = pid, .listens = proc_net_listens(facts->port, text)};
        if (process_describe(pid, &process)) {
            snprintf(found->name, sizeof found->name, "%s", process.name);
            snprintf(found->container, sizeof found->container, "%s", process.container);
        }
    }
    facts->namespaces_count++;
}

/* ---- the walk ---- */

void processes_find(struct facts *facts, bool wants_namespaces)
{
    size_t count;
    struct stat first;
    struct namespaces namespaces = {.own = wants_namespaces ? namespace_of("self") : 0};
    struct numbered *sockets = sort_sockets(facts, &count);
    DIR *processes = opendir("/proc");
    const struct dirent *entry;
    while (sockets != NULL && processes != NULL && (entry = readdir(processes)) != NULL) {
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10); /* 0: it is no process */
        if (pid > 0) {
            look_at_descriptors(facts, pid, sockets, count);
        }
        if (pid > 0 && namespaces.own != 0) {
            look_at_namespace(facts, pid, &namespaces);
        }
    }
    if (processes != NULL) {
        closedir(processes);
    }
    free(sockets);
    facts->unseen.processes_hidden = stat("/proc/1", &first) != 0; /* hidepid=, ProtectProc= */
}

/* ---- sockets that are listed nowhere ---- */

static void end_of(const struct sockaddr_storage *name, struct end *end)
{
    *end = (struct end){0};
    if (name->ss_family == AF_INET) {
        const struct sockaddr_in *four = (const struct sockaddr_in *)name;
        end->host.s6_addr16[5] = 0xffff;
        end->host.s6_addr32[3] = four->sin_addr.s_addr;
        end->port = ntohs(four->sin_port);
    } else if (name->ss_family == AF_INET6) {
        const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)name;
        end->host = six->sin6_addr;
        end->port = ntohs(six->sin6_port);
    }
}

static int socket_option(int fd, int level, int option)
{
    int value = -1;
    socklen_t length = sizeof value;
    return getsockopt(fd, level, option, &value, &length) == 0 ? value : -1;
}

/* FD, borrowed from PID, if it is a TCP socket that is bound to the port and does nothing else. */
static void note_bound(struct facts *facts, pid_t pid, int fd, uint32_t inode)
{
    struct sockaddr_storage name = {0};
    socklen_t length = sizeof name;
    struct tcp_info info = {0};
    socklen_t info_length = sizeof info;
    struct end end;
    if (getsockname(fd, (struct sockaddr *)&name, &length) != 0 ||
        socket_option(fd, SOL_SOCKET, SO_PROTOCOL) != IPPROTO_TCP) {
        return;
    }
    end_of(&name, &end);
    if (end.port != facts->port || getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &info_length) != 0 ||
        info.tcpi_state != TCP_CLOSE) {
        return;
    }
    struct socket_fact *found = facts_add_socket(facts);
    if (found != NULL) {
        *found = (struct socket_fact){.local = end,
                                      .family = name.ss_family,
                                      .state = TCP_CLOSE,
                                      .v6only = socket_option(fd, IPPROTO_IPV6, IPV6_V6ONLY) == 1,
                                      .inode = inode};
        add_holding(facts, pid, facts->sockets_count - 1);
    }
}

static void borrow_sockets(struct facts *facts, pid_t pid)
{
    int process = pidfd_open(pid, 0);
    DIR *descriptors = process >= 0 ? open_descriptors(facts, pid) : NULL;
    const struct dirent *entry;
    while (descriptors != NULL && (entry = readdir(descriptors)) != NULL) {
        uint32_t inode = socket_inode(dirfd(descriptors), entry->d_name);
        int fd = inode != 0 ? pidfd_getfd(process, (int)strtol(entry->d_name, NULL, 10), 0) : -1;
        if (fd >= 0) {
            note_bound(facts, pid, fd, inode);
            close(fd);
        }
    }
    if (descriptors != NULL) {
        closedir(descriptors);
    }
    if (process >= 0) {
        close(process);
    }
}

void processes_find_bound(struct facts *facts)
{
    DIR *processes = opendir("/proc");
    const struct dirent *entry;
    unsigned unseen = facts->unseen.processes; /* they are counted once */
    while (processes != NULL && (entry = readdir(processes)) != NULL) {
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
        if (pid > 0) {
            borrow_sockets(facts, pid);
        }
    }
    if (processes != NULL) {
        closedir(processes);
    }
    facts->unseen.processes = facts->unseen.processes > unseen ? facts->unseen.processes : unseen;
}
