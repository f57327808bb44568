/* remedy.c — what to do about a cause; see explain.h. */
#include "supervisor/why/explain.h"
#include "supervisor/why/words.h"

#include <errno.h>
#include <string.h>

enum { MS_PER_S = 1000 };

/* ---- who holds it ---- */

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text);
    return length > strlen(end) && strcmp(text + length - strlen(end), end) == 0;
}

static bool is_service(const struct process_fact *process)
{
    return ends_with(process->unit, ".service") && strncmp(process->unit, "user@", 5) != 0;
}

/* One command ends both. */
static bool end_together(const struct process_fact *one, const struct process_fact *other)
{
    if (is_service(one) || is_service(other)) {
        return strcmp(one->unit, other->unit) == 0 && one->user_unit == other->user_unit;
    }
    return strcmp(one->name, other->name) == 0;
}

static const struct process_fact *root_of(const struct facts *facts, const struct holders *holders, size_t i)
{
    return &facts->processes[holders->all[i]];
}

static bool is_told_already(const struct facts *facts, const struct holders *holders, size_t root)
{
    for (size_t i = 0; i < root; i++) {
        if (end_together(root_of(facts, holders, i), root_of(facts, holders, root))) {
            return true;
        }
    }
    return false;
}

/* Stop root number FIRST and those like it, of which none was told before. */
static void stop_alike(FILE *out, const struct facts *facts, const struct holders *holders, size_t first)
{
    const struct process_fact *process = root_of(facts, holders, first);
    if (is_service(process)) {
        fprintf(out, "stop %s (systemctl %sstop %s)", process->name, process->user_unit ? "--user " : "",
                process->unit);
        return;
    }
    fprintf(out, "stop %s (kill", process->name);
    for (size_t i = first; i < holders->roots_count; i++) {
        if (end_together(process, root_of(facts, holders, i))) {
            fprintf(out, " %d", (int)root_of(facts, holders, i)->pid);
        }
    }
    fputs(")", out);
}

/* The address is free when the last of them is gone. */
static void stop_all(FILE *out, const struct facts *facts, const struct holders *holders)
{
    for (size_t i = 0; i < holders->roots_count; i++) {
        if (!is_told_already(facts, holders, i)) {
            fputs(i == 0 ? "" : " and ", out);
            stop_alike(out, facts, holders, i);
        }
    }
}

static void kill_roots(FILE *out, const struct facts *facts, const struct holders *holders, const char *signal)
{
    fprintf(out, "end them (kill%s", signal);
    for (size_t i = 0; i < holders->roots_count; i++) {
        fprintf(out, " %d", (int)facts->processes[holders->all[i]].pid);
    }
    fputs(")", out);
}

static void stop_container(FILE *out, const struct process_fact *process)
{
    const char *blank = strchr(process->container, ' ');
    if (blank != NULL) {
        fprintf(out, "stop its container (%.*s stop %s)", (int)(blank - process->container), process->container,
                blank + 1);
    } else {
        fprintf(out, "stop its container (%s)", process->container);
    }
}

/* What stands behind OPTION in COMMAND; NULL: it is not there. */
static const char *find_behind(const char *command, const char *option)
{
    const char *at = strstr(command, option);
    return at != NULL ? at + strlen(option) : NULL;
}

/* By its verbs, with the configuration that it was started with; one that serves a directory listens to no verb. */
static void stop_perdure(FILE *out, const struct process_fact *first)
{
    const char *config = find_behind(first->command, " -c ");
    config = config != NULL ? config : find_behind(first->command, " --config ");
    int length = config != NULL ? (int)strcspn(config, " ") : 0;
    if (strstr(first->command, "perdure serve") != NULL) {
        fprintf(out, "stop perdure (kill %d)", (int)first->pid);
    } else if (length > 0) {
        fprintf(out, "to change what it serves: perdure reload -c %.*s; to end it: perdure stop -c %.*s", length,
                config, length, config);
    } else {
        fputs("to change what it serves: perdure reload; to end it: perdure stop", out);
    }
}

/* What ends the hold of HOLDERS. */
static void stop_holders(FILE *out, const struct facts *facts, const struct holders *holders)
{
    if (holders->count == 0) {
        fprintf(out, "find out who it is: run this %s",
                facts->unseen.root ? "on the host, outside of any container" : "as root");
        return;
    }
    const struct process_fact *first = &facts->processes[holders->all[0]];
    switch (holders->kind) {
    case HOLDERS_NONE:
        return;
    case HOLDERS_ORDINARY:
        stop_all(out, facts, holders);
        return;
    case HOLDERS_SYSTEMD:
        fputs("a socket unit of systemd listens for its service: \"systemctl list-sockets\" names it; stop that", out);
        return;
    case HOLDERS_DOCKER_PROXY:
        fputs("it forwards to a container (\"docker ps\" names it): stop that", out);
        return;
    case HOLDERS_CONTAINER:
        stop_container(out, first);
        return;
    case HOLDERS_PERDURE:
        stop_perdure(out, first);
        return;
    case HOLDERS_PERDURE_ORPHANS:
        fputs("start perdure again (perdure start, with its configuration): it takes its own workers over", out);
        return;
    case HOLDERS_NGINX_ORPHANS:
        kill_roots(out, facts, holders, " -QUIT");
        fputs(", which lets them finish what is under way; then start nginx", out);
        return;
    case HOLDERS_OTHER_ORPHANS:
        kill_roots(out, facts, holders, "");
        return;
    }
}

/* What lets a program pass by CAUSE. Returns false if nothing does. */
static bool pass_by(FILE *out, const struct cause *cause)
{
    switch (cause->blocks) {
    case BLOCKS_DUAL:
        fputs("let your program set IPV6_V6ONLY on that socket, as perdure does", out);
        return true;
    case BLOCKS_WITHOUT_REUSE:
        fputs("let your program set SO_REUSEADDR before bind(2), as perdure does", out);
        return true;
    case BLOCKS_NEVER:
    case BLOCKS_ALWAYS:
        return false;
    }
    return false;
}

static void stop_those_of(FILE *out, const struct facts *facts, const struct cause *cause)
{
    struct holders holders;
    if (pass_by(out, cause)) {
        fputs("; or ", out);
    }
    holders_find(facts, cause, &holders);
    stop_holders(out, facts, &holders);
}

/* ---- what goes by itself ---- */

static void wait_or_mend(FILE *out, const struct cause *cause)
{
    char text[WORDS_BYTES];
    const char *how_long =
        cause->counts_down ? words_duration((cause->last_ms + MS_PER_S - 1) / MS_PER_S, text) : "some minutes";
    if (pass_by(out, cause)) {
        fprintf(out, "; or wait %s", how_long);
    } else {
        fprintf(out, "wait %s; so that it does not happen again, let the server set SO_REUSEADDR before bind(2)",
                how_long);
    }
}

static void remedy_connections(FILE *out, const struct facts *facts, const struct cause *cause)
{
    struct holders holders;
    holders_find(facts, cause, &holders);
    if (pass_by(out, cause) && holders.count > 0) {
        fputs("; or ", out);
    }
    if (holders.count > 0 || cause->blocks == BLOCKS_ALWAYS) {
        stop_holders(out, facts, &holders);
    }
}

static void remedy_outgoing(FILE *out, const struct facts *facts, const struct cause *cause)
{
    char text[WORDS_BYTES];
    struct holders holders;
    holders_find(facts, cause, &holders);
    if (cause->blocks == BLOCKS_DUAL && pass_by(out, cause)) {
        fputs("; or ", out);
    }
    if (holders.count > 0) {
        stop_holders(out, facts, &holders);
    } else {
        fprintf(out, "wait %s",
                cause->counts_down ? words_duration((cause->last_ms + MS_PER_S - 1) / MS_PER_S, text) : "some minutes");
    }
    fprintf(out, "; for the future, reserve the port: add %u to net.ipv4.ip_local_reserved_ports (sysctl)",
            facts->port);
}

/* ---- all ---- */

static void remedy_unix(FILE *out, const struct facts *facts, const struct cause *cause)
{
    if (cause->kind == CAUSE_FILE_STALE && facts->file.directory_error != 0) {
        fprintf(out, "as root, or as the owner of the directory: rm %s", facts->path);
    } else if (cause->kind == CAUSE_FILE_STALE) {
        fprintf(out, "perdure replaces it by itself; for another program: rm %s", facts->path);
    } else if (cause->kind == CAUSE_FILE_OTHER && !facts->file.is_directory) {
        fprintf(out, "remove it, if nobody needs it, or choose another path");
    } else if (cause->number == EACCES || cause->number == EPERM) {
        fputs("give the directory to the user who starts, or choose another", out);
    } else if (cause->number == ENOENT || cause->number == ENOTDIR) {
        fputs("make the directory, or choose another path", out);
    } else {
        fputs("choose another path", out);
    }
}

/* Duplicate address detection takes a second or two; where a machine boots, services may be faster. */
static void remedy_not_local(FILE *out, const struct facts *facts, const struct cause *cause)
{
    const struct target *target = cause_target(facts, cause);
    const char *wildcard = target->family == AF_INET6 ? "[::]" : "0.0.0.0";
    if (target->local) {
        fprintf(out,
                "tentative: wait some seconds, or start after the network is online; dadfailed: another machine has "
                "this address; or listen on %s:%u for every address",
                wildcard, facts->port);
    } else {
        fprintf(out, "listen on %s:%u for every address, or on one that \"ip address\" shows", wildcard, facts->port);
    }
}

void explain_remedy(FILE *out, const struct facts *facts, const struct cause *cause)
{
    switch (cause->kind) {
    case CAUSE_NOT_LOCAL:
        remedy_not_local(out, facts, cause);
        return;
    case CAUSE_NO_FAMILY:
        fputs("listen on IPv4 only, or turn IPv6 on", out);
        return;
    case CAUSE_PRIVILEGED:
        if (cause->blocks == BLOCKS_ALWAYS) {
            fprintf(out,
                    "start as root, or give the program CAP_NET_BIND_SERVICE (systemd: AmbientCapabilities=), or "
                    "choose a port from %d up",
                    facts->machine.first_unprivileged);
        }
        return;
    case CAUSE_LISTENER:
    case CAUSE_BOUND:
    case CAUSE_FILE_LISTENER:
    case CAUSE_FILE_BOUND:
        stop_those_of(out, facts, cause);
        fprintf(out, "; or choose another %s", facts->is_unix ? "path" : "port");
        return;
    case CAUSE_OUTGOING:
        remedy_outgoing(out, facts, cause);
        return;
    case CAUSE_CLOSE_WAIT:
    case CAUSE_CONNECTIONS:
        remedy_connections(out, facts, cause);
        return;
    case CAUSE_LEAVING:
        wait_or_mend(out, cause);
        return;
    case CAUSE_UNKNOWN:
        fputs(cause->number == EADDRINUSE ? "ask again; if it is still so, ask as root"
                                          : "ask who administers that policy; the audit log may tell (ausearch, dmesg)",
              out);
        return;
    case CAUSE_EPHEMERAL:
        fprintf(out, "to keep it free, add %u to net.ipv4.ip_local_reserved_ports (sysctl)", facts->port);
        return;
    case CAUSE_CONNECT_FROM:
    case CAUSE_RESERVED:
    case CAUSE_OTHER_NAMESPACE:
    case CAUSE_UNSEEN: /* the explanation says how to see it */
        return;
    case CAUSE_FILE_STALE:
    case CAUSE_FILE_OTHER:
    case CAUSE_DIRECTORY:
        remedy_unix(out, facts, cause);
        return;
    }
}
