/* control_packet.c — see control_packet.h. */
#include "supervisor/control_packet.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

int control_socket_name(const char *run_dir, struct sockaddr_un *name, int *directory_fd)
{
    *directory_fd = -1;
    memset(name, 0, sizeof *name);
    name->sun_family = AF_UNIX;
    int length = snprintf(name->sun_path, sizeof name->sun_path, "%s/control.sock", run_dir);
    if (length > 0 && (size_t)length < sizeof name->sun_path) {
        return 0;
    }
    *directory_fd = open(run_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (*directory_fd < 0) {
        return -1;
    }
    snprintf(name->sun_path, sizeof name->sun_path, "/proc/self/fd/%d/control.sock", *directory_fd);
    return 0;
}
