/* cgroup.c — see cgroup.h.
 *
 * Names are all there is: docker-<64 hex>.scope, /docker/<64 hex>, cri-containerd-<64 hex>.scope, libpod-<64
 * hex>.scope, crio-…, lxc.payload.NAME, machine-NAME.scope and systemd-nspawn@NAME.service. */
#include "supervisor/why/cgroup.h"

#include <stdio.h>
#include <string.h>

enum { ID_BYTES = 64, ID_SHOWN = 12 };

/* The path of the line that systemd keeps: "0::" of cgroup v2, else "N:name=systemd:". Returns its length. */
static size_t find_path(const char *text, const char **path)
{
    const char *line = strstr(text, "0::/");
    if (line == NULL || (line != text && line[-1] != '\n') || line[4] == '\n' || line[4] == '\0') {
        line = strstr(text, ":name=systemd:/");
    }
    *path = line != NULL ? line + strcspn(line, "/") : "";
    return strcspn(*path, "\n");
}

static bool ends_with(const char *text, size_t length, const char *end)
{
    size_t bytes = strlen(end);
    return length > bytes && memcmp(text + length - bytes, end, bytes) == 0;
}

static bool begins_with(const char *text, size_t length, const char *begin)
{
    return length > strlen(begin) && strncmp(text, begin, strlen(begin)) == 0;
}

static void read_machine(const char *part, size_t length, const char *begin, const char *end,
                         struct process_fact *process)
{
    if (begins_with(part, length, begin) && (end[0] == '\0' || ends_with(part, length, end))) {
        snprintf(process->container, sizeof process->container, "%.*s", (int)(length - strlen(begin) - strlen(end)),
                 part + strlen(begin));
    }
}

/* The twelve digits that `docker ps` shows, if PART has an id of 64. */
static void read_id(const char *part, size_t length, struct process_fact *process)
{
    for (size_t at = 0; at + ID_BYTES <= length; at++) {
        size_t digits = strspn(part + at, "0123456789abcdef");
        if (digits == ID_BYTES) {
            bool podman = begins_with(part, length, "libpod-");
            bool docker = begins_with(part, length, "docker-") || at == 0;
            snprintf(process->container, sizeof process->container, "%s%.*s",
                     podman   ? "podman "
                     : docker ? "docker "
                              : "",
                     ID_SHOWN, part + at);
            return;
        }
        at += digits;
    }
}

static void read_part(const char *part, size_t length, struct process_fact *process)
{
    read_id(part, length, process);
    read_machine(part, length, "lxc.payload.", "", process);
    read_machine(part, length, "machine-", ".scope", process);
    read_machine(part, length, "systemd-nspawn@", ".service", process);
    if (begins_with(part, length, "user@")) {
        process->user_unit = true;
    }
    if (ends_with(part, length, ".service") || ends_with(part, length, ".scope") ||
        ends_with(part, length, ".socket")) {
        snprintf(process->unit, sizeof process->unit, "%.*s", (int)length, part);
    }
}

void cgroup_read(const char *text, struct process_fact *process)
{
    const char *path;
    size_t length = find_path(text, &path);
    process->unit[0] = '\0';
    process->container[0] = '\0';
    process->user_unit = false;
    for (size_t at = 0; at < length;) {
        at += path[at] == '/';
        size_t part = strcspn(path + at, "/\n");
        read_part(path + at, part, process);
        at += part;
    }
    if (process->container[0] != '\0') {
        process->unit[0] = '\0'; /* what starts and stops it is the container's manager */
    }
}
