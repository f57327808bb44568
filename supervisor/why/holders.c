/* holders.c — see holders.h. */
#include "supervisor/why/holders.h"

#include <string.h>

static bool is_among(const struct holders *holders, size_t process)
{
    for (size_t i = 0; i < holders->count; i++) {
        if (holders->all[i] == process) {
            return true;
        }
    }
    return false;
}

static void collect(const struct facts *facts, const struct cause *cause, struct holders *holders)
{
    for (size_t i = 0; i < facts->holdings_count && holders->count < HOLDERS_MAX; i++) {
        const struct holding *holding = &facts->holdings[i];
        if (!is_among(holders, holding->process) && cause_is_about(facts, cause, holding->socket)) {
            holders->all[holders->count++] = holding->process;
        }
    }
}

static bool parent_is_among(const struct facts *facts, const struct holders *holders, size_t process)
{
    for (size_t i = 0; i < holders->count; i++) {
        if (facts->processes[holders->all[i]].pid == facts->processes[process].parent) {
            return true;
        }
    }
    return false;
}

/* A supervisor of perdure may be younger than its workers: it is somebody's successor. Else the oldest is in charge. */
static bool is_in_charge(const struct process_fact *one, const struct process_fact *other)
{
    bool one_supervises = strcmp(one->name, "perdure") == 0;
    bool other_supervises = strcmp(other->name, "perdure") == 0;
    return one_supervises != other_supervises ? one_supervises : one->age_s > other->age_s;
}

/* Roots first, who is in charge before the others. */
static void put_roots_first(const struct facts *facts, struct holders *holders)
{
    for (size_t i = 0; i < holders->count; i++) {
        size_t moved = holders->all[i];
        if (parent_is_among(facts, holders, moved)) {
            continue;
        }
        size_t at = i;
        while (at > holders->roots_count ||
               (at > 0 && is_in_charge(&facts->processes[moved], &facts->processes[holders->all[at - 1]]))) {
            holders->all[at] = holders->all[at - 1];
            at--;
        }
        holders->all[at] = moved;
        holders->roots_count++;
    }
}

/* ---- orphans ---- */

static bool is_nginx_worker(const struct process_fact *process)
{
    return strncmp(process->command, "nginx: worker process", strlen("nginx: worker process")) == 0 ||
           strncmp(process->command, "nginx: cache", strlen("nginx: cache")) == 0;
}

static bool is_nginx_master(const struct process_fact *process)
{
    return strncmp(process->command, "nginx: master process", strlen("nginx: master process")) == 0;
}

static bool is_perdure_worker(const struct process_fact *process)
{
    return strcmp(process->name, "perdure-worker") == 0 || strcmp(process->name, "perdure-keeper") == 0;
}

/* Whoever PROCESS was started by is no more: it is somebody else's child now, by name. A parent that cannot be seen may
 * well live. */
static bool has_lost_parent(const struct process_fact *process, const char *parent)
{
    bool seen = process->parent == 1 || process->parent_name[0] != '\0';
    return seen && strcmp(process->parent_name, parent) != 0;
}

static bool holds(const struct facts *facts, size_t process, size_t socket)
{
    for (size_t i = 0; i < facts->holdings_count; i++) {
        if (facts->holdings[i].process == process && facts->holdings[i].socket == socket) {
            return true;
        }
    }
    return false;
}

/* Whoever began its session has died; or its parent has, and init, or a user's systemd, has taken its place. */
static bool is_left_behind(const struct process_fact *process)
{
    bool adopted = process->parent == 1 || strcmp(process->parent_name, "systemd") == 0;
    return !process->session_led || (adopted && has_lost_parent(process, process->name));
}

/* Several processes of one program and one session have inherited one listener, and who gave it to them is gone. A
 * single one may be a daemon, which leaves its parent and its session's leader behind on purpose; and those who have
 * sockets of their own on one address (SO_REUSEPORT) have no parent in common. */
static bool are_siblings_without_parent(const struct facts *facts, const struct cause *cause,
                                        const struct holders *holders)
{
    const struct process_fact *first = &facts->processes[holders->all[0]];
    bool inherited = cause->kind == CAUSE_LISTENER || cause->kind == CAUSE_BOUND;
    for (size_t i = 0; i < holders->roots_count; i++) {
        const struct process_fact *process = &facts->processes[holders->all[i]];
        if (process->session != first->session || !is_left_behind(process) || strcmp(process->name, first->name) != 0 ||
            (inherited && !holds(facts, holders->all[i], cause->socket))) {
            return false;
        }
    }
    return holders->roots_count > 1;
}

/* A supervisor that took over is no parent of its workers: where it may be out of sight, they are no orphans. */
static bool are_perdure_orphans(const struct facts *facts, const struct process_fact *first)
{
    return is_perdure_worker(first) && has_lost_parent(first, "perdure") && facts->unseen.processes == 0 &&
           !facts->unseen.processes_hidden;
}

static enum holders_kind kind_of(const struct facts *facts, const struct cause *cause, const struct holders *holders)
{
    if (holders->count == 0) {
        return HOLDERS_NONE;
    }
    const struct process_fact *first = &facts->processes[holders->all[0]];
    if (is_nginx_worker(first) && has_lost_parent(first, "nginx")) {
        return HOLDERS_NGINX_ORPHANS;
    }
    if (are_perdure_orphans(facts, first)) {
        return HOLDERS_PERDURE_ORPHANS;
    }
    if (first->pid == 1 && strcmp(first->name, "systemd") == 0 && holders->roots_count == 1) {
        return HOLDERS_SYSTEMD;
    }
    if (strcmp(first->name, "docker-proxy") == 0) {
        return HOLDERS_DOCKER_PROXY;
    }
    bool has_own_rule = is_nginx_master(first) || is_perdure_worker(first);
    if (!has_own_rule && are_siblings_without_parent(facts, cause, holders)) {
        return HOLDERS_OTHER_ORPHANS;
    }
    if (strcmp(first->name, "perdure") == 0 || is_perdure_worker(first)) {
        return HOLDERS_PERDURE;
    }
    return first->container[0] != '\0' ? HOLDERS_CONTAINER : HOLDERS_ORDINARY;
}

void holders_find(const struct facts *facts, const struct cause *cause, struct holders *holders)
{
    *holders = (struct holders){0};
    if (cause->count > 0) {
        collect(facts, cause, holders);
        put_roots_first(facts, holders);
    }
    holders->kind = kind_of(facts, cause, holders);
}

bool holders_are_orphans(const struct holders *holders)
{
    return holders->kind == HOLDERS_PERDURE_ORPHANS || holders->kind == HOLDERS_NGINX_ORPHANS ||
           holders->kind == HOLDERS_OTHER_ORPHANS;
}

const char *holders_kind_name(enum holders_kind kind)
{
    static const char *const names[] = {
        [HOLDERS_NONE] = "nobody_seen",
        [HOLDERS_ORDINARY] = "program",
        [HOLDERS_SYSTEMD] = "systemd_socket",
        [HOLDERS_DOCKER_PROXY] = "docker_proxy",
        [HOLDERS_CONTAINER] = "container",
        [HOLDERS_PERDURE] = "perdure",
        [HOLDERS_PERDURE_ORPHANS] = "perdure_orphans",
        [HOLDERS_NGINX_ORPHANS] = "nginx_orphans",
        [HOLDERS_OTHER_ORPHANS] = "orphans",
    };
    return names[kind];
}
