/* test_escape.c — see test_escape.h. */
#include "worker/test_escape.h"

#ifdef PERDURE_TEST_TARGETS

#include "supervisor/inherit/log.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static long open_how(const char *path, uint64_t flags)
{
    struct open_how how = {.flags = flags};
    return syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof how);
}

static long try_openat2(const char *path)
{
    return open_how(path, O_RDONLY);
}

static long try_write(const char *path)
{
    return open_how(path, O_WRONLY);
}

static long try_truncate(const char *path)
{
    return open_how(path, O_RDONLY | O_TRUNC);
}

static long try_openat(const char *path)
{
    return open(path, O_RDONLY);
}

static long try_execve(const char *path)
{
    char *const argv[] = {(char *)(uintptr_t)path, (char *)(uintptr_t) "-c", (char *)(uintptr_t) "exit 77", NULL};
    return execve(path, argv, NULL);
}

static long try_execveat(const char *path)
{
    char *const argv[] = {(char *)(uintptr_t)path, NULL};
    int fd = (int)open_how(path, O_PATH);
    return syscall(SYS_execveat, fd, "", argv, NULL, AT_EMPTY_PATH);
}

static long try_socket(const char *nothing)
{
    (void)nothing;
    return socket(AF_INET, SOCK_STREAM, 0);
}

/* The listener is a socket that it has. */
static long try_bind(const char *nothing)
{
    (void)nothing;
    const struct sockaddr any = {.sa_family = AF_INET};
    return bind(STDERR_FILENO, &any, sizeof any);
}

static long try_kill(const char *pid)
{
    return kill(atoi(pid + 1), SIGSTOP);
}

static long try_tgkill(const char *pid)
{
    return syscall(SYS_tgkill, atoi(pid + 1), atoi(pid + 1), SIGSTOP);
}

/* That it can open one tells it nothing that it could not see anyhow. */
static long try_pidfd_send_signal(const char *pid)
{
    int fd = (int)syscall(SYS_pidfd_open, atoi(pid + 1), 0);
    return syscall(SYS_pidfd_send_signal, fd, SIGSTOP, NULL, 0);
}

static long try_ptrace(const char *pid)
{
    return ptrace(PTRACE_SEIZE, atoi(pid + 1), NULL, NULL);
}

static long try_process_vm_writev(const char *pid)
{
    char byte = 0;
    struct iovec piece = {&byte, 1};
    return process_vm_writev(atoi(pid + 1), &piece, 1, &piece, 1, 0);
}

static long try_fork(const char *nothing)
{
    (void)nothing;
    return syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
}

static long try_mmap(const char *nothing)
{
    (void)nothing;
    void *at = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return at == MAP_FAILED ? -1 : 0;
}

static long try_sigaction(const char *nothing)
{
    (void)nothing;
    return signal(SIGSYS, SIG_IGN) == SIG_ERR ? -1 : 0;
}

/* Its keeper obeys whoever it hears there. */
static long try_dup2(const char *fd)
{
    return dup2(STDERR_FILENO, atoi(fd + 1));
}

static long try_close(const char *fd)
{
    return close(atoi(fd + 1));
}

static const struct {
    const char *name;
    long (*attempt)(const char *about);
} ways[] = {
    {"openat2", try_openat2},   {"write", try_write},
    {"truncate", try_truncate}, {"openat", try_openat},
    {"execve", try_execve},     {"execveat", try_execveat},
    {"socket", try_socket},     {"bind", try_bind},
    {"kill", try_kill},         {"tgkill", try_tgkill},
    {"ptrace", try_ptrace},     {"pidfd_send_signal", try_pidfd_send_signal},
    {"clone", try_fork},        {"process_vm_writev", try_process_vm_writev},
    {"mmap", try_mmap},         {"rt_sigaction", try_sigaction},
    {"dup2", try_dup2},         {"close", try_close},
};

/* Everything that it may write to and that others read. */
static void scribble(const struct cell *cell)
{
    memset(cell->header, 0xa5, sizeof *cell->header);
    memset(cell->slots, 0xa5, sizeof(struct slot) * cell->slots_count);
    _exit(0);
}

/* As if the cell were of another build: of the same size in all, and no successor can read it. */
static void forge(const struct cell *cell)
{
    cell->header->slot_bytes += 64;
    cell->header->desk_bytes -= 64;
    _exit(0);
}

void test_escape(const char *way, const struct cell *cell)
{
    size_t length = strcspn(way, "/");
    if (strcmp(way, "scribble") == 0) {
        scribble(cell);
    }
    if (strcmp(way, "forge") == 0) {
        forge(cell);
    }
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        if (strlen(ways[i].name) == length && memcmp(way, ways[i].name, length) == 0) {
            long done = ways[i].attempt(way + length);
            log_warn("%s %s%s%s", done < 0 ? "refused:" : "escaped by", way, done < 0 ? ": " : "",
                     done < 0 ? strerror(errno) : "");
        }
    }
}

#endif
