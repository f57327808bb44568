/* explain.c — see explain.h. */
#include "supervisor/why/explain.h"

#include "supervisor/why/peers.h"
#include "supervisor/why/words.h"

#include <errno.h>
#include <string.h>

enum { ROOTS_SHOWN = 3, COMMAND_SHOWN = 70, MS_PER_S = 1000 };

/* The moment it is all over, to the full second. */
static const char *until(uint32_t ms, char text[WORDS_BYTES])
{
    return words_duration((ms + MS_PER_S - 1) / MS_PER_S, text);
}

/* ---- who ---- */

/* The name of who is in charge; "a program that cannot be seen" if nobody was found. */
static const char *name_of(const struct facts *facts, const struct holders *holders)
{
    return holders->count > 0 ? facts->processes[holders->all[0]].name : "A program that cannot be seen from here";
}

static void tell_root(FILE *out, const struct process_fact *process)
{
    fputs("\n  ", out);
    words_process(out, process);
    if (process->command[0] != '\0') {
        size_t length = strlen(process->command);
        fprintf(out, ": %.*s%s", COMMAND_SHOWN, process->command, length > COMMAND_SHOWN ? "..." : "");
    }
}

/* Those in charge with all that is known, the others by their pids. */
static void tell_holders(FILE *out, const struct facts *facts, const struct cause *cause, const struct holders *holders)
{
    size_t shown = holders->roots_count < ROOTS_SHOWN ? holders->roots_count : ROOTS_SHOWN;
    for (size_t i = 0; i < shown; i++) {
        tell_root(out, &facts->processes[holders->all[i]]);
    }
    if (holders->roots_count > shown) {
        size_t more = holders->roots_count - shown;
        fprintf(out, "\n  and %zu more: pid%s ", more, words_plural(more));
        words_pids(out, facts, holders, shown, holders->roots_count);
    }
    size_t workers = holders->count - holders->roots_count;
    if (workers > 0) {
        fprintf(out, "\n  %zu process%s that it started ha%s the same socket: pid%s ", workers,
                workers == 1 ? "" : "es", workers == 1 ? "s" : "ve", words_plural(workers));
        words_pids(out, facts, holders, holders->roots_count, holders->count);
    }
    if (holders->count == 0 && cause->count > 0 && facts->sockets[cause->socket].inode != 0) {
        fprintf(out, "\n  the socket belongs to user id %u", facts->sockets[cause->socket].uid);
    }
}

static void tell_orphans(FILE *out, const struct holders *holders, const char *name)
{
    switch (holders->kind) {
    case HOLDERS_NGINX_ORPHANS:
        fputs("Orphans: workers of an nginx whose master process is dead", out);
        break;
    case HOLDERS_PERDURE_ORPHANS:
        fputs("Orphans: workers of a perdure whose supervisor is dead", out);
        break;
    default:
        fprintf(out, "Orphans: processes of %s whose parent is dead", name);
    }
}

/* ---- listening, bound ---- */

static void tell_reach(FILE *out, const struct facts *facts, const struct socket_fact *socket, const char *text)
{
    bool single = !end_is_wildcard(&socket->local);
    const struct target *target = &facts->targets[0];
    if (socket->family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&socket->local.host) && !socket->v6only) {
        fprintf(out, " This socket serves IPv4, too: %s also holds 0.0.0.0:%u.", text, socket->local.port);
    } else if (!single && !end_is_wildcard(&target->end)) {
        fprintf(out, " That means every address of this machine, so %s, too.", target->text);
    } else if (single && end_is_wildcard(&target->end)) {
        fprintf(out, " Who asks for every address (%s) asks for this one, too.", target->text);
    }
}

static void explain_listener(FILE *out, const struct facts *facts, const struct cause *cause)
{
    char text[WORDS_BYTES];
    struct holders holders;
    const struct socket_fact *socket = &facts->sockets[cause->socket];
    holders_find(facts, cause, &holders);
    words_end(&socket->local, text);
    const char *name = name_of(facts, &holders);
    if (holders_are_orphans(&holders)) {
        tell_orphans(out, &holders, name);
        fprintf(out, " listen on %s.", text);
    } else {
        fprintf(out, "%s listens on %s.", name, text);
    }
    if (cause->blocks == BLOCKS_DUAL) {
        fprintf(out, " It is in the way of a socket on %s that is to serve IPv4, too, as most programs make it.",
                facts->targets[0].text);
    } else {
        tell_reach(out, facts, socket, text);
    }
    tell_holders(out, facts, cause, &holders);
    if (cause->count > 1) {
        fprintf(out,
                "\n  %zu sockets share this address: all have set SO_REUSEPORT; only who sets it, too, and is the "
                "same user may join them",
                cause->count);
    }
    if (socket->queue > 0 && socket->queue >= socket->queue_max) {
        fprintf(out, "\n  its queue is full, %u clients wait: it does not accept them", socket->queue);
    }
}

static void explain_bound(FILE *out, const struct facts *facts, const struct cause *cause)
{
    char text[WORDS_BYTES];
    struct holders holders;
    const struct socket_fact *socket = &facts->sockets[cause->socket];
    holders_find(facts, cause, &holders);
    fprintf(out, "%s has taken %s without listening there (bound only), which netstat and ss do not show.",
            name_of(facts, &holders), words_end(&socket->local, text));
    if (cause->blocks == BLOCKS_WITHOUT_REUSE) {
        fputs(" It has set SO_REUSEADDR: others who do may have the address, too, until it listens.", out);
    } else if (!facts->tried) {
        fputs(" If it has set SO_REUSEADDR, others who do may have the address, too, until it listens.", out);
    }
    tell_holders(out, facts, cause, &holders);
}

/* ---- connections ---- */

/* A connection has the mark of the socket it came from, and the kernel tells nobody of it: only trying does. */
static void tell_effect(FILE *out, const struct facts *facts, const struct cause *cause)
{
    switch (cause->blocks) {
    case BLOCKS_ALWAYS:
        fputs(" They are in everybody's way, for the server that had them did not set SO_REUSEADDR when it bound its "
              "socket.",
              out);
        return;
    case BLOCKS_DUAL:
        fprintf(out,
                " They are in the way of a socket on %s that is to serve IPv4, too, as most programs make it, for the "
                "server that had them did not set SO_REUSEADDR.",
                facts->targets[0].text);
        return;
    case BLOCKS_WITHOUT_REUSE:
        fputs(" They are only in the way of a program that does not set SO_REUSEADDR before bind(2)", out);
        fputs(facts->tried ? "." : ", if the server that had them did; if it did not, of everybody.", out);
        return;
    case BLOCKS_NEVER:
        return;
    }
}

static void explain_outgoing(FILE *out, const struct facts *facts, const struct cause *cause)
{
    struct holders holders;
    holders_find(facts, cause, &holders);
    bool owned = facts->sockets[cause->socket].inode != 0;
    fprintf(out,
            "%s connected to elsewhere, and the kernel picked port %u for %zu connection%s of it: it takes any port "
            "from %d to %d (net.ipv4.ip_local_port_range).",
            owned || holders.count > 0 ? name_of(facts, &holders) : "A program that has closed meanwhile", facts->port,
            cause->count, words_plural(cause->count), facts->machine.range_low, facts->machine.range_high);
    fputs("\n  to ", out);
    peers_tell_each(out, facts, cause);
    fputs(": ", out);
    peers_tell_states(out, facts, cause);
    tell_holders(out, facts, cause, &holders);
}

/* Those that no process has: they are in the queue of a listener. */
static size_t count_unaccepted(const struct facts *facts, const struct cause *cause)
{
    size_t count = 0;
    for (size_t i = 0; i < facts->sockets_count; i++) {
        count += facts->sockets[i].inode == 0 && cause_is_about(facts, cause, i);
    }
    return count;
}

static void explain_close_wait(FILE *out, const struct facts *facts, const struct cause *cause)
{
    struct holders holders;
    holders_find(facts, cause, &holders);
    size_t waiting = count_unaccepted(facts, cause);
    size_t forgotten = cause->count - waiting;
    if (forgotten > 0) {
        fprintf(out,
                "%s has not closed %zu connection%s that the other side has closed (CLOSE_WAIT): it forgot to, unless "
                "it is about to. Such "
                "connections stay until it closes them, or ends.",
                name_of(facts, &holders), forgotten, words_plural(forgotten));
    }
    if (waiting > 0) {
        fprintf(out, "%s%zu client%s went away before anybody accepted the connection (CLOSE_WAIT).",
                forgotten > 0 ? " " : "", waiting, words_plural(waiting));
    }
    tell_effect(out, facts, cause);
    fputs("\n  ", out);
    peers_tell_hosts(out, facts, cause);
    tell_holders(out, facts, cause, &holders);
}

static void explain_connections(FILE *out, const struct facts *facts, const struct cause *cause)
{
    struct holders holders;
    holders_find(facts, cause, &holders);
    bool served = facts->sockets_count > 0 && facts->sockets[0].state == TCP_LISTEN;
    if (served) {
        fprintf(out, "%zu connection%s of its clients %s open.", cause->count, words_plural(cause->count),
                cause->count == 1 ? "is" : "are");
        tell_effect(out, facts, cause);
        return;
    }
    fprintf(out, "%zu connection%s on this port %s still open, although nobody listens there any more: ", cause->count,
            words_plural(cause->count), cause->count == 1 ? "is" : "are");
    peers_tell_states(out, facts, cause);
    fputs(".", out);
    tell_effect(out, facts, cause);
    fputs("\n  ", out);
    peers_tell_hosts(out, facts, cause);
    if (holders_are_orphans(&holders)) {
        fputs("\n  ", out);
        tell_orphans(out, &holders, name_of(facts, &holders));
        fputs(" have them", out);
    }
    tell_holders(out, facts, cause, &holders);
}

static void explain_leaving(FILE *out, const struct facts *facts, const struct cause *cause)
{
    char text[WORDS_BYTES];
    struct holders holders;
    holders_find(facts, cause, &holders);
    fprintf(out, "%zu closed connection%s %s kept by the kernel, for packets that may come late: ", cause->count,
            words_plural(cause->count), cause->count == 1 ? "is" : "are");
    peers_tell_states(out, facts, cause);
    fputs(holders.count > 0 ? "." : ". No program has them, and none can end them.", out);
    tell_effect(out, facts, cause);
    fputs("\n  ", out);
    peers_tell_hosts(out, facts, cause);
    bool all_at_once = cause->last_ms - cause->first_ms < MS_PER_S;
    if (cause->counts_down && cause->count > 1 && !all_at_once) {
        fprintf(out, "; the first goes in %s,", until(cause->first_ms, text));
        fprintf(out, " the last in %s", until(cause->last_ms, text));
    } else if (cause->counts_down) {
        fprintf(out, "; %s in %s", cause->count == 1 ? "it goes" : "all go", until(cause->last_ms, text));
    } else {
        fputs("; those not in TIME_WAIT go when the other side answers, or after some minutes without", out);
    }
    tell_holders(out, facts, cause, &holders);
}

/* With timestamps on both sides the kernel can tell late packets from new ones, and lets the new connection pass. */
static void explain_connect_from(FILE *out, const struct facts *facts, const struct cause *cause)
{
    fprintf(out, "Connecting from port %u to one of these peers fails until then with ", facts->port);
    words_errno(out, EADDRNOTAVAIL);
    fprintf(out, "%s; SO_REUSEADDR does not help:\n  ",
            facts->machine.timestamps ? ", if that peer does not use TCP timestamps"
                                      : ", for TCP timestamps are off here (net.ipv4.tcp_timestamps)");
    peers_tell_each(out, facts, cause);
}

/* ---- the machine ---- */

static void explain_not_local(FILE *out, const struct facts *facts, const struct cause *cause)
{
    const struct target *target = cause_target(facts, cause);
    if (target->local) {
        fprintf(out,
                "%s is an address of this machine, but not usable yet: \"ip -6 address\" shows it as tentative or "
                "dadfailed.",
                target->text);
    } else {
        fprintf(out, "%s is not an address of this machine: see \"ip address\".", target->text);
    }
}

static void explain_privileged(FILE *out, const struct facts *facts, const struct cause *cause)
{
    fprintf(out,
            "Ports below %d (net.ipv4.ip_unprivileged_port_start) need root, or the capability "
            "CAP_NET_BIND_SERVICE%s.",
            facts->machine.first_unprivileged,
            cause->blocks == BLOCKS_ALWAYS ? "; who asks now has neither" : "; who asks now has it, others may not");
}

static void explain_unknown(FILE *out, const struct cause *cause)
{
    fputs("bind(2) is refused with ", out);
    words_errno(out, cause->number);
    fputs(cause->number == EADDRINUSE ? ", and no socket can be seen that is in the way. It may have gone this moment."
          : cause->number == EACCES || cause->number == EPERM
              ? ": a security policy forbids it (SELinux, AppArmor, Landlock, a BPF program of the cgroup)."
              : ".",
          out);
}

static void explain_other_namespace(FILE *out, const struct facts *facts)
{
    fputs("In another network namespace somebody listens on this port. It has ports of its own, so that is in nobody's "
          "way here, nor to be reached here:",
          out);
    for (size_t i = 0; i < facts->namespaces_count && i < FACTS_NAMESPACES_MAX; i++) {
        const struct namespace_fact *found = &facts->namespaces[i];
        if (found->listens) {
            fprintf(out, "\n  that of pid %d (%s)%s%s: nsenter -t %d -n perdure why %u", (int)found->pid, found->name,
                    found->container[0] != '\0' ? ", container " : "", found->container, (int)found->pid, facts->port);
        }
    }
}

static void explain_unseen(FILE *out, const struct facts *facts)
{
    const struct unseen_fact *unseen = &facts->unseen;
    if (unseen->diag_error != 0) {
        fprintf(out,
                "The kernel does not tell its sockets (NETLINK_SOCK_DIAG: %s); this is from /proc/net/tcp, where those "
                "that are only bound are missing.",
                strerror(unseen->diag_error));
    } else if (unseen->processes_hidden) {
        fputs("Not seen: other users' processes, which /proc hides here (hidepid, or ProtectProc of a unit). Run this "
              "as root, from a shell.",
              out);
    } else if (facts->is_unix && facts->sockets_count == 0) {
        fputs("Not seen: who listens. It is somebody in another network namespace (a container that has this file, "
              "too).",
              out);
    } else if (facts->sockets_count == 0 && facts->targets[0].trial.with != EADDRINUSE) {
        fputs("Not seen: other network namespaces (containers), which have ports of their own. Run this as root to see "
              "who listens there.",
              out);
    } else if (!unseen->root) {
        fprintf(out, "Not seen: what %u process%s of other users ha%s open. Run this as root to see it.",
                unseen->processes, unseen->processes == 1 ? "" : "es", unseen->processes == 1 ? "s" : "ve");
    } else {
        fputs(
            "Not seen: who has the socket. No process here does: it is in a container that shares this network, or the "
            "kernel itself has it (NFS, for one). Run this on the host, outside of any container.",
            out);
    }
}

/* ---- unix sockets ---- */

static void explain_file_listener(FILE *out, const struct facts *facts, const struct cause *cause)
{
    struct holders holders;
    holders_find(facts, cause, &holders);
    fprintf(out, "%s listens on %s.", name_of(facts, &holders), facts->targets[0].text);
    tell_holders(out, facts, cause, &holders);
}

static void explain_file_bound(FILE *out, const struct facts *facts, const struct cause *cause)
{
    struct holders holders;
    holders_find(facts, cause, &holders);
    fprintf(out, "%s has bound %s and does not listen on it.", name_of(facts, &holders), facts->path);
    tell_holders(out, facts, cause, &holders);
}

static void explain_file_stale(FILE *out, const struct facts *facts)
{
    fprintf(out, "%s was left by a process that is gone: nobody listens on it", facts->path);
    fputs(facts->file.may_connect ? "."
                                  : " in this network namespace; others cannot be seen, for who asks now may not "
                                    "connect to it.",
          out);
}

static void explain_directory(FILE *out, const struct facts *facts, const struct cause *cause)
{
    int number = cause->number;
    fprintf(out, "No socket can be made at %s: ", facts->path);
    if (number == ENOENT || number == ENOTDIR) {
        fputs("its directory does not exist.", out);
    } else if (number == EROFS) {
        fputs("it is on a read-only file system.", out);
    } else if (number == EACCES || number == EPERM) {
        fputs("who asks now may not write to its directory.", out);
    } else {
        fprintf(out, "%s.", strerror(number));
    }
}

/* ---- all ---- */

void explain_cause(FILE *out, const struct facts *facts, const struct cause *cause)
{
    switch (cause->kind) {
    case CAUSE_NOT_LOCAL:
        explain_not_local(out, facts, cause);
        return;
    case CAUSE_NO_FAMILY:
        fputs("The kernel of this machine has no IPv6.", out);
        return;
    case CAUSE_PRIVILEGED:
        explain_privileged(out, facts, cause);
        return;
    case CAUSE_LISTENER:
        explain_listener(out, facts, cause);
        return;
    case CAUSE_BOUND:
        explain_bound(out, facts, cause);
        return;
    case CAUSE_OUTGOING:
        explain_outgoing(out, facts, cause);
        return;
    case CAUSE_CLOSE_WAIT:
        explain_close_wait(out, facts, cause);
        return;
    case CAUSE_CONNECTIONS:
        explain_connections(out, facts, cause);
        return;
    case CAUSE_LEAVING:
        explain_leaving(out, facts, cause);
        return;
    case CAUSE_UNKNOWN:
        explain_unknown(out, cause);
        return;
    case CAUSE_CONNECT_FROM:
        explain_connect_from(out, facts, cause);
        return;
    case CAUSE_RESERVED:
        fprintf(out,
                "Port %u is reserved (net.ipv4.ip_local_reserved_ports): the kernel gives it to no outgoing "
                "connection. Who asks for it by its number gets it.",
                facts->port);
        return;
    case CAUSE_EPHEMERAL:
        fprintf(out,
                "Port %u is one of those that the kernel gives to outgoing connections, %d to %d "
                "(net.ipv4.ip_local_port_range): some day one may have it when the server starts.",
                facts->port, facts->machine.range_low, facts->machine.range_high);
        return;
    case CAUSE_OTHER_NAMESPACE:
        explain_other_namespace(out, facts);
        return;
    case CAUSE_UNSEEN:
        explain_unseen(out, facts);
        return;
    case CAUSE_FILE_LISTENER:
        explain_file_listener(out, facts, cause);
        return;
    case CAUSE_FILE_BOUND:
        explain_file_bound(out, facts, cause);
        return;
    case CAUSE_FILE_STALE:
        explain_file_stale(out, facts);
        return;
    case CAUSE_FILE_OTHER:
        fprintf(out, "%s is %s and no socket.", facts->path, facts->file.is_directory ? "a directory" : "a file");
        return;
    case CAUSE_DIRECTORY:
        explain_directory(out, facts, cause);
        return;
    }
}
