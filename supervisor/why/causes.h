/* causes.h — from facts to causes, most likely first: why an address cannot be listened on, or may not be. No system
 * calls here. */
#ifndef PERDURE_WHY_CAUSES_H
#define PERDURE_WHY_CAUSES_H

#include "supervisor/why/facts.h"

enum { CAUSES_MAX = 32 };

enum cause_kind {
    CAUSE_NOT_LOCAL,       /* the address is not one of this machine's */
    CAUSE_NO_FAMILY,       /* the kernel has no IPv6 */
    CAUSE_PRIVILEGED,      /* a low port needs a right */
    CAUSE_LISTENER,        /* somebody listens */
    CAUSE_BOUND,           /* somebody is bound, and does not listen */
    CAUSE_OUTGOING,        /* a connection to elsewhere has this port as its own */
    CAUSE_CLOSE_WAIT,      /* the peer has closed, the program has not */
    CAUSE_CONNECTIONS,     /* open connections of a server that does not listen any more */
    CAUSE_LEAVING,         /* TIME_WAIT and what leads there: the kernel's own */
    CAUSE_UNKNOWN,         /* refused, and nothing was found */
    CAUSE_CONNECT_FROM,    /* connecting from here to a peer in TIME_WAIT */
    CAUSE_RESERVED,        /* in net.ipv4.ip_local_reserved_ports */
    CAUSE_EPHEMERAL,       /* in net.ipv4.ip_local_port_range: an outgoing connection may take it some day */
    CAUSE_OTHER_NAMESPACE, /* somebody listens on this port in another network namespace */
    CAUSE_UNSEEN,          /* what could not be looked at */
    CAUSE_FILE_LISTENER,   /* unix: somebody listens */
    CAUSE_FILE_BOUND,      /* unix: somebody is bound, and does not listen */
    CAUSE_FILE_STALE,      /* unix: left by a process that is gone */
    CAUSE_FILE_OTHER,      /* unix: it is no socket */
    CAUSE_DIRECTORY,       /* unix: no file can be made there */
};

/* Whom it keeps from listening. */
enum cause_blocks {
    BLOCKS_NEVER,
    BLOCKS_WITHOUT_REUSE, /* who does not set SO_REUSEADDR */
    BLOCKS_DUAL,          /* who wants IPv4 on its IPv6 socket, too */
    BLOCKS_ALWAYS,
};

struct cause {
    enum cause_kind kind;
    enum cause_blocks blocks;
    unsigned targets;  /* a bit for each of facts->targets */
    size_t count;      /* how many sockets */
    size_t socket;     /* the first of them */
    bool counts_down;  /* all of them: they go by themselves */
    uint32_t first_ms; /* the first one goes in */
    uint32_t last_ms;  /* the last one goes in */
    int number;        /* errno, where one is the cause */
};

enum verdict {
    VERDICT_FREE,
    VERDICT_REUSE,  /* free for who sets SO_REUSEADDR */
    VERDICT_DUAL,   /* free for IPv6 alone, not for IPv4 as well */
    VERDICT_ABSENT, /* asked for every address: this machine has no IPv6, so it does not count */
    VERDICT_TAKEN,
};

struct causes {
    size_t count;
    struct cause all[CAUSES_MAX + 1]; /* those that block come first; the last one is not counted: for surplus */
    enum verdict verdicts[FACTS_TARGETS_MAX];
    int numbers[FACTS_TARGETS_MAX]; /* what bind(2) says, or would say; 0: nothing */
};

void causes_find(const struct facts *facts, struct causes *causes);

/* True if FACTS' socket INDEX is one of those that CAUSE is about. */
bool cause_is_about(const struct facts *facts, const struct cause *cause, size_t index);

/* The first of the targets that CAUSE is about. */
const struct target *cause_target(const struct facts *facts, const struct cause *cause);

/* True if a bind(2) on every address asked about would succeed, with SO_REUSEADDR. */
bool causes_let_pass(const struct causes *causes);

/* Where a connection that has the port as its local one comes from. */
enum direction { DIRECTION_UNKNOWN, DIRECTION_IN, DIRECTION_OUT };
enum direction socket_direction(const struct facts *facts, const struct socket_fact *socket);

const char *cause_name(enum cause_kind kind);
const char *cause_blocks_name(enum cause_blocks blocks);
const char *verdict_name(enum verdict verdict);

#endif
