/* control_packet.h — the protocol of the control socket, for control.c and control_call.c:
 *
 *   client -> supervisor   one struct request_packet
 *   supervisor -> client   one or more packets: struct reply_head, then at most PIECE_BYTES of text; the last one says
 * so */
#ifndef PERDURE_CONTROL_PACKET_H
#define PERDURE_CONTROL_PACKET_H

#include <stdint.h>
#include <sys/un.h>

enum {
    PACKET_MAGIC = 0x70726431, /* "prd1": another protocol is another number */
    PIECE_BYTES = 16 * 1024,
};

struct request_packet {
    uint32_t magic;
    uint32_t verb;
    uint32_t flags;
    uint32_t spare;
};
struct reply_head {
    uint32_t magic;
    uint32_t last; /* 1: no more packets follow */
    int32_t exit_code;
    uint32_t spare;
};

/* The name of the socket, of any length: a path too long for sun_path goes by way of a descriptor of its directory,
 * *directory_fd, to be closed after use (-1: none was needed). Returns 0, or -1 with errno. */
int control_socket_name(const char *run_dir, struct sockaddr_un *name, int *directory_fd);

#endif
