/* peers.c — see peers.h. */
#include "supervisor/why/peers.h"

#include "supervisor/why/words.h"

#include <stdlib.h>
#include <string.h>

enum { HOSTS_SHOWN = 4, EACH_SHOWN = 4, STATES_COUNT = 16, MS_PER_S = 1000 };

/* The sockets of CAUSE, as pointers; NULL without memory. */
static const struct socket_fact **collect(const struct facts *facts, const struct cause *cause, size_t *count)
{
    const struct socket_fact **all = calloc(facts->sockets_count + 1, sizeof(struct socket_fact *));
    *count = 0;
    for (size_t i = 0; all != NULL && i < facts->sockets_count; i++) {
        if (cause_is_about(facts, cause, i)) {
            all[(*count)++] = &facts->sockets[i];
        }
    }
    return all;
}

/* ---- hosts ---- */

struct host {
    struct end end; /* without its port */
    size_t count;
};

static int by_host(const void *one, const void *other)
{
    return memcmp(&(*(const struct socket_fact *const *)one)->peer.host,
                  &(*(const struct socket_fact *const *)other)->peer.host, sizeof(struct in6_addr));
}

/* Put HOST among the first HOSTS_SHOWN, if it has more connections than one of them. */
static void rank(struct host hosts[HOSTS_SHOWN + 1], const struct host *host)
{
    size_t at = HOSTS_SHOWN;
    hosts[at] = *host;
    for (; at > 0 && hosts[at - 1].count < hosts[at].count; at--) {
        struct host moved = hosts[at - 1];
        hosts[at - 1] = hosts[at];
        hosts[at] = moved;
    }
}

/* Returns how many hosts there are in SORTED. */
static size_t rank_all(const struct socket_fact *const *sorted, size_t count, struct host hosts[HOSTS_SHOWN + 1])
{
    size_t different = 0;
    for (size_t i = 0; i < count;) {
        struct host host = {.end = {.host = sorted[i]->peer.host}};
        while (i < count && memcmp(&sorted[i]->peer.host, &host.end.host, sizeof host.end.host) == 0) {
            host.count++;
            i++;
        }
        rank(hosts, &host);
        different++;
    }
    return different;
}

void peers_tell_hosts(FILE *out, const struct facts *facts, const struct cause *cause)
{
    size_t count;
    char text[WORDS_BYTES];
    struct host hosts[HOSTS_SHOWN + 1] = {0};
    const struct socket_fact **sockets = collect(facts, cause, &count);
    if (sockets == NULL) {
        return;
    }
    qsort(sockets, count, sizeof(struct socket_fact *), by_host);
    size_t different = rank_all(sockets, count, hosts);
    size_t shown = different < HOSTS_SHOWN ? different : HOSTS_SHOWN;
    for (size_t i = 0; i < shown; i++) {
        fprintf(out, "%s%s", i == 0 ? "with " : i + 1 == different ? " and " : ", ", words_end(&hosts[i].end, text));
        if (different > 1 && hosts[i].count > 1) {
            fprintf(out, " (%zu)", hosts[i].count);
        }
    }
    if (shown < different) {
        fprintf(out, " and %zu other host%s", different - shown, words_plural(different - shown));
    }
    free(sockets);
}

/* ---- each ---- */

static int by_remaining(const void *one, const void *other)
{
    const struct socket_fact *a = *(const struct socket_fact *const *)one;
    const struct socket_fact *b = *(const struct socket_fact *const *)other;
    return (a->remaining_ms < b->remaining_ms) - (a->remaining_ms > b->remaining_ms);
}

void peers_tell_each(FILE *out, const struct facts *facts, const struct cause *cause)
{
    size_t count;
    char text[WORDS_BYTES];
    const struct socket_fact **sockets = collect(facts, cause, &count);
    if (sockets == NULL) {
        return;
    }
    qsort(sockets, count, sizeof(struct socket_fact *), by_remaining);
    size_t shown = count < EACH_SHOWN ? count : EACH_SHOWN;
    for (size_t i = 0; i < shown; i++) {
        fprintf(out, "%s%s", i == 0 ? "" : i + 1 == count ? " and " : ", ", words_end(&sockets[i]->peer, text));
        if (sockets[i]->counts_down) {
            fprintf(out, " (%s)", words_duration((sockets[i]->remaining_ms + MS_PER_S - 1) / MS_PER_S, text));
        }
    }
    if (shown < count) {
        fprintf(out, " and %zu more", count - shown);
    }
    free(sockets);
}

/* ---- states ---- */

void peers_tell_states(FILE *out, const struct facts *facts, const struct cause *cause)
{
    size_t counts[STATES_COUNT] = {0};
    const char *comma = "";
    for (size_t i = 0; i < facts->sockets_count; i++) {
        int state = facts->sockets[i].state;
        if (state > 0 && state < STATES_COUNT && cause_is_about(facts, cause, i)) {
            counts[state]++;
        }
    }
    for (int state = 0; state < STATES_COUNT; state++) {
        if (counts[state] > 0) {
            fprintf(out, "%s%zu in %s", comma, counts[state], facts_state_name(state));
            comma = ", ";
        }
    }
}
