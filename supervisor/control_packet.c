/* control_packet.c — see control_packet.h. */
#include "supervisor/control_packet.h"

#include "supervisor/socket_file.h"

int control_socket_name(const char *run_dir, struct sockaddr_un *name, int *directory_fd)
{
    return socket_file_name(run_dir, "control.sock", name, directory_fd);
}
