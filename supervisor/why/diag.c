/* diag.c — see diag.h. */
#include "supervisor/why/diag.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/time.h>

/* A dump is answered by the kernel while we wait; this is for one that is not. */
enum { PATIENCE_S = 2, SEQUENCE = 1, TIMER_TIME_WAIT = 3 };

/* ---- the conversation ---- */

static int receive_all(struct mnl_socket *netlink, mnl_cb_t each, void *data)
{
    char buffer[32768];
    int outcome = MNL_CB_OK;
    while (outcome > MNL_CB_STOP) {
        ssize_t bytes = mnl_socket_recvfrom(netlink, buffer, sizeof buffer);
        if (bytes < 0) {
            return errno;
        }
        outcome = mnl_cb_run(buffer, (size_t)bytes, SEQUENCE, mnl_socket_get_portid(netlink), each, data);
    }
    return outcome < 0 ? errno : 0;
}

/* Send REQUEST, of BYTES bytes, and call EACH for every socket of the answer. */
static int dump(const void *request, size_t bytes, mnl_cb_t each, void *data)
{
    char buffer[512];
    struct timeval patience = {.tv_sec = PATIENCE_S};
    struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
    message->nlmsg_type = SOCK_DIAG_BY_FAMILY;
    message->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    message->nlmsg_seq = SEQUENCE;
    memcpy(mnl_nlmsg_put_extra_header(message, bytes), request, bytes);
    struct mnl_socket *netlink = mnl_socket_open2(NETLINK_SOCK_DIAG, SOCK_CLOEXEC);
    if (netlink == NULL) {
        return errno;
    }
    setsockopt(mnl_socket_get_fd(netlink), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    int number = mnl_socket_bind(netlink, 0, MNL_SOCKET_AUTOPID) == 0 &&
                         mnl_socket_sendto(netlink, message, message->nlmsg_len) >= 0
                     ? receive_all(netlink, each, data)
                     : errno;
    mnl_socket_close(netlink);
    return number;
}

/* ---- TCP ---- */

static void read_end(int family, const __be32 words[4], uint16_t port, uint32_t interface, struct end *end)
{
    end->port = ntohs(port);
    end->interface = interface;
    if (family == AF_INET) {
        end->host.s6_addr16[5] = 0xffff;
        end->host.s6_addr32[3] = words[0];
    } else {
        memcpy(&end->host, words, sizeof end->host);
    }
}

static int is_v6only(const struct nlattr *attribute, void *data)
{
    if (mnl_attr_get_type(attribute) == INET_DIAG_SKV6ONLY && mnl_attr_get_payload_len(attribute) >= 1) {
        *(bool *)data = mnl_attr_get_u8(attribute) != 0;
    }
    return MNL_CB_OK;
}

/* Sockets that are only bound are dumped whatever their port: hence the comparison here. */
static int add_tcp(const struct nlmsghdr *message, void *data)
{
    struct facts *facts = data;
    const struct inet_diag_msg *says = mnl_nlmsg_get_payload(message);
    if (mnl_nlmsg_get_payload_len(message) < sizeof *says || ntohs(says->id.idiag_sport) != facts->port) {
        return MNL_CB_OK;
    }
    struct socket_fact *socket = facts_add_socket(facts);
    if (socket == NULL) {
        return MNL_CB_OK;
    }
    socket->family = says->idiag_family;
    socket->state = says->idiag_state;
    read_end(socket->family, says->id.idiag_src, says->id.idiag_sport, says->id.idiag_if, &socket->local);
    read_end(socket->family, says->id.idiag_dst, says->id.idiag_dport, 0, &socket->peer);
    socket->counts_down = says->idiag_timer == TIMER_TIME_WAIT;
    socket->remaining_ms = socket->counts_down ? says->idiag_expires : 0;
    socket->uid = says->idiag_uid;
    socket->inode = says->idiag_inode;
    socket->queue = says->idiag_rqueue;
    socket->queue_max = says->idiag_wqueue;
    mnl_attr_parse(message, sizeof *says, is_v6only, &socket->v6only);
    return MNL_CB_OK;
}

int diag_tcp(struct facts *facts, unsigned states)
{
    static const uint8_t families[] = {AF_INET, AF_INET6};
    for (size_t i = 0; i < sizeof families; i++) {
        struct inet_diag_req_v2 request = {
            .sdiag_family = families[i],
            .sdiag_protocol = IPPROTO_TCP,
            .idiag_states = states,
            .id = {.idiag_sport = htons(facts->port), .idiag_cookie = {INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE}},
        };
        int number = dump(&request, sizeof request, add_tcp, facts);
        if (number != 0 && !(families[i] == AF_INET6 && number == ENOENT)) { /* ENOENT: a kernel without IPv6 */
            return number;
        }
    }
    return 0;
}

/* ---- unix ---- */

struct unix_search {
    struct facts *facts;
    struct stat file;
};

struct unix_attributes {
    struct unix_diag_vfs file;
    const char *name;
    size_t name_bytes;
    struct unix_diag_rqlen queue;
    uint32_t uid;
};

static int read_unix_attribute(const struct nlattr *attribute, void *data)
{
    struct unix_attributes *found = data;
    size_t bytes = mnl_attr_get_payload_len(attribute);
    const void *payload = mnl_attr_get_payload(attribute);
    switch (mnl_attr_get_type(attribute)) {
    case UNIX_DIAG_VFS:
        memcpy(&found->file, payload, bytes < sizeof found->file ? bytes : sizeof found->file);
        break;
    case UNIX_DIAG_NAME:
        found->name = payload;
        found->name_bytes = strnlen(payload, bytes);
        break;
    case UNIX_DIAG_RQLEN:
        memcpy(&found->queue, payload, bytes < sizeof found->queue ? bytes : sizeof found->queue);
        break;
    case UNIX_DIAG_UID:
        memcpy(&found->uid, payload, bytes < sizeof found->uid ? bytes : sizeof found->uid);
        break;
    default:
        break;
    }
    return MNL_CB_OK;
}

/* The file's number and its device, or, on file systems that show another device to us than to the kernel, its name. */
static bool is_of_file(const struct unix_attributes *found, const struct unix_search *search)
{
    const char *path = search->facts->path;
    bool same_name = found->name_bytes == strlen(path) && memcmp(found->name, path, found->name_bytes) == 0;
    bool same_device = found->file.udiag_vfs_dev >> 20 == major(search->file.st_dev) &&
                       (found->file.udiag_vfs_dev & 0xfffff) == minor(search->file.st_dev);
    return found->file.udiag_vfs_ino != 0 && found->file.udiag_vfs_ino == (uint32_t)search->file.st_ino &&
           (same_device || same_name);
}

static int add_unix(const struct nlmsghdr *message, void *data)
{
    struct unix_search *search = data;
    struct unix_attributes found = {.name_bytes = 0};
    const struct unix_diag_msg *says = mnl_nlmsg_get_payload(message);
    if (mnl_nlmsg_get_payload_len(message) < sizeof *says) {
        return MNL_CB_OK;
    }
    mnl_attr_parse(message, sizeof *says, read_unix_attribute, &found);
    struct socket_fact *socket = is_of_file(&found, search) ? facts_add_socket(search->facts) : NULL;
    if (socket != NULL) {
        socket->family = AF_UNIX;
        bool receives = says->udiag_type == SOCK_DGRAM; /* to be bound is all that those need, whatever their state */
        socket->state = receives ? TCP_LISTEN : says->udiag_state;
        socket->inode = says->udiag_ino;
        socket->uid = found.uid;
        socket->queue = socket->state == TCP_LISTEN ? found.queue.udiag_rqueue : 0;
        socket->queue_max = socket->state == TCP_LISTEN ? found.queue.udiag_wqueue : 0;
    }
    return MNL_CB_OK;
}

int diag_unix(struct facts *facts)
{
    struct unix_search search = {.facts = facts};
    struct unix_diag_req request = {
        .sdiag_family = AF_UNIX,
        .udiag_states = DIAG_ALL,
        .udiag_show = UDIAG_SHOW_NAME | UDIAG_SHOW_VFS | UDIAG_SHOW_RQLEN | UDIAG_SHOW_UID,
    };
    if (stat(facts->path, &search.file) != 0) {
        return 0; /* no file: nobody is in the way */
    }
    return dump(&request, sizeof request, add_unix, &search);
}
