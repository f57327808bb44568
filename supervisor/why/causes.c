/* causes.c — see causes.h. */
#include "supervisor/why/causes.h"

#include <errno.h>
#include <string.h>

/* ---- sockets ---- */

/* Bits of the targets that SOCKET stands in the way of; V6ONLY: of [::] for IPv6 alone. */
static unsigned targets_hit(const struct facts *facts, const struct socket_fact *socket, bool v6only)
{
    unsigned hit = 0;
    for (size_t i = 0; i < facts->targets_count; i++) {
        if (facts_overlap(&socket->local, socket->v6only, &facts->targets[i].end, v6only)) {
            hit |= 1U << i;
        }
    }
    return hit;
}

static bool is_ephemeral(const struct facts *facts, uint16_t port)
{
    return port >= facts->machine.range_low && port <= facts->machine.range_high;
}

static bool somebody_listens(const struct facts *facts, const struct socket_fact *connection)
{
    for (size_t i = 0; i < facts->sockets_count && facts->sockets[i].state == TCP_LISTEN; i++) {
        const struct socket_fact *socket = &facts->sockets[i];
        if (facts_overlap(&socket->local, socket->v6only, &connection->local, true)) {
            return true;
        }
    }
    return false;
}

/* The kernel does not say. A client's end is the one with a port that the kernel picked. */
enum direction socket_direction(const struct facts *facts, const struct socket_fact *socket)
{
    if (socket->state == TCP_SYN_SENT) {
        return DIRECTION_OUT;
    }
    if (socket->state == TCP_SYN_RECV || somebody_listens(facts, socket)) {
        return DIRECTION_IN;
    }
    bool here = is_ephemeral(facts, socket->local.port);
    bool there = is_ephemeral(facts, socket->peer.port);
    return here == there ? DIRECTION_UNKNOWN : here ? DIRECTION_OUT : DIRECTION_IN;
}

static enum cause_kind kind_of(const struct facts *facts, const struct socket_fact *socket)
{
    if (socket->state == TCP_LISTEN) {
        return CAUSE_LISTENER;
    }
    if (socket->state == TCP_CLOSE) {
        return CAUSE_BOUND;
    }
    if (socket_direction(facts, socket) == DIRECTION_OUT) {
        return CAUSE_OUTGOING;
    }
    switch (socket->state) {
    case TCP_CLOSE_WAIT:
        return CAUSE_CLOSE_WAIT;
    case TCP_TIME_WAIT:
    case TCP_FIN_WAIT1:
    case TCP_FIN_WAIT2:
    case TCP_CLOSING:
    case TCP_LAST_ACK:
        return CAUSE_LEAVING;
    default:
        return CAUSE_CONNECTIONS;
    }
}

/* Listeners and bound sockets on one address are one cause (SO_REUSEPORT makes several); so are all connections of a
 * kind. */
static bool belongs_together(enum cause_kind kind, const struct socket_fact *one, const struct socket_fact *other)
{
    bool by_address = kind == CAUSE_LISTENER || kind == CAUSE_BOUND;
    return !by_address ||
           (one->family == other->family && memcmp(&one->local.host, &other->local.host, sizeof one->local.host) == 0);
}

bool cause_is_about(const struct facts *facts, const struct cause *cause, size_t index)
{
    const struct socket_fact *socket = &facts->sockets[index];
    const struct socket_fact *first = &facts->sockets[cause->socket];
    if (facts->is_unix) {
        return cause->count > 0 && socket->state == first->state;
    }
    if (cause->kind == CAUSE_CONNECT_FROM) {
        return socket->state == TCP_TIME_WAIT && targets_hit(facts, socket, false) != 0;
    }
    return targets_hit(facts, socket, false) != 0 && kind_of(facts, socket) == cause->kind &&
           belongs_together(cause->kind, first, socket);
}

const struct target *cause_target(const struct facts *facts, const struct cause *cause)
{
    return &facts->targets[cause->targets == 2 ? 1 : 0];
}

/* ---- the list ---- */

static struct cause *add(struct causes *causes, enum cause_kind kind, enum cause_blocks blocks, unsigned targets)
{
    struct cause *cause = &causes->all[causes->count];
    causes->count += causes->count < CAUSES_MAX;
    *cause = (struct cause){.kind = kind, .blocks = blocks, .targets = targets};
    return cause;
}

static void count_socket(struct cause *cause, const struct socket_fact *socket, size_t index)
{
    if (cause->count == 0) {
        cause->socket = index;
        cause->first_ms = socket->remaining_ms;
        cause->counts_down = true;
    }
    cause->count++;
    cause->counts_down &= socket->counts_down;
    cause->first_ms = socket->remaining_ms < cause->first_ms ? socket->remaining_ms : cause->first_ms;
    cause->last_ms = socket->remaining_ms > cause->last_ms ? socket->remaining_ms : cause->last_ms;
}

static struct cause *find_cause(const struct facts *facts, struct causes *causes, size_t index)
{
    for (size_t i = 0; i < causes->count; i++) {
        if (cause_is_about(facts, &causes->all[i], index)) {
            return &causes->all[i];
        }
    }
    return NULL;
}

static void add_socket(const struct facts *facts, struct causes *causes, size_t index)
{
    const struct socket_fact *socket = &facts->sockets[index];
    unsigned hit = targets_hit(facts, socket, true);
    unsigned hit_dual = targets_hit(facts, socket, false);
    if (hit_dual == 0) {
        return;
    }
    struct cause *cause = find_cause(facts, causes, index);
    if (cause == NULL) {
        enum cause_kind kind = kind_of(facts, socket);
        bool is_connection = kind != CAUSE_LISTENER && kind != CAUSE_BOUND;
        cause = add(causes, kind, is_connection ? BLOCKS_WITHOUT_REUSE : hit == 0 ? BLOCKS_DUAL : BLOCKS_ALWAYS, 0);
    }
    cause->targets |= hit != 0 ? hit : hit_dual;
    count_socket(cause, socket, index);
}

/* Whoever would connect from this port: nobody, where somebody listens on it. */
static void add_connect_from(const struct facts *facts, struct causes *causes)
{
    struct cause from = {.kind = CAUSE_CONNECT_FROM};
    for (size_t i = 0; i < facts->sockets_count; i++) {
        if (cause_is_about(facts, &from, i)) {
            count_socket(&from, &facts->sockets[i], i);
        }
    }
    if (from.count > 0) {
        *add(causes, CAUSE_CONNECT_FROM, BLOCKS_NEVER, 0) = from;
    }
}

static void add_sockets(const struct facts *facts, struct causes *causes)
{
    for (size_t i = 0; i < facts->sockets_count; i++) {
        add_socket(facts, causes, i);
    }
    if (facts->sockets_count > 0 && facts->sockets[0].state != TCP_LISTEN) {
        add_connect_from(facts, causes);
    }
}

/* ---- whose fault it is ---- */

static bool is_blocked(const struct causes *causes, size_t target, enum cause_blocks blocks)
{
    for (size_t i = 0; i < causes->count; i++) {
        if (causes->all[i].blocks == blocks && (causes->all[i].targets & 1U << target) != 0) {
            return true;
        }
    }
    return false;
}

/* Sockets of KIND, which only hinder who does not set SO_REUSEADDR, hinder more where their own does not have it: as
 * much as BLOCKS says. Returns whether there were any. */
static bool blame(struct causes *causes, size_t target, enum cause_kind kind, enum cause_blocks blocks)
{
    bool found = false;
    for (size_t i = 0; i < causes->count; i++) {
        struct cause *cause = &causes->all[i];
        if (cause->kind == kind && (cause->targets & 1U << target) != 0) {
            cause->blocks = cause->blocks > blocks ? cause->blocks : blocks;
            found = true;
        }
    }
    return found;
}

static void blame_all(struct causes *causes, size_t target, enum cause_blocks blocks)
{
    if (!blame(causes, target, CAUSE_OUTGOING, blocks)) {
        blame(causes, target, CAUSE_CLOSE_WAIT, blocks);
        blame(causes, target, CAUSE_CONNECTIONS, blocks);
        blame(causes, target, CAUSE_LEAVING, blocks);
    }
}

/* bind(2) was refused even with SO_REUSEADDR, and nobody listens or is bound: connections are to blame. */
static void blame_connections(const struct facts *facts, struct causes *causes, size_t target)
{
    const struct trial_fact *trial = &facts->targets[target].trial;
    if (!facts->tried) {
        if (!is_blocked(causes, target, BLOCKS_ALWAYS)) {
            blame(causes, target, CAUSE_OUTGOING, BLOCKS_ALWAYS); /* the kernel's own bind sets no SO_REUSEADDR */
        }
    } else if (trial->with == EADDRINUSE && !is_blocked(causes, target, BLOCKS_ALWAYS)) {
        blame_all(causes, target, BLOCKS_ALWAYS);
    } else if (trial->with == 0 && trial->dual == EADDRINUSE && !is_blocked(causes, target, BLOCKS_DUAL)) {
        blame_all(causes, target, BLOCKS_DUAL);
    }
}

/* What was bound with SO_REUSEADDR and does not listen lets others who set it pass. */
static void acquit_bound(const struct facts *facts, struct causes *causes)
{
    for (size_t i = 0; i < causes->count; i++) {
        struct cause *cause = &causes->all[i];
        bool passes = facts->tried && cause->kind == CAUSE_BOUND && cause->blocks == BLOCKS_ALWAYS;
        for (size_t target = 0; target < facts->targets_count; target++) {
            passes &= (cause->targets & 1U << target) == 0 || facts->targets[target].trial.with == 0;
        }
        if (passes) {
            cause->blocks = BLOCKS_WITHOUT_REUSE;
        }
    }
}

/* ---- the machine ---- */

static void add_not_local(const struct facts *facts, struct causes *causes, size_t i)
{
    const struct target *target = &facts->targets[i];
    bool refused = facts->tried ? target->trial.with == EADDRNOTAVAIL : !target->local && !facts->machine.nonlocal_bind;
    if (facts->tried && target->trial.with == EAFNOSUPPORT) {
        add(causes, CAUSE_NO_FAMILY, BLOCKS_ALWAYS, 1U << i)->number = EAFNOSUPPORT;
    } else if (refused) {
        add(causes, CAUSE_NOT_LOCAL, BLOCKS_ALWAYS, 1U << i)->number = EADDRNOTAVAIL;
    }
}

static bool anybody_is_blocked(const struct causes *causes)
{
    for (size_t i = 0; i < causes->count; i++) {
        if (causes->all[i].blocks == BLOCKS_ALWAYS) {
            return true;
        }
    }
    return false;
}

static void add_privileged(const struct facts *facts, struct causes *causes)
{
    const struct machine_fact *machine = &facts->machine;
    unsigned refused = 0;
    for (size_t i = 0; i < facts->targets_count; i++) {
        int number = facts->targets[i].trial.with;
        bool is_refused = facts->tried ? number == EACCES || number == EPERM : !machine->may_privileged;
        refused |= is_refused ? 1U << i : 0;
    }
    if (facts->port < machine->first_unprivileged && (refused != 0 || !anybody_is_blocked(causes))) {
        add(causes, CAUSE_PRIVILEGED, refused != 0 ? BLOCKS_ALWAYS : BLOCKS_NEVER, refused)->number = EACCES;
    }
}

/* What may happen some day is of no interest while something does. */
static void add_ports(const struct facts *facts, struct causes *causes)
{
    if (facts->machine.reserved) {
        add(causes, CAUSE_RESERVED, BLOCKS_NEVER, 0);
    } else if (is_ephemeral(facts, facts->port) && !anybody_is_blocked(causes)) {
        add(causes, CAUSE_EPHEMERAL, BLOCKS_NEVER, 0);
    }
}

static void add_namespaces(const struct facts *facts, struct causes *causes)
{
    for (size_t i = 0; i < facts->namespaces_count && i < FACTS_NAMESPACES_MAX; i++) {
        if (facts->namespaces[i].listens) {
            add(causes, CAUSE_OTHER_NAMESPACE, BLOCKS_NEVER, 0);
            return;
        }
    }
}

/* ---- what is left ---- */

static void add_unknown(const struct facts *facts, struct causes *causes)
{
    for (size_t i = 0; i < facts->targets_count; i++) {
        int number = facts->targets[i].trial.with;
        if (facts->tried && number > 0 && !is_blocked(causes, i, BLOCKS_ALWAYS)) {
            add(causes, CAUSE_UNKNOWN, BLOCKS_ALWAYS, 1U << i)->number = number;
        }
    }
}

static bool has_holder(const struct facts *facts, size_t socket)
{
    for (size_t i = 0; i < facts->holdings_count; i++) {
        if (facts->holdings[i].socket == socket) {
            return true;
        }
    }
    return false;
}

/* Something that matters was found, and nobody who has it; or nothing was found, and it may be elsewhere. */
static void add_unseen(const struct facts *facts, struct causes *causes)
{
    bool elsewhere = !facts->unseen.root && facts->unseen.namespaces > 0 && facts->sockets_count == 0;
    bool missing = facts->unseen.diag_error != 0 || elsewhere;
    for (size_t i = 0; i < causes->count; i++) {
        const struct cause *cause = &causes->all[i];
        missing |= cause->kind == CAUSE_UNKNOWN && cause->number == EADDRINUSE;
        if (cause->count > 0 && cause->kind != CAUSE_CONNECT_FROM) {
            missing |= facts->sockets[cause->socket].inode != 0 && !has_holder(facts, cause->socket);
        }
    }
    if (missing) {
        add(causes, CAUSE_UNSEEN, BLOCKS_NEVER, 0);
    }
}

/* Those that block most come first; those that block alike, in the order of enum cause_kind. Stable. */
static void sort(struct causes *causes)
{
    for (size_t i = 1; i < causes->count; i++) {
        struct cause moved = causes->all[i];
        size_t at = i;
        while (at > 0 && (causes->all[at - 1].blocks < moved.blocks ||
                          (causes->all[at - 1].blocks == moved.blocks && causes->all[at - 1].kind > moved.kind))) {
            causes->all[at] = causes->all[at - 1];
            at--;
        }
        causes->all[at] = moved;
    }
}

/* ---- verdicts ---- */

/* The errno that the causes of TARGET amount to. */
static int number_of(const struct causes *causes, size_t target)
{
    for (size_t i = 0; i < causes->count; i++) {
        const struct cause *cause = &causes->all[i];
        if (cause->blocks == BLOCKS_ALWAYS && (cause->targets & 1U << target) != 0) {
            return cause->number != 0 ? cause->number : EADDRINUSE;
        }
    }
    return 0;
}

static bool asks_for_all(const struct facts *facts)
{
    return facts->targets_count > 1;
}

static void judge(const struct facts *facts, struct causes *causes, size_t i)
{
    const struct trial_fact *trial = &facts->targets[i].trial;
    bool tried = facts->tried && trial->with != FACTS_NOT_TRIED;
    int number = tried ? trial->with : number_of(causes, i);
    bool plain_refused = tried ? trial->without > 0 : is_blocked(causes, i, BLOCKS_WITHOUT_REUSE);
    bool dual_refused = tried ? trial->dual > 0 : is_blocked(causes, i, BLOCKS_DUAL);
    bool absent = asks_for_all(facts) && number == EAFNOSUPPORT;
    causes->numbers[i] = number;
    if (absent) {
        causes->verdicts[i] = VERDICT_ABSENT;
    } else if (number != 0) {
        causes->verdicts[i] = VERDICT_TAKEN;
    } else if (dual_refused && !asks_for_all(facts) && !facts->machine.v6only_default) {
        causes->verdicts[i] = VERDICT_DUAL;
    } else {
        causes->verdicts[i] = plain_refused ? VERDICT_REUSE : VERDICT_FREE;
    }
}

bool causes_let_pass(const struct causes *causes)
{
    for (size_t i = 0; i < FACTS_TARGETS_MAX; i++) {
        if (causes->verdicts[i] == VERDICT_TAKEN || causes->verdicts[i] == VERDICT_DUAL) {
            return false;
        }
    }
    return true;
}

/* ---- unix sockets ---- */

/* Of the sockets of a file, those in STATE. */
static size_t count_sockets(const struct facts *facts, int state, size_t *first)
{
    size_t count = 0;
    for (size_t i = facts->sockets_count; i-- > 0;) {
        if (facts->sockets[i].state == state) {
            *first = i;
            count++;
        }
    }
    return count;
}

static void find_for_file(const struct facts *facts, struct causes *causes)
{
    const struct unix_file *file = &facts->file;
    size_t first = 0;
    size_t listening = count_sockets(facts, TCP_LISTEN, &first);
    size_t bound = listening == 0 ? count_sockets(facts, TCP_CLOSE, &first) : 0;
    struct cause *cause = NULL;
    if (!file->exists) {
        if (file->directory_error != 0) {
            add(causes, CAUSE_DIRECTORY, BLOCKS_ALWAYS, 1)->number = file->directory_error;
        }
    } else if (!file->is_socket) {
        cause = add(causes, CAUSE_FILE_OTHER, BLOCKS_ALWAYS, 1);
    } else if (listening > 0 || (file->answers && bound == 0)) {
        cause = add(causes, CAUSE_FILE_LISTENER, BLOCKS_ALWAYS, 1);
    } else {
        cause = add(causes, bound > 0 ? CAUSE_FILE_BOUND : CAUSE_FILE_STALE, BLOCKS_ALWAYS, 1);
    }
    if (cause != NULL) {
        cause->socket = first;
        cause->count = listening + bound;
        cause->number = EADDRINUSE;
    }
    if (cause != NULL && cause->kind == CAUSE_FILE_LISTENER && listening == 0) {
        add(causes, CAUSE_UNSEEN, BLOCKS_NEVER, 0);
    }
}

void causes_find(const struct facts *facts, struct causes *causes)
{
    *causes = (struct causes){0};
    if (facts->is_unix) {
        find_for_file(facts, causes);
    } else {
        for (size_t i = 0; i < facts->targets_count; i++) {
            add_not_local(facts, causes, i);
        }
        add_sockets(facts, causes);
        acquit_bound(facts, causes);
        for (size_t i = 0; i < facts->targets_count; i++) {
            blame_connections(facts, causes, i);
        }
        add_privileged(facts, causes);
        add_ports(facts, causes);
        add_namespaces(facts, causes);
        add_unknown(facts, causes);
    }
    add_unseen(facts, causes);
    sort(causes);
    for (size_t i = 0; i < facts->targets_count; i++) {
        judge(facts, causes, i);
    }
}

/* ---- names, for programs ---- */

const char *cause_name(enum cause_kind kind)
{
    static const char *const names[] = {
        [CAUSE_NOT_LOCAL] = "address_not_local",
        [CAUSE_NO_FAMILY] = "no_ipv6",
        [CAUSE_PRIVILEGED] = "privileged_port",
        [CAUSE_LISTENER] = "listener",
        [CAUSE_BOUND] = "bound_not_listening",
        [CAUSE_OUTGOING] = "outgoing_connection",
        [CAUSE_CLOSE_WAIT] = "close_wait",
        [CAUSE_CONNECTIONS] = "connections",
        [CAUSE_LEAVING] = "time_wait",
        [CAUSE_UNKNOWN] = "unknown",
        [CAUSE_CONNECT_FROM] = "connect_from",
        [CAUSE_RESERVED] = "reserved_port",
        [CAUSE_EPHEMERAL] = "ephemeral_port",
        [CAUSE_OTHER_NAMESPACE] = "other_namespace",
        [CAUSE_UNSEEN] = "unseen",
        [CAUSE_FILE_LISTENER] = "file_listener",
        [CAUSE_FILE_BOUND] = "file_bound_not_listening",
        [CAUSE_FILE_STALE] = "file_stale",
        [CAUSE_FILE_OTHER] = "file_not_a_socket",
        [CAUSE_DIRECTORY] = "directory",
    };
    return names[kind];
}

const char *cause_blocks_name(enum cause_blocks blocks)
{
    static const char *const names[] = {
        [BLOCKS_NEVER] = "nobody",
        [BLOCKS_WITHOUT_REUSE] = "without_reuseaddr",
        [BLOCKS_DUAL] = "dual_stack",
        [BLOCKS_ALWAYS] = "everybody",
    };
    return names[blocks];
}

const char *verdict_name(enum verdict verdict)
{
    static const char *const names[] = {
        [VERDICT_FREE] = "free",
        [VERDICT_REUSE] = "free_with_reuseaddr",
        [VERDICT_DUAL] = "free_for_ipv6_only",
        [VERDICT_ABSENT] = "no_ipv6",
        [VERDICT_TAKEN] = "taken",
    };
    return names[verdict];
}
