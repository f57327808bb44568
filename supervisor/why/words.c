/* words.c — see words.h. */
#include "supervisor/why/words.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <net/if.h>
#include <string.h>

enum { PIDS_SHOWN = 6, MINUTE_S = 60, HOUR_S = 3600, DAY_S = 86400 };

const char *words_duration(int64_t seconds, char text[WORDS_BYTES])
{
    int64_t s = seconds > 0 ? seconds : 0;
    if (s < 2 * MINUTE_S) {
        snprintf(text, WORDS_BYTES, "%" PRId64 " s", s);
    } else if (s < 2 * HOUR_S) {
        snprintf(text, WORDS_BYTES, "%" PRId64 " min", s / MINUTE_S);
    } else if (s < 2 * DAY_S) {
        snprintf(text, WORDS_BYTES, "%" PRId64 " h", s / HOUR_S);
    } else {
        snprintf(text, WORDS_BYTES, "%" PRId64 " days", s / DAY_S);
    }
    return text;
}

const char *words_end(const struct end *end, char text[WORDS_BYTES])
{
    char host[INET6_ADDRSTRLEN];
    char port[16] = "";
    char zone[IF_NAMESIZE] = "";
    bool four = IN6_IS_ADDR_V4MAPPED(&end->host);
    inet_ntop(four ? AF_INET : AF_INET6, four ? (const void *)&end->host.s6_addr[12] : (const void *)&end->host, host,
              sizeof host);
    if (end->port != 0) {
        snprintf(port, sizeof port, ":%u", end->port);
    }
    bool zoned = !four && end->interface != 0 && if_indextoname(end->interface, zone) != NULL;
    bool brackets = !four && end->port != 0;
    snprintf(text, WORDS_BYTES, "%s%s%s%s%s%s", brackets ? "[" : "", host, zoned ? "%" : "", zone, brackets ? "]" : "",
             port);
    return text;
}

const char *words_plural(size_t count)
{
    return count == 1 ? "" : "s";
}

void words_errno(FILE *out, int number)
{
    const char *name = strerrorname_np(number);
    fprintf(out, "\"%s\" (%s)", strerror(number), name != NULL ? name : "?");
}

void words_pids(FILE *out, const struct facts *facts, const struct holders *holders, size_t from, size_t to)
{
    size_t shown = to - from > PIDS_SHOWN + 1 ? from + PIDS_SHOWN : to; /* "and 1 more" is no shorter */
    for (size_t i = from; i < shown; i++) {
        bool last = i + 1 == to;
        fprintf(out, "%s%d", i == from ? "" : last ? " and " : ", ", (int)facts->processes[holders->all[i]].pid);
    }
    if (shown < to) {
        fprintf(out, " and %zu more", to - shown);
    }
}

void words_process(FILE *out, const struct process_fact *process)
{
    char age[WORDS_BYTES];
    fprintf(out, "pid %d, user %s, for %s", (int)process->pid, process->user[0] != '\0' ? process->user : "?",
            words_duration(process->age_s, age));
    if (process->container[0] != '\0') {
        fprintf(out, ", container %s", process->container);
    } else if (process->unit[0] != '\0') {
        fprintf(out, ", %s", process->unit);
    }
}
