/* ports.c — see ports.h. */
#include "supervisor/ports.h"

#include "supervisor/inherit/address.h"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <linux/unix_diag.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

enum {
    STATE_TIME_WAIT = 6, /* include/net/tcp_states.h */
    STATE_LISTEN = 10,
    COUNT_EVERY_MS = 1000,
    COUNT_MOST_US = 50000, /* a walk takes 1 ms where hardly any sockets are, and 15 where there are 130,000 */
    ANSWER_MOST_MS = 100,  /* the kernel answers at once */
    ANSWER_BYTES = 32 * 1024,
};

/* ---- netlink ---- */

/* A question's header and the struct of BYTES behind it, in a buffer of its own. */
struct question {
    struct nlmsghdr *header;
    char buffer[1024]; /* behind a pointer, for it must lie as a header does */
};

static void *question_begin(struct question *question, uint16_t flags, size_t bytes)
{
    memset(question, 0, sizeof *question);
    question->header = mnl_nlmsg_put_header(question->buffer);
    question->header->nlmsg_type = SOCK_DIAG_BY_FAMILY;
    question->header->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
    question->header->nlmsg_seq = 1;
    return mnl_nlmsg_put_extra_header(question->header, bytes);
}

static struct mnl_socket *ask(const struct question *question)
{
    struct timeval patience = {.tv_usec = ANSWER_MOST_MS * 1000};
    struct mnl_socket *diag = mnl_socket_open2(NETLINK_SOCK_DIAG, SOCK_CLOEXEC);
    if (diag == NULL) {
        return NULL;
    }
    setsockopt(mnl_socket_get_fd(diag), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (mnl_socket_bind(diag, 0, MNL_SOCKET_AUTOPID) < 0 ||
        mnl_socket_sendto(diag, question->header, question->header->nlmsg_len) < 0) {
        mnl_socket_close(diag);
        return NULL;
    }
    return diag;
}

/* Processor time of this thread: what others do on a busy machine is not what we spend. */
static uint64_t spent_us(void)
{
    struct timespec spent;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &spent);
    return (uint64_t)spent.tv_sec * 1000000 + (uint64_t)spent.tv_nsec / 1000;
}

/* Give each message of the answer to VISIT, at least the first of its packets, until as much time was spent as UNTIL_US
 * says. True if that was all of it. */
static bool hear(struct mnl_socket *diag, mnl_cb_t visit, void *data, uint64_t until_us)
{
    char answer[ANSWER_BYTES];
    int more;
    do {
        ssize_t got = mnl_socket_recvfrom(diag, answer, sizeof answer);
        more = got > 0 ? mnl_cb_run(answer, (size_t)got, 1, mnl_socket_get_portid(diag), visit, data) : MNL_CB_ERROR;
    } while (more == MNL_CB_OK && spent_us() <= until_us);
    return more == MNL_CB_STOP;
}

/* ---- accept queues ---- */

static void look_at_tcp(struct port *port, int fd)
{
    struct tcp_info info = {0};
    uint32_t memory[SK_MEMINFO_VARS] = {0};
    socklen_t info_bytes = sizeof info, memory_bytes = sizeof memory;
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &info_bytes) == 0 && info.tcpi_state == STATE_LISTEN) {
        port->waiting = info.tcpi_unacked; /* so the kernel tells it of a listener: net/ipv4/tcp.c, tcp_get_info() */
        port->waiting_limit = info.tcpi_sacked;
    }
    if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, memory, &memory_bytes) == 0 &&
        memory_bytes > SK_MEMINFO_DROPS * sizeof memory[0]) {
        port->overflowed = memory[SK_MEMINFO_DROPS];
    }
}

static int take_queue(const struct nlattr *attribute, void *data)
{
    struct port *port = data;
    if (mnl_attr_get_type(attribute) == UNIX_DIAG_RQLEN &&
        mnl_attr_get_payload_len(attribute) >= sizeof(struct unix_diag_rqlen)) {
        const struct unix_diag_rqlen *queue = mnl_attr_get_payload(attribute);
        port->waiting = queue->udiag_rqueue;
        port->waiting_limit = queue->udiag_wqueue;
    }
    return MNL_CB_OK;
}

static int take_socket(const struct nlmsghdr *header, void *data)
{
    mnl_attr_parse(header, sizeof(struct unix_diag_msg), take_queue, data);
    return MNL_CB_STOP;
}

static void look_at_unix(struct port *port, int fd)
{
    struct stat facts;
    struct question question;
    if (fstat(fd, &facts) != 0) {
        return;
    }
    struct unix_diag_req *wanted = question_begin(&question, 0, sizeof *wanted);
    *wanted = (struct unix_diag_req){.sdiag_family = AF_UNIX,
                                     .udiag_states = ~0U,
                                     .udiag_ino = (uint32_t)facts.st_ino,
                                     .udiag_show = UDIAG_SHOW_RQLEN,
                                     .udiag_cookie = {~0U, ~0U}};
    struct mnl_socket *diag = ask(&question);
    if (diag != NULL) {
        hear(diag, take_socket, port, 0);
        mnl_socket_close(diag);
    }
}

static bool is_unix(const struct listener *listener)
{
    return strncmp(listener->address, "unix:", 5) == 0;
}

static void look_at_queues(struct ports *ports, const struct listeners *listeners)
{
    for (size_t i = 0; i < listeners->count; i++) {
        struct port *port = &ports->all[i];
        port->waiting = port->waiting_limit = port->overflowed = -1;
        if (is_unix(&listeners->all[i])) {
            look_at_unix(port, listeners->all[i].fd);
        } else {
            look_at_tcp(port, listeners->all[i].fd);
        }
    }
}

/* ---- TIME_WAIT ---- */

/* Where connections to one port are counted: at the listeners of that port. */
struct count {
    struct ports *ports;
    struct address addresses[CONTRACT_LISTENERS_MAX]; /* length 0: not of TCP */
    size_t addresses_count;
};

static uint16_t port_of(const struct address *address)
{
    return address->storage.ss_family == AF_INET6 ? ((const struct sockaddr_in6 *)&address->storage)->sin6_port
                                                  : ((const struct sockaddr_in *)&address->storage)->sin_port;
}

/* True if connections to the IP of a message may have come by ADDRESS: its own, or it is the wildcard. */
static bool takes(const struct address *address, const struct inet_diag_msg *message)
{
    static const struct in6_addr any;
    bool is_v6 = address->storage.ss_family == AF_INET6;
    const void *ip = is_v6 ? (const void *)&((const struct sockaddr_in6 *)&address->storage)->sin6_addr
                           : (const void *)&((const struct sockaddr_in *)&address->storage)->sin_addr;
    size_t bytes = is_v6 ? sizeof(struct in6_addr) : sizeof(struct in_addr);
    return message->idiag_family == address->storage.ss_family && message->id.idiag_sport == port_of(address) &&
           (memcmp(ip, &any, bytes) == 0 || memcmp(ip, message->id.idiag_src, bytes) == 0);
}

static int count_one(const struct nlmsghdr *header, void *data)
{
    struct count *count = data;
    if (mnl_nlmsg_get_payload_len(header) < sizeof(struct inet_diag_msg)) {
        return MNL_CB_OK;
    }
    const struct inet_diag_msg *message = mnl_nlmsg_get_payload(header);
    for (size_t i = 0; message->idiag_state == STATE_TIME_WAIT && i < count->addresses_count; i++) {
        if (count->addresses[i].length != 0 && takes(&count->addresses[i], message)) {
            count->ports->all[i].time_wait++;
            break;
        }
    }
    return MNL_CB_OK;
}

/* True if one before number I has the same family and port. */
static bool is_named(const struct count *count, size_t i)
{
    for (size_t before = 0; before < i; before++) {
        const struct address *other = &count->addresses[before];
        if (other->length != 0 && other->storage.ss_family == count->addresses[i].storage.ss_family &&
            port_of(other) == port_of(&count->addresses[i])) {
            return true;
        }
    }
    return false;
}

/* The ports of FAMILY that we listen on, in the machine's byte order. Returns how many. */
static size_t ports_of(const struct count *count, int family, uint16_t ports[CONTRACT_LISTENERS_MAX])
{
    size_t found = 0;
    for (size_t i = 0; i < count->addresses_count; i++) {
        const struct address *address = &count->addresses[i];
        if (address->length != 0 && address->storage.ss_family == family && !is_named(count, i)) {
            ports[found++] = ntohs(port_of(address));
        }
    }
    return found;
}

/* For the kernel, which runs it on each socket that it has: is its port one of PORTS? Each test goes on with the next
 * one if it fails, and jumps to the end if not; the last one that fails jumps beyond the end, which means no
 * (linux/inet_diag.h; net/ipv4/inet_diag.c, inet_diag_bc_run()). Returns how many operations there are. */
static size_t filter_write(struct inet_diag_bc_op code[3 * CONTRACT_LISTENERS_MAX], const uint16_t *ports, size_t count)
{
    enum { TEST = 2, JUMP = 1, BYTES = sizeof *code };
    size_t at = 0, end = count * (TEST + JUMP) - JUMP;
    for (size_t i = 0; i < count; i++) {
        code[at] =
            (struct inet_diag_bc_op){.code = INET_DIAG_BC_S_EQ, .yes = TEST * BYTES, .no = (TEST + JUMP) * BYTES};
        code[at + 1] = (struct inet_diag_bc_op){.no = ports[i]};
        at += TEST;
        if (at < end) {
            code[at] = (struct inet_diag_bc_op){
                .code = INET_DIAG_BC_JMP, .yes = JUMP * BYTES, .no = (uint16_t)((end - at) * BYTES)};
            at += JUMP;
        }
    }
    return at;
}

/* All of FAMILY, in one walk over all sockets that there are, of other namespaces, too: that is what takes time. True
 * if none was left out. */
static bool count_family(struct count *count, int family, uint64_t until_us)
{
    uint16_t ports[CONTRACT_LISTENERS_MAX];
    struct inet_diag_bc_op code[3 * CONTRACT_LISTENERS_MAX];
    struct question question;
    size_t found = ports_of(count, family, ports);
    if (found == 0) {
        return true;
    }
    struct inet_diag_req_v2 *wanted = question_begin(&question, NLM_F_DUMP, sizeof *wanted);
    wanted->sdiag_family = (uint8_t)family;
    wanted->sdiag_protocol = IPPROTO_TCP;
    wanted->idiag_states = 1U << STATE_TIME_WAIT;
    mnl_attr_put(question.header, INET_DIAG_REQ_BYTECODE, filter_write(code, ports, found) * sizeof code[0], code);
    struct mnl_socket *diag = ask(&question);
    bool all = diag != NULL && hear(diag, count_one, count, until_us);
    if (diag != NULL) {
        mnl_socket_close(diag);
    }
    return all;
}

static void prepare(struct count *count, const struct listeners *listeners)
{
    char why[ADDRESS_WHY_BYTES];
    count->addresses_count = listeners->count;
    for (size_t i = 0; i < listeners->count; i++) {
        struct address *address = &count->addresses[i];
        bool is_tcp = !is_unix(&listeners->all[i]) && address_parse(listeners->all[i].address, address, why);
        address->length = is_tcp ? address->length : 0;
        count->ports->all[i].time_wait = is_tcp ? 0 : -1;
    }
}

static void count_time_wait(struct ports *ports, const struct listeners *listeners, uint64_t until_us)
{
    struct count count = {.ports = ports};
    prepare(&count, listeners);
    ports->counted_all = true;
    if (ports->net.time_wait != 0) {
        ports->counted_all = count_family(&count, AF_INET, until_us);
        ports->counted_all &= count_family(&count, AF_INET6, until_us);
    }
}

/* ---- both ---- */

static bool are_the_same(const struct listeners *some, const struct listeners *others)
{
    bool same = some->count == others->count;
    for (uint32_t i = 0; same && i < some->count; i++) {
        same = some->all[i].cookie == others->all[i].cookie;
    }
    return same;
}

static bool is_fresh(const struct ports *ports, const struct listeners *listeners, struct instant now)
{
    return ports->counted_ms != 0 && now.ms < ports->counted_ms + COUNT_EVERY_MS &&
           are_the_same(&ports->counted, listeners);
}

void ports_look(struct ports *ports, const struct listeners *listeners, struct instant now)
{
    net_counters_read(&ports->net);
    look_at_queues(ports, listeners);
    if (!is_fresh(ports, listeners, now)) {
        count_time_wait(ports, listeners, spent_us() + COUNT_MOST_US);
        ports->counted_ms = now.ms;
        ports->counted = *listeners;
    }
}
