/* facts.h — what was found out about an address: plain data, from which causes.c draws its conclusions.
 *
 * Every IPv4 address is kept in its IPv6 form (::ffff:1.2.3.4), for sockets of both families stand in each other's way.
 */
#ifndef PERDURE_WHY_FACTS_H
#define PERDURE_WHY_FACTS_H

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
    FACTS_TARGETS_MAX = 2,
    FACTS_NAMESPACES_MAX = 8,
    FACTS_NOT_TRIED = -1, /* in the place of an errno */
};

/* One end of a connection, or what a socket is bound to. */
struct end {
    struct in6_addr host;
    uint16_t port; /* in this machine's byte order */
    uint32_t interface;
};

struct socket_fact {
    struct end local;
    struct end peer;
    int family;       /* AF_INET, AF_INET6 or AF_UNIX: the socket's, not the address's */
    int state;        /* TCP_ESTABLISHED and so on; TCP_CLOSE: bound, neither listening nor connected */
    bool v6only;      /* AF_INET6, listening or bound */
    bool counts_down; /* remaining_ms is when the kernel forgets it */
    uint32_t remaining_ms;
    uint32_t uid;
    uint32_t inode; /* 0: no process has it */
    pid_t found_in; /* the process that was last found to have it: it may do so by several descriptors */
    uint32_t queue; /* listening: how many wait to be accepted, of queue_max */
    uint32_t queue_max;
};

struct process_fact {
    pid_t pid;
    pid_t parent;
    pid_t session;
    bool session_led; /* the leader of its session lives */
    uint32_t uid;
    int64_t age_s;
    char user[40];
    char name[32];
    char parent_name[32]; /* "": it has none that can be seen */
    char command[200];
    char unit[128]; /* systemd's unit; "": none */
    bool user_unit; /* of a user's own systemd */
    char container[80];
};

/* That a process has a socket open. */
struct holding {
    size_t socket; /* both are indexes */
    size_t process;
};

/* What bind(2) and listen(2) answered: 0, an errno, or FACTS_NOT_TRIED. */
struct trial_fact {
    int with;    /* with SO_REUSEADDR */
    int without; /* without it */
    int dual;    /* [::] only: with it, and for IPv4 too */
};

/* An address that is asked about. */
struct target {
    struct end end;
    int family;
    char text[128];
    bool local; /* it is one of this machine's, or a wildcard */
    struct trial_fact trial;
};

/* Another network namespace: it has ports of its own. */
struct namespace_fact {
    pid_t pid; /* one that lives there */
    bool listens;
    char name[32];
    char container[80];
};

struct unix_file {
    bool exists;
    bool is_socket;
    bool is_directory;
    bool answers;        /* somebody listens */
    bool may_connect;    /* if not, who listens in another network namespace cannot be told from nobody */
    int directory_error; /* errno of making a file beside it; 0: could be made */
};

struct machine_fact {
    bool may_privileged;
    int first_unprivileged;    /* net.ipv4.ip_unprivileged_port_start */
    bool reserved;             /* in net.ipv4.ip_local_reserved_ports */
    int range_low, range_high; /* net.ipv4.ip_local_port_range */
    bool nonlocal_bind;
    bool v6only_default; /* net.ipv6.bindv6only */
    bool timestamps;     /* net.ipv4.tcp_timestamps */
};

struct unseen_fact {
    bool root;
    bool processes_hidden; /* /proc does not show other users' processes at all */
    unsigned processes;    /* whose descriptors could not be read */
    unsigned namespaces;   /* processes whose network namespace could not be read */
    int diag_error;        /* errno of NETLINK_SOCK_DIAG; then /proc/net/tcp was read */
    bool truncated;        /* there was no memory for all */
};

struct facts {
    const char *asked; /* as it was written */
    bool is_unix;
    bool tried;
    char path[108]; /* is_unix */
    uint16_t port;
    struct target targets[FACTS_TARGETS_MAX];
    size_t targets_count;
    struct socket_fact *sockets; /* those that listen first: facts_sort() */
    size_t sockets_count, sockets_room;
    struct process_fact *processes;
    size_t processes_count, processes_room;
    struct holding *holdings;
    size_t holdings_count, holdings_room;
    struct namespace_fact namespaces[FACTS_NAMESPACES_MAX];
    size_t namespaces_count; /* of those, the first FACTS_NAMESPACES_MAX are kept */
    struct machine_fact machine;
    struct unix_file file;
    struct unseen_fact unseen;
};

/* Add one. Without memory for it, facts->unseen.truncated is set instead, and NULL returned. */
struct socket_fact *facts_add_socket(struct facts *facts);
struct process_fact *facts_add_process(struct facts *facts);
struct holding *facts_add_holding(struct facts *facts);

/* Once all sockets are there: forget those that are in the way of no target, and put those that listen first. */
void facts_sort(struct facts *facts);

void facts_free(struct facts *facts);

/* True if a socket bound to ONE and one bound to OTHER claim the same address: equal, or one is a wildcard that covers
 * the other; [::] covers IPv4 unless it is for IPv6 only. Ports are compared, too. */
bool facts_overlap(const struct end *one, bool one_v6only, const struct end *other, bool other_v6only);

bool end_is_wildcard(const struct end *end);

/* "LISTEN", "TIME_WAIT", …, as netstat(8) has them; "BOUND" for TCP_CLOSE. */
const char *facts_state_name(int state);

#endif
