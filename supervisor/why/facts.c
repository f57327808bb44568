/* facts.c — see facts.h. No system calls here. */
#include "supervisor/why/facts.h"

#include <stdlib.h>
#include <string.h>

/* Room for one more in an array, zeroed; NULL: no memory. */
static void *grow(void **array, size_t *count, size_t *room, size_t bytes)
{
    if (*count == *room) {
        size_t more = *room > 0 ? *room * 2 : 32;
        void *larger = reallocarray(*array, more, bytes);
        if (larger == NULL) {
            return NULL;
        }
        *array = larger;
        *room = more;
    }
    void *added = (char *)*array + (*count)++ * bytes;
    return memset(added, 0, bytes);
}

struct socket_fact *facts_add_socket(struct facts *facts)
{
    struct socket_fact *added =
        grow((void **)&facts->sockets, &facts->sockets_count, &facts->sockets_room, sizeof *added);
    facts->unseen.truncated |= added == NULL;
    return added;
}

struct process_fact *facts_add_process(struct facts *facts)
{
    struct process_fact *added =
        grow((void **)&facts->processes, &facts->processes_count, &facts->processes_room, sizeof *added);
    facts->unseen.truncated |= added == NULL;
    return added;
}

struct holding *facts_add_holding(struct facts *facts)
{
    struct holding *added =
        grow((void **)&facts->holdings, &facts->holdings_count, &facts->holdings_room, sizeof *added);
    facts->unseen.truncated |= added == NULL;
    return added;
}

static bool is_in_the_way(const struct facts *facts, const struct socket_fact *socket)
{
    bool hits = facts->is_unix;
    for (size_t i = 0; i < facts->targets_count; i++) {
        hits |= facts_overlap(&socket->local, socket->v6only, &facts->targets[i].end, false);
    }
    return hits;
}

void facts_sort(struct facts *facts)
{
    size_t kept = 0;
    size_t listening = 0;
    for (size_t i = 0; i < facts->sockets_count; i++) {
        if (is_in_the_way(facts, &facts->sockets[i])) {
            facts->sockets[kept++] = facts->sockets[i];
        }
    }
    facts->sockets_count = kept;
    for (size_t i = 0; i < facts->sockets_count; i++) {
        if (facts->sockets[i].state == TCP_LISTEN) {
            struct socket_fact moved = facts->sockets[i];
            facts->sockets[i] = facts->sockets[listening];
            facts->sockets[listening++] = moved;
        }
    }
}

void facts_free(struct facts *facts)
{
    free(facts->sockets);
    free(facts->processes);
    free(facts->holdings);
    *facts = (struct facts){0};
}

/* ---- addresses ---- */

static bool is_ipv4(const struct end *end)
{
    return IN6_IS_ADDR_V4MAPPED(&end->host);
}

static bool is_any_ipv4(const struct end *end)
{
    return is_ipv4(end) && end->host.s6_addr32[3] == 0;
}

bool end_is_wildcard(const struct end *end)
{
    return is_any_ipv4(end) || IN6_IS_ADDR_UNSPECIFIED(&end->host);
}

/* A wildcard claims what it covers; it need not be a wildcard. */
static bool covers(const struct end *wide, bool v6only, const struct end *narrow)
{
    if (is_ipv4(narrow)) {
        return is_any_ipv4(wide) || (IN6_IS_ADDR_UNSPECIFIED(&wide->host) && !v6only);
    }
    return IN6_IS_ADDR_UNSPECIFIED(&wide->host);
}

bool facts_overlap(const struct end *one, bool one_v6only, const struct end *other, bool other_v6only)
{
    if (one->port != other->port) {
        return false;
    }
    bool same_zone = one->interface == 0 || other->interface == 0 || one->interface == other->interface;
    return (memcmp(&one->host, &other->host, sizeof one->host) == 0 && same_zone) || covers(one, one_v6only, other) ||
           covers(other, other_v6only, one);
}

const char *facts_state_name(int state)
{
    static const char *const names[] = {
        [TCP_ESTABLISHED] = "ESTABLISHED",
        [TCP_SYN_SENT] = "SYN_SENT",
        [TCP_SYN_RECV] = "SYN_RECV",
        [TCP_FIN_WAIT1] = "FIN_WAIT1",
        [TCP_FIN_WAIT2] = "FIN_WAIT2",
        [TCP_TIME_WAIT] = "TIME_WAIT",
        [TCP_CLOSE] = "BOUND",
        [TCP_CLOSE_WAIT] = "CLOSE_WAIT",
        [TCP_LAST_ACK] = "LAST_ACK",
        [TCP_LISTEN] = "LISTEN",
        [TCP_CLOSING] = "CLOSING",
    };
    enum { NAMES_COUNT = sizeof names / sizeof names[0] };
    return state > 0 && state < NAMES_COUNT && names[state] != NULL ? names[state] : "UNKNOWN";
}
