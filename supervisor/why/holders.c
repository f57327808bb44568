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

static bool is_perdure_worker(const struct process_fact *process)
{
    return strcmp(process->name, "perdure-worker") == 0 || strcmp(process->name, "perdure-keeper") == 0;
}

/* Several processes of one program and one session, whose leader is dead: it was their parent, or they would not all
 * have outlived theirs. A single one may be a daemon, which leaves its session's leader behind on purpose. */
static bool are_siblings_without_leader(const struct facts *facts, const struct holders *holders)
{
    const struct process_fact *first = &facts->processes[holders->all[0]];
    for (size_t i = 0; i < holders->roots_count; i++) {
        const struct process_fact *process = &facts->processes[holders->all[i]];
        if (process->session != first->session || process->session_led || strcmp(process->name, first->name) != 0) {
            return false;
        }
    }
    return holders->roots_count > 1;
}

static enum holders_kind kind_of(const struct facts *facts, const struct holders *holders)
{
    if (holders->count == 0) {
        return HOLDERS_NONE;
    }
    const struct process_fact *first = &facts->processes[holders->all[0]];
    if (is_nginx_worker(first)) {
        return HOLDERS_NGINX_ORPHANS;
    }
    if (is_perdure_worker(first) && strcmp(first->parent_name, "perdure") != 0) {
        return HOLDERS_PERDURE_ORPHANS;
    }
    if (first->pid == 1 && strcmp(first->name, "systemd") == 0 && holders->roots_count == 1) {
        return HOLDERS_SYSTEMD;
    }
    if (strcmp(first->name, "docker-proxy") == 0) {
        return HOLDERS_DOCKER_PROXY;
    }
    if (are_siblings_without_leader(facts, holders)) {
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
    holders->kind = kind_of(facts, holders);
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
