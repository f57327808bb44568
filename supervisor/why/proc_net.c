/* proc_net.c — see proc_net.h. */
#include "supervisor/why/proc_net.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_BYTES = 512, TIMER_TIME_WAIT = 3, TICKS_PER_S = 100 /* what /proc counts in, whatever the kernel does */ };

/* The 8 or 32 hexadecimal digits of an address are its 32-bit words in this machine's byte order. */
static bool read_host(const char *hex, int family, struct end *end)
{
    size_t words = family == AF_INET ? 1 : 4;
    if (strlen(hex) != words * 8) {
        return false;
    }
    end->host = (struct in6_addr){0};
    for (size_t i = 0; i < words; i++) {
        char digits[9];
        snprintf(digits, sizeof digits, "%.8s", hex + 8 * i);
        end->host.s6_addr32[4 - words + i] = (uint32_t)strtoul(digits, NULL, 16);
    }
    if (family == AF_INET) {
        end->host.s6_addr16[5] = 0xffff;
    }
    return true;
}

/* "0100007F:1F40": an address and a port. */
static bool read_end(char *text, int family, struct end *end)
{
    char *colon = strchr(text, ':');
    if (colon == NULL) {
        return false;
    }
    *colon = '\0';
    end->port = (uint16_t)strtoul(colon + 1, NULL, 16);
    return read_host(text, family, end);
}

/* What stands behind the colon of "00000000:00000002", in hexadecimal. */
static unsigned long second_number(const char *text)
{
    const char *colon = strchr(text, ':');
    return colon != NULL ? strtoul(colon + 1, NULL, 16) : 0;
}

bool proc_net_line(const char *line, int family, struct socket_fact *socket)
{
    enum { NUMBER, LOCAL, PEER, STATE, QUEUES, TIMER, RETRANSMITS, USER, TIMEOUT, INODE, FIELDS_COUNT };
    char copy[LINE_BYTES];
    char *fields[FIELDS_COUNT];
    char *rest = copy;
    snprintf(copy, sizeof copy, "%s", line);
    *socket = (struct socket_fact){.family = family};
    for (size_t i = 0; i < FIELDS_COUNT; i++) {
        fields[i] = strtok_r(NULL, " \n", &rest);
        if (fields[i] == NULL) {
            return false;
        }
    }
    socket->state = (int)strtoul(fields[STATE], NULL, 16);
    socket->uid = (uint32_t)strtoul(fields[USER], NULL, 10);
    socket->inode = (uint32_t)strtoul(fields[INODE], NULL, 10);
    socket->queue = (uint32_t)second_number(fields[QUEUES]);
    socket->counts_down = strtoul(fields[TIMER], NULL, 16) == TIMER_TIME_WAIT;
    socket->remaining_ms = socket->counts_down ? (uint32_t)second_number(fields[TIMER]) * (1000 / TICKS_PER_S) : 0;
    return read_end(fields[LOCAL], family, &socket->local) && read_end(fields[PEER], family, &socket->peer);
}

/* Call EACH for every socket, until it returns false. */
static void read_table(const char *process, int family, bool (*each)(const struct socket_fact *socket, void *data),
                       void *data)
{
    char path[64];
    char line[LINE_BYTES];
    struct socket_fact socket;
    snprintf(path, sizeof path, "/proc/%.20s/net/%s", process, family == AF_INET ? "tcp" : "tcp6");
    FILE *table = fopen(path, "re");
    bool more = table != NULL;
    while (more && fgets(line, sizeof line, table) != NULL) {
        more = !proc_net_line(line, family, &socket) || each(&socket, data);
    }
    if (table != NULL) {
        fclose(table);
    }
}

static bool add(const struct socket_fact *socket, void *data)
{
    struct facts *facts = data;
    struct socket_fact *added = socket->local.port == facts->port ? facts_add_socket(facts) : NULL;
    if (added != NULL) {
        *added = *socket;
    }
    return !facts->unseen.truncated;
}

void proc_net_sockets(struct facts *facts, const char *process)
{
    read_table(process, AF_INET, add, facts);
    read_table(process, AF_INET6, add, facts);
}

struct search {
    uint16_t port;
    bool found;
};

/* Those that listen come first: a hundred thousand that do not need not be read. */
static bool note_listener(const struct socket_fact *socket, void *data)
{
    struct search *search = data;
    search->found |= socket->state == TCP_LISTEN && socket->local.port == search->port;
    return socket->state == TCP_LISTEN && !search->found;
}

bool proc_net_listens(uint16_t port, const char *process)
{
    struct search search = {.port = port};
    read_table(process, AF_INET, note_listener, &search);
    if (!search.found) {
        read_table(process, AF_INET6, note_listener, &search);
    }
    return search.found;
}
