/* door.c — see door.h. */
#include "supervisor/door.h"

#include "supervisor/socket_file.h"
#include "supervisor/workers.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CALLERS_MAX = 16 };

static const char prefix[] = "door.";

static void name_of(uint32_t slot, char file[32])
{
    snprintf(file, 32, "%s%u", prefix, slot);
}

static int door_socket(void)
{
    return socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

/* Close *FD and keep errno. */
static int give_up(int fd)
{
    int saved = errno;
    if (fd >= 0) {
        close(fd);
    }
    errno = saved;
    return -1;
}

static int bind_private(int fd, const struct sockaddr_un *name)
{
    unlink(name->sun_path);
    mode_t before = umask(0177);
    int bound = bind(fd, (const struct sockaddr *)name, sizeof *name);
    umask(before);
    return bound;
}

int door_make(const char *run_dir, uint32_t slot)
{
    struct sockaddr_un name;
    char file[32];
    int directory_fd;
    name_of(slot, file);
    if (socket_file_name(run_dir, file, &name, &directory_fd) != 0) {
        return -1;
    }
    int fd = door_socket();
    if (fd >= 0 && (bind_private(fd, &name) != 0 || listen(fd, CALLERS_MAX) != 0)) {
        fd = give_up(fd);
    }
    give_up(directory_fd);
    return fd;
}

void door_remove(const char *run_dir, uint32_t slot)
{
    char path[PATH_MAX + 32];
    char file[32];
    name_of(slot, file);
    snprintf(path, sizeof path, "%s/%s", run_dir, file);
    unlink(path);
}

/* The slot of the door called FILE, -1: it is none. */
static long slot_of(const char *file)
{
    char again[32];
    if (strncmp(file, prefix, strlen(prefix)) != 0) {
        return -1;
    }
    unsigned long slot = strtoul(file + strlen(prefix), NULL, 10);
    if (slot >= WORKERS_MAX) {
        return -1;
    }
    name_of((uint32_t)slot, again);
    return strcmp(again, file) == 0 ? (long)slot : -1;
}

void door_each(const char *run_dir, void (*visit)(uint32_t slot, void *context), void *context)
{
    DIR *directory = opendir(run_dir);
    const struct dirent *entry;
    while (directory != NULL && (entry = readdir(directory)) != NULL) {
        long slot = slot_of(entry->d_name);
        if (slot >= 0) {
            visit((uint32_t)slot, context);
        }
    }
    if (directory != NULL) {
        closedir(directory);
    }
}

/* The worker's pid, by the kernel's word for who called listen(2) last. */
static pid_t listener_of(int fd)
{
    struct ucred worker = {0};
    socklen_t length = sizeof worker;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &worker, &length) == 0 ? worker.pid : 0;
}

int door_call(const char *run_dir, uint32_t slot, pid_t *pid)
{
    struct sockaddr_un name;
    char file[32];
    int directory_fd;
    int on = 1;
    name_of(slot, file);
    if (socket_file_name(run_dir, file, &name, &directory_fd) != 0) {
        return -1;
    }
    int fd = door_socket();
    if (fd >= 0 && (setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof on) != 0 ||
                    connect(fd, (const struct sockaddr *)&name, sizeof name) != 0)) {
        fd = give_up(fd);
    }
    give_up(directory_fd);
    *pid = fd >= 0 ? listener_of(fd) : 0;
    return fd;
}

static void remove_if_stale(uint32_t slot, void *context)
{
    const char *run_dir = context;
    pid_t pid;
    int fd = door_call(run_dir, slot, &pid);
    if (fd < 0 && errno == ECONNREFUSED) {
        door_remove(run_dir, slot);
    }
    give_up(fd);
}

void door_sweep(const char *run_dir)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s", run_dir);
    door_each(path, remove_if_stale, path);
}
