/* spawn.c — see spawn.h. */
#include "supervisor/spawn.h"

#include "supervisor/inherit/handing.h"
#include "supervisor/inherit/log.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static uint32_t machine_limit(void)
{
    unsigned limit = 0;
    FILE *file = fopen("/proc/sys/fs/nr_open", "re");
    if (file != NULL) {
        if (fscanf(file, "%u", &limit) != 1) { // NOLINT(cert-err34-c): the kernel writes a number
            limit = 0;
        }
        fclose(file);
    }
    return limit != 0 ? limit : 1024 * 1024;
}

uint32_t spawn_descriptors(unsigned connections)
{
    uint64_t wanted = 2 * (uint64_t)connections + 1024;
    struct rlimit limit;
    /* Root may raise the hard limit, up to the kernel's own. */
    uint64_t most = machine_limit();
    if (geteuid() != 0 && getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_max < most) {
        most = limit.rlim_max;
    }
    return (uint32_t)(wanted < most ? wanted : most);
}

/* ---- in the child ---- */

static _Noreturn void give_up(const char *what)
{
    log_error("a worker cannot start: %s: %s", what, strerror(errno));
    _exit(1);
}

static void reset_signals(void)
{
    struct sigaction plain = {.sa_handler = SIG_DFL};
    for (int number = 1; number < NSIG; number++) {
        sigaction(number, &plain, NULL); /* some cannot be set; they need not */
    }
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static void limit_descriptors(uint32_t descriptors)
{
    struct rlimit limit = {.rlim_cur = descriptors, .rlim_max = descriptors};
    if (setrlimit(RLIMIT_NOFILE, &limit) == 0) {
        return;
    }
    /* A container may lack the right to raise it: as many as there are must do. */
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

/* Every descriptor ends with the exec but 0, 1 and 2; birth_exec takes out those that the birth names. */
static void close_all_else(void)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0) {
        give_up("/dev/null");
    }
    if (close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC) != 0) {
        give_up("close_range");
    }
}

static _Noreturn void become_worker(const struct birth *birth, const struct privilege *privilege, uint32_t descriptors)
{
    char name[32];
    snprintf(name, sizeof name, "worker %u", birth->slot);
    log_name(name);
    log_generation(birth->generation);
    limit_descriptors(descriptors);
    close_all_else();
    const char *fault = privilege_drop(privilege);
    if (fault != NULL) {
        give_up(fault);
    }
    reset_signals();
    struct birth own = *birth;
    if (birth->handed_fd >= 0 && birth->program_fd < 0 && !handing_take_edition(&own)) {
        give_up("the keeper's own program");
    }
    if (birth_announce(&own)) {
        birth_exec(&own);
    }
    give_up("exec of perdure-worker");
}

pid_t spawn_worker(const struct birth *birth, const struct privilege *privilege, uint32_t descriptors)
{
    pid_t pid = fork();
    if (pid == 0) {
        become_worker(birth, privilege, descriptors);
    }
    return pid;
}
