/* socket_file.c — see socket_file.h. */
#include "supervisor/socket_file.h"

#include "supervisor/inherit/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Another perdure needs it for microseconds; who else holds it longer shall not keep us from starting. */
enum { GUARD_TRIES = 50, GUARD_STEP_NS = 10 * 1000 * 1000 };

int socket_file_name(const char *directory, const char *file, struct sockaddr_un *name, int *directory_fd)
{
    *directory_fd = -1;
    memset(name, 0, sizeof *name);
    name->sun_family = AF_UNIX;
    int length = snprintf(name->sun_path, sizeof name->sun_path, "%s/%s", directory, file);
    if (length > 0 && (size_t)length < sizeof name->sun_path) {
        return 0;
    }
    *directory_fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (*directory_fd < 0) {
        return -1;
    }
    snprintf(name->sun_path, sizeof name->sun_path, "/proc/self/fd/%d/%s", *directory_fd, file);
    return 0;
}

int socket_file_guard(const char *path)
{
    char directory[PATH_MAX];
    const char *slash = strrchr(path, '/');
    int length = slash != NULL && slash != path ? (int)(slash - path) : 1;
    snprintf(directory, sizeof directory, "%.*s", length, path);
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (int i = 0; fd >= 0 && i < GUARD_TRIES && flock(fd, LOCK_EX | LOCK_NB) != 0; i++) {
        struct timespec step = {.tv_nsec = GUARD_STEP_NS}; /* flock(2) knows no time limit */
        nanosleep(&step, NULL);
    }
    return fd;
}

/* ---- stale files ---- */

static bool is_file(const struct stat *is, const struct socket_file *file)
{
    return is->st_dev == file->device && is->st_ino == file->inode;
}

static bool is_refused(const struct sockaddr_un *name)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool refused = fd >= 0 && connect(fd, (const struct sockaddr *)name, sizeof *name) != 0 && errno == ECONNREFUSED;
    if (fd >= 0) {
        close(fd);
    }
    return refused;
}

/* Remove the file at NAME if it is a socket that nobody listens on any more: connecting is the only test there is. It
 * is looked at again afterwards, for somebody may have put his own there meanwhile. */
static bool remove_stale(const struct sockaddr_un *name)
{
    struct stat before;
    struct stat after;
    if (lstat(name->sun_path, &before) != 0 || !S_ISSOCK(before.st_mode) || !is_refused(name)) {
        return false;
    }
    struct socket_file file = {.device = before.st_dev, .inode = before.st_ino};
    return lstat(name->sun_path, &after) == 0 && is_file(&after, &file) && unlink(name->sun_path) == 0;
}

/* ---- making one ---- */

/* bind(2) gives the file the mode 0777 less the umask. */
static int bind_with_mode(int fd, const struct sockaddr_un *name, uint32_t mode)
{
    mode_t before = umask(0777 & ~mode);
    int bound = bind(fd, (const struct sockaddr *)name, sizeof *name);
    int number = errno;
    umask(before);
    errno = number;
    return bound;
}

int socket_file_bind(int fd, const struct sockaddr_un *name, const struct socket_file_rights *rights,
                     struct socket_file *file)
{
    struct stat is;
    int bound = bind_with_mode(fd, name, rights->mode);
    if (bound != 0 && errno == EADDRINUSE) {
        if (!remove_stale(name)) {
            errno = EADDRINUSE;
            return -1;
        }
        log_info("removed %s, left by a process that is gone", name->sun_path);
        bound = bind_with_mode(fd, name, rights->mode);
    }
    if (bound != 0 || lstat(name->sun_path, &is) != 0) {
        return -1;
    }
    *file = (struct socket_file){.device = is.st_dev, .inode = is.st_ino};
    /* A default ACL of the directory sets the umask aside. */
    if (socket_file_permit(name->sun_path, file, rights) != 0) {
        int number = errno;
        socket_file_remove(name->sun_path, file);
        errno = number;
        return -1;
    }
    return 0;
}

/* A handle on the file itself, so that nothing put in its place meanwhile is changed. -1 with errno. */
static int open_own(const char *path, const struct socket_file *file)
{
    struct stat is;
    int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0 && (fstat(fd, &is) != 0 || !is_file(&is, file))) {
        close(fd);
        fd = -1;
        errno = ESTALE;
    }
    return fd;
}

int socket_file_permit(const char *path, const struct socket_file *file, const struct socket_file_rights *rights)
{
    char handle[64];
    int fd = open_own(path, file);
    if (fd < 0) {
        return -1;
    }
    snprintf(handle, sizeof handle, "/proc/self/fd/%d", fd);
    /* The mode first: who has given the file away may not change it any more, unless he has root's rights. */
    bool done = chmod(handle, rights->mode) == 0 &&
                ((rights->owner == SOCKET_FILE_AS_IT_IS && rights->group == SOCKET_FILE_AS_IT_IS) ||
                 fchownat(fd, "", (uid_t)rights->owner, (gid_t)rights->group, AT_EMPTY_PATH) == 0);
    int number = errno;
    close(fd);
    errno = number;
    return done ? 0 : -1;
}

void socket_file_remove(const char *path, const struct socket_file *file)
{
    struct stat is;
    if (file->inode != 0 && lstat(path, &is) == 0 && is_file(&is, file)) {
        unlink(path);
    }
}

bool socket_file_is_other(const char *path)
{
    struct stat is;
    return lstat(path, &is) == 0 && !S_ISSOCK(is.st_mode);
}
