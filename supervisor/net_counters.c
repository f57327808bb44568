/* net_counters.c — see net_counters.h. */
#include "supervisor/net_counters.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A number that is looked for, by its name. */
struct wanted {
    const char *name;
    int64_t *number;
};

static bool begins_with(const char *line, const char *group)
{
    return strncmp(line, group, strlen(group)) == 0;
}

/* Two lines, "TcpExt: A B" and "TcpExt: 1 2": put the numbers below the names that are WANTED where they belong. */
static void take_numbers(char *names, char *numbers, const struct wanted *wanted, size_t count)
{
    char *name_at = NULL, *number_at = NULL;
    char *name = strtok_r(names, " \n", &name_at), *number = strtok_r(numbers, " \n", &number_at);
    while (name != NULL && number != NULL) {
        for (size_t i = 0; i < count; i++) {
            if (strcmp(name, wanted[i].name) == 0) {
                *wanted[i].number = strtoll(number, NULL, 10);
            }
        }
        name = strtok_r(NULL, " \n", &name_at);
        number = strtok_r(NULL, " \n", &number_at);
    }
}

/* What is WANTED of GROUP ("TcpExt:") in the file PATH of such pairs of lines; -1 where it is not there. */
static void read_pairs(const char *path, const char *group, const struct wanted *wanted, size_t count)
{
    FILE *file = fopen(path, "re");
    char *names = NULL, *numbers = NULL;
    size_t names_bytes = 0, numbers_bytes = 0;
    for (size_t i = 0; i < count; i++) {
        *wanted[i].number = -1;
    }
    while (file != NULL && getline(&names, &names_bytes, file) > 0 && getline(&numbers, &numbers_bytes, file) > 0) {
        if (begins_with(names, group) && begins_with(numbers, group)) {
            take_numbers(names, numbers, wanted, count);
        }
    }
    if (file != NULL) {
        fclose(file);
    }
    free(names);
    free(numbers);
}

/* "TCP: inuse 5 orphan 0 tw 12 …": names and numbers in turns. */
static int64_t time_wait_now(void)
{
    FILE *file = fopen("/proc/net/sockstat", "re");
    char line[256];
    long long number = -1;
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        const char *at = begins_with(line, "TCP:") ? strstr(line, " tw ") : NULL;
        if (at != NULL) {
            number = strtoll(at + strlen(" tw "), NULL, 10);
        }
    }
    if (file != NULL) {
        fclose(file);
    }
    return number;
}

void net_counters_read(struct net_counters *counters)
{
    const struct wanted of_listeners[] = {{"ListenOverflows", &counters->listen_overflows},
                                          {"ListenDrops", &counters->listen_drops}};
    const struct wanted of_tcp[] = {{"OutRsts", &counters->resets_sent}};
    read_pairs("/proc/net/netstat", "TcpExt:", of_listeners, 2);
    read_pairs("/proc/net/snmp", "Tcp:", of_tcp, 1);
    counters->time_wait = time_wait_now();
}
