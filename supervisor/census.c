/* census.c — see census.h. */
#include "supervisor/census.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { TITLE_BYTES = 64, LINE_BYTES = 512, KERNEL_THREAD = 0x00200000 };

static void read_title(pid_t pid, char title[TITLE_BYTES])
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/cmdline", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd >= 0 ? TEMP_FAILURE_RETRY(read(fd, title, TITLE_BYTES - 1)) : -1;
    title[length > 0 ? length : 0] = '\0';
    if (fd >= 0) {
        close(fd);
    }
}

/* ---- whose ---- */

static bool program_of(pid_t pid, struct stat *program)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/exe", (int)pid);
    return stat(path, program) == 0;
}

/* What /proc/PID/stat says behind the name. Everybody may read that, so what it does not say is no proof of anything.
 */
struct facts {
    int parent;
    unsigned flags; /* of the kernel's struct task_struct */
};

static struct facts facts_of(pid_t pid)
{
    char path[64];
    char text[1024];
    struct facts facts = {0};
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "re");
    const char *name_end = file != NULL && fgets(text, sizeof text, file) != NULL ? strrchr(text, ')') : NULL;
    if (name_end != NULL) {
        // NOLINTNEXTLINE(cert-err34-c): the kernel writes numbers
        (void)sscanf(name_end, ") %*c %d %*d %*d %*d %*d %u", &facts.parent, &facts.flags);
    }
    if (file != NULL) {
        fclose(file);
    }
    return facts;
}

/* Its parent is a supervisor, and not this one: the parent of an orphan is whoever reaps orphans here. */
static bool has_another_supervisor(pid_t parent)
{
    struct stat ours;
    struct stat its;
    return parent > 1 && parent != getpid() && program_of(getpid(), &ours) && program_of(parent, &its) &&
           ours.st_dev == its.st_dev && ours.st_ino == its.st_ino;
}

bool census_is_foreign(pid_t pid)
{
    static const char ours[] = "perdure: ";
    char title[TITLE_BYTES];
    struct facts facts = facts_of(pid);
    read_title(pid, title);
    /* "": it is in the middle of an exec, or a kernel thread. */
    bool named = title[0] != '\0' ? strncmp(title, ours, strlen(ours)) == 0 : (facts.flags & KERNEL_THREAD) == 0;
    return !named || has_another_supervisor(facts.parent);
}

/* ---- which ---- */

/* "perdure: worker 3", and nothing but blanks behind that. */
static bool has_title(pid_t pid, const char *role, uint32_t slot)
{
    char title[TITLE_BYTES];
    char wanted[TITLE_BYTES];
    read_title(pid, title);
    snprintf(wanted, sizeof wanted, "perdure: %s %u", role, slot);
    size_t length = strlen(wanted);
    return strncmp(title, wanted, length) == 0 && strspn(title + length, " ") == strlen(title + length);
}

/* A line of /proc/PID/maps: "from-to rights offset device inode   path". */
static bool is_mapping_of(const char *line, ino_t inode)
{
    unsigned long number = 0;
    // NOLINTNEXTLINE(cert-err34-c): the kernel writes numbers
    return strstr(line, "/memfd:perdure-cell") != NULL && sscanf(line, "%*s %*s %*s %*s %lu", &number) == 1 &&
           number == inode;
}

/* False only if it is seen not to: without CAP_SYS_PTRACE nobody may look at another user's process, and a worker that
 * is wrongly thought dead would get a successor while it serves. */
static bool may_map_cell(pid_t pid, int cell_fd)
{
    char path[64];
    char line[LINE_BYTES];
    struct stat cell;
    snprintf(path, sizeof path, "/proc/%d/maps", (int)pid);
    FILE *file = cell_fd >= 0 && fstat(cell_fd, &cell) == 0 ? fopen(path, "re") : NULL;
    bool found = file == NULL;
    while (!found && fgets(line, sizeof line, file) != NULL) {
        found = is_mapping_of(line, cell.st_ino);
    }
    if (file != NULL) {
        fclose(file);
    }
    return found;
}

bool census_is_worker(pid_t pid, uint32_t slot, int cell_fd)
{
    return pid > 1 && has_title(pid, "worker", slot) && may_map_cell(pid, cell_fd);
}

bool census_is_keeper(pid_t pid, uint32_t slot)
{
    return pid > 1 && has_title(pid, "keeper", slot);
}

bool census_is_own_keeper(pid_t pid)
{
    char title[TITLE_BYTES];
    read_title(pid, title);
    return strcmp(title, "perdure: keeper of the supervisor") == 0;
}

static bool is_among(pid_t pid, const int32_t *others, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (others[i] == pid) {
            return true;
        }
    }
    return false;
}

pid_t census_find_worker(uint32_t slot, int cell_fd, const int32_t *others, size_t count)
{
    DIR *processes = cell_fd >= 0 ? opendir("/proc") : NULL;
    const struct dirent *entry;
    pid_t found = 0;
    size_t all = 0;
    while (processes != NULL && (entry = readdir(processes)) != NULL) {
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
        if (pid > 1 && !is_among(pid, others, count) && census_is_worker(pid, slot, cell_fd) &&
            !census_is_foreign(pid)) {
            found = pid;
            all++;
        }
    }
    if (processes != NULL) {
        closedir(processes);
    }
    return all == 1 ? found : 0;
}

/* ---- its cell ---- */

static bool is_cell(int directory_fd, const char *name)
{
    static const char memfd[] = "/memfd:perdure-cell";
    char link[64];
    ssize_t length = readlinkat(directory_fd, name, link, sizeof link);
    return length >= (ssize_t)strlen(memfd) && strncmp(link, memfd, strlen(memfd)) == 0;
}

static int number_of_cell(pid_t pid)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    DIR *fds = opendir(path);
    const struct dirent *entry;
    int number = -1;
    while (fds != NULL && number < 0 && (entry = readdir(fds)) != NULL) {
        number = is_cell(dirfd(fds), entry->d_name) ? (int)strtol(entry->d_name, NULL, 10) : -1;
    }
    if (fds != NULL) {
        closedir(fds);
    }
    return number;
}

int census_cell(pid_t pid)
{
    int process_fd = pidfd_open(pid, 0);
    int number = process_fd >= 0 ? number_of_cell(pid) : -1;
    int fd = number >= 0 ? (int)syscall(SYS_pidfd_getfd, process_fd, number, 0) : -1;
    if (process_fd >= 0) {
        close(process_fd);
    }
    return fd;
}
