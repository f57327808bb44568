/* socket_file.h — the file of an AF_UNIX socket: whose it is, who may connect, and when it may be removed.
 *
 * A file that is not ours is never changed and never removed, but for one: a socket that nobody listens on any more,
 * which is in our way. */
#ifndef PERDURE_SOCKET_FILE_H
#define PERDURE_SOCKET_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/un.h>

enum { SOCKET_FILE_AS_IT_IS = -1 };

/* The name of the socket FILE in DIRECTORY, of any length: a path too long for sun_path goes by way of a descriptor of
 * the directory, *directory_fd, to be closed after use (-1: none was needed). Returns 0, or -1 with errno. */
int socket_file_name(const char *directory, const char *file, struct sockaddr_un *name, int *directory_fd);

/* Which file was made. As long as the socket is open its number cannot be given to another. */
struct socket_file {
    uint64_t device;
    uint64_t inode; /* 0: none */
};

struct socket_file_rights {
    uint32_t mode;
    int32_t owner; /* a uid, or SOCKET_FILE_AS_IT_IS */
    int32_t group;
};

/* Whoever makes, or replaces, a socket in the directory of PATH holds this from bind(2) to listen(2): between the two
 * it looks stale to others. Returns a descriptor to be closed; -1 without harm if the directory cannot be locked. */
int socket_file_guard(const char *path);

/* Bind FD, the file having RIGHTS' mode from its first moment on; a stale socket that is in the way is removed. Returns
 * 0 with *file, or -1 with errno and no file made. */
int socket_file_bind(int fd, const struct sockaddr_un *name, const struct socket_file_rights *rights,
                     struct socket_file *file);

/* Give the file of PATH these rights. Returns 0, or -1 with errno; ESTALE: it is not FILE any more. */
int socket_file_permit(const char *path, const struct socket_file *file, const struct socket_file_rights *rights);

/* Remove it, if it is still FILE. */
void socket_file_remove(const char *path, const struct socket_file *file);

/* True if something that is no socket is at PATH. */
bool socket_file_is_other(const char *path);

#endif
