/* file_open.c — see file_open.h. The kernel keeps us below the root (RESOLVE_BENEATH): checking names first and opening
 * them afterwards would leave a gap between the two. */
#include "worker/file_open.h"

#include "supervisor/inherit/log.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The kernel answers EAGAIN if a rename went on while it followed a ".." in a link; that is not the file's fault. */
enum { OPEN_TRIES = 16 };

static int open_beneath(int root, const char *path, uint64_t flags)
{
    struct open_how how = {.flags = flags, .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
    long fd = -1;
    for (int i = 0; i < OPEN_TRIES; i++) {
        fd = syscall(SYS_openat2, root, path[0] ? path : ".", &how, sizeof how);
        if (fd >= 0 || (errno != EAGAIN && errno != EINTR)) {
            break;
        }
    }
    return (int)fd;
}

static enum file_kind kind_from_errno(int error, const char *path)
{
    switch (error) {
    case ENOENT:
    case ENOTDIR:
    case ENAMETOOLONG: /* a segment is too long for this file system: no such file can be there */
    case ELOOP:
    case EXDEV:
    case EINVAL: /* a file system that cannot have such a name */
        return FILE_ABSENT;
    case EACCES:
    case EPERM:
    case ENXIO: /* a socket, or a device without a driver */
    case ENODEV:
        return FILE_FORBIDDEN;
    case EMFILE:
    case ENFILE:
    case ENOMEM:
        return FILE_NO_DESCRIPTORS;
    default:
        log_warn("opening %s: %s", path, strerror(error));
        return FILE_TROUBLE;
    }
}

static enum file_kind kind_from_mode(mode_t mode)
{
    return S_ISREG(mode) ? FILE_REGULAR : S_ISDIR(mode) ? FILE_DIRECTORY : FILE_FORBIDDEN;
}

enum file_kind file_look(int root, const char *path, struct stat *facts)
{
    int fd = open_beneath(root, path, O_PATH | O_CLOEXEC);
    if (fd < 0) {
        return kind_from_errno(errno, path);
    }
    int error = fstat(fd, facts) != 0 ? errno : 0;
    close(fd);
    return error != 0 ? kind_from_errno(error, path) : kind_from_mode(facts->st_mode);
}

enum file_kind file_open(int root, const char *path, int *fd, struct stat *facts)
{
    *fd = -1;
    int opened = open_beneath(root, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
    if (opened < 0 && errno == EACCES) {
        /* A directory that may be passed through but not read is a directory still. */
        return file_look(root, path, facts) == FILE_DIRECTORY ? FILE_DIRECTORY : FILE_FORBIDDEN;
    }
    if (opened < 0) {
        return kind_from_errno(errno, path);
    }
    enum file_kind kind = fstat(opened, facts) ? kind_from_errno(errno, path) : kind_from_mode(facts->st_mode);
    if (kind == FILE_REGULAR) {
        *fd = opened;
    } else {
        close(opened);
    }
    return kind;
}

bool file_glance(int root, const char *path, struct stat *facts)
{
    return fstatat(root, path, facts, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) == 0;
}

int directory_open(int root, const char *path, enum file_kind *kind)
{
    int fd = open_beneath(root, path, O_RDONLY | O_DIRECTORY | O_NONBLOCK | O_CLOEXEC);
    *kind = fd >= 0 ? FILE_DIRECTORY : kind_from_errno(errno, path);
    return fd;
}

bool file_open_works(int root)
{
    int fd = open_beneath(root, "", O_PATH | O_CLOEXEC);
    if (fd >= 0) {
        close(fd);
    }
    return fd >= 0;
}
