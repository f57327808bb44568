/* sandbox.c — see sandbox.h, landlock(7), seccomp(2).
 *
 * The filter is made here, at each birth, from the table below, and not by libseccomp, whose way from rules to a
 * program takes 300 us of a gap of 2 ms: three numbers in it are this worker's own. Who refuses what:
 *
 *   seccomp   exec, ptrace, signals to others, new sockets, open(2), executable memory, and all the kernel's odd
 * corners. The keeper's channel cannot be closed or replaced: who could speak to the keeper in the supervisor's place
 *             could have it exec something
 *   landlock  what openat2(2) may open, which seccomp cannot see: it lies in memory; and once more files, TCP, signals
 *             and ptrace, should seccomp be missing */
#include "worker/sandbox.h"

#include "supervisor/inherit/check.h"
#include "supervisor/inherit/keeper.h"
#include "supervisor/inherit/log.h"
#include "worker/responder.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <linux/sockios.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifdef __SANITIZE_ADDRESS__
enum { SANDBOX_FITS = 0 }; /* the sanitizers open files, and their own system calls are many */
#else
enum { SANDBOX_FITS = 1 };
#endif

/* ---- capabilities and limits ---- */

/* Where capset(2) itself is forbidden, as a service manager may do, there may be none all the same. */
static bool has_capabilities(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct held[_LINUX_CAPABILITY_U32S_3];
    return syscall(SYS_capget, &header, held) != 0 || (held[0].permitted | held[1].permitted) != 0;
}

uint32_t sandbox_drop_rights(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    const struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0}};
    bool dropped = syscall(SYS_capset, &header, none) == 0 || !has_capabilities();
    return dropped && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 ? CONFINED_RIGHTS : 0;
}

/* Not NPROC: it counts the processes of a user, others' too. Not FSIZE: the access log may be as large as it likes. */
static void limit_resources(void)
{
    static const int unused[] = {RLIMIT_MEMLOCK, RLIMIT_MSGQUEUE, RLIMIT_RTPRIO, RLIMIT_NICE};
    const struct rlimit none = {0, 0};
    for (size_t i = 0; i < sizeof unused / sizeof unused[0]; i++) {
        setrlimit(unused[i], &none);
    }
}

/* ---- landlock ---- */

/* Of the interface's later versions, for headers that are older. */
enum {
    FILE_RIGHTS_1 = (1 << 13) - 1, /* execute, write, read a file, read a directory, remove and make whatever */
    FILE_RIGHT_REFER = 1 << 13,    /* 2 */
    FILE_RIGHT_TRUNCATE = 1 << 14, /* 3 */
    FILE_RIGHT_IOCTL = 1 << 15,    /* 5 */
    TCP_RIGHTS = 3,                /* 4: bind and connect */
    SCOPES = 3,                    /* 6: abstract unix sockets and signals */
};
struct ruleset {
    uint64_t files;
    uint64_t tcp;
    uint64_t scopes;
};

static struct ruleset ruleset_for(long abi)
{
    return (struct ruleset){
        .files = FILE_RIGHTS_1 | (abi >= 2 ? FILE_RIGHT_REFER : 0U) | (abi >= 3 ? FILE_RIGHT_TRUNCATE : 0U) |
                 (abi >= 5 ? FILE_RIGHT_IOCTL : 0U),
        .tcp = abi >= 4 ? TCP_RIGHTS : 0,
        .scopes = abi >= 6 ? SCOPES : 0,
    };
}

static size_t ruleset_bytes(long abi)
{
    return abi >= 6   ? sizeof(struct ruleset)
           : abi >= 4 ? offsetof(struct ruleset, scopes)
                      : offsetof(struct ruleset, tcp);
}

static bool allow_roots(int ruleset_fd, const struct responder *responder)
{
    for (size_t i = 0; i < responder->sites_count; i++) {
        struct landlock_path_beneath_attr below = {.allowed_access =
                                                       LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR,
                                                   .parent_fd = responder->sites[i].root};
        if (syscall(SYS_landlock_add_rule, ruleset_fd, LANDLOCK_RULE_PATH_BENEATH, &below, 0) != 0) {
            return false;
        }
    }
    return true;
}

/* Returns the interface's version, 0: this kernel has none, or somebody forbids it. */
static uint32_t confine_files(const struct responder *responder)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (abi <= 0 || !SANDBOX_FITS) {
        return 0;
    }
    const struct ruleset rules = ruleset_for(abi);
    int fd = (int)syscall(SYS_landlock_create_ruleset, &rules, ruleset_bytes(abi), 0);
    bool confined = fd >= 0 && allow_roots(fd, responder) && syscall(SYS_landlock_restrict_self, fd, 0) == 0;
    if (fd >= 0) {
        close(fd);
    }
    return confined ? (uint32_t)abi : 0;
}

/* ---- seccomp ---- */

#if defined(__x86_64__)
enum { MACHINE = AUDIT_ARCH_X86_64, OTHER_CALLS = 0x40000000 }; /* x32 has its calls above that */
#elif defined(__aarch64__)
enum { MACHINE = AUDIT_ARCH_AARCH64, OTHER_CALLS = 0x40000000 };
#else
enum { MACHINE = 0, OTHER_CALLS = 0 };
#endif

/* Whatever the arguments are. Of these the kernel keeps a table of its own, and runs no filter for them. */
static const int allowed[] = {
#ifdef SYS_epoll_wait
    SYS_epoll_wait,
#endif
    SYS_epoll_pwait, SYS_recvfrom, SYS_sendmsg, SYS_sendto, SYS_sendfile, SYS_accept4, SYS_epoll_ctl, SYS_recvmsg,
    SYS_getsockopt, SYS_setsockopt, SYS_shutdown, SYS_getpeername, SYS_getsockname,
    /* files: landlock says which */
    SYS_openat2, SYS_fstat, SYS_newfstatat, SYS_read, SYS_pread64, SYS_lseek, SYS_getdents64,
    /* logs, the cell, listings */
    SYS_write, SYS_writev, SYS_pwrite64, SYS_memfd_create, SYS_ftruncate, SYS_fallocate,
#ifdef SYS_poll
    SYS_poll,
#endif
    SYS_ppoll,
    /* memory and time */
    SYS_brk, SYS_munmap, SYS_mremap, SYS_madvise, SYS_sysinfo, SYS_getrandom, SYS_clock_gettime, SYS_gettimeofday,
    SYS_futex,
    /* an orphan, orphan.c */
    SYS_epoll_create1, SYS_signalfd4, SYS_pidfd_open, SYS_faccessat,
#ifdef SYS_access
    SYS_access,
#endif
    /* itself */
    SYS_getpid, SYS_gettid, SYS_rt_sigprocmask, SYS_rt_sigreturn, SYS_restart_syscall, SYS_exit, SYS_exit_group};

/* With one argument as it should be: one of the lines of its call must hold. Lines of a call stand together. */
struct rule {
    int call;
    uint32_t argument;
    enum { IS, IS_NOT, LACKS } test;
    uint32_t value;
};

enum { CALLS_MAX = 1024, RULES_MAX = 32, PROGRAM_MAX = 512 };
enum { REFUSED, ALLOWED, BY_RULE }; /* BY_RULE + N: rule N decides, and those behind it of the same call */

struct plan {
    struct rule rules[RULES_MAX];
    size_t rules_count;
    uint8_t verdict[CALLS_MAX]; /* by the number of the call */
    uint16_t begins[CALLS_MAX]; /* the numbers at which the verdict changes, in order */
    size_t begins_count;
};

/* Made from its end to its beginning, so that wherever it may jump to is there already. */
struct program {
    struct sock_filter code[PROGRAM_MAX];
    uint16_t first;   /* the place that was filled last */
    uint16_t allowed; /* a return within reach; PROGRAM_MAX: none yet */
    uint16_t refused;
};

static void plan_rules(struct plan *plan, const struct worker *w)
{
    const struct rule rules[] = {
        {SYS_close, 0, IS_NOT, (uint32_t)w->birth.keeper_fd},
        {SYS_ioctl, 1, IS, SIOCINQ},
        {SYS_ioctl, 1, IS, SIOCOUTQ},
        {SYS_fcntl, 1, IS, F_GETFD},
        {SYS_fcntl, 1, IS, F_SETFD},
        {SYS_fcntl, 1, IS, F_GETFL},
        {SYS_fcntl, 1, IS, F_SETFL},
        {SYS_fcntl, 1, IS, F_DUPFD_CLOEXEC},
        {SYS_mmap, 2, LACKS, PROT_EXEC},
        {SYS_mprotect, 2, LACKS, PROT_EXEC},
        /* logs that are opened anew */
        {SYS_dup3, 1, IS, (uint32_t)w->birth.access_log_fd},
        {SYS_dup3, 1, IS, STDERR_FILENO},
        {SYS_dup3, 1, IS, (uint32_t)w->birth.control_fd}, /* what an orphan waits for */
        {SYS_listen, 0, IS, (uint32_t)w->birth.door_fd},
#ifdef SYS_dup2
        {SYS_dup2, 1, IS, STDERR_FILENO},
#endif
        {SYS_connect, 0, IS, (uint32_t)log_descriptor()}, /* syslog(3) may be started anew; -1 is nobody */
        {SYS_clone, 0, IS, KEEPER_CLONE_FLAGS},           /* another keeper */
        {SYS_prctl, 0, IS, PR_SET_NAME},                  /* by that one, */
        {SYS_prlimit64, 0, IS, 0},                        /* its own: how far the table reaches */
        {SYS_tgkill, 0, IS, (uint32_t)getpid()},          /* abort(3) */
    };
    _Static_assert(sizeof rules <= sizeof plan->rules, "room for all rules");
    memcpy(plan->rules, rules, sizeof rules);
    plan->rules_count = sizeof rules / sizeof rules[0];
}

static void plan_make(struct plan *plan, const struct worker *w)
{
    plan_rules(plan, w);
    for (size_t i = plan->rules_count; i-- > 0;) {
        plan->verdict[plan->rules[i].call] = (uint8_t)(BY_RULE + i);
    }
    for (size_t i = 0; i < sizeof allowed / sizeof allowed[0]; i++) {
        plan->verdict[allowed[i]] = ALLOWED;
    }
    for (size_t call = 0; call < CALLS_MAX; call++) {
        if (call == 0 || plan->verdict[call] != plan->verdict[call - 1]) {
            plan->begins[plan->begins_count++] = (uint16_t)call;
        }
    }
}

/* Returns its place. YES and NO are where a jump goes. */
static uint16_t place_jump(struct program *program, uint16_t test, uint32_t value, uint16_t yes, uint16_t no)
{
    check(program->first > 0);
    const uint16_t next = program->first--;
    check(yes - next <= UINT8_MAX && no - next <= UINT8_MAX);
    program->code[program->first] =
        (struct sock_filter){BPF_JMP | BPF_K | test, (uint8_t)(yes - next), (uint8_t)(no - next), value};
    return program->first;
}

static uint16_t place(struct program *program, uint16_t code, uint32_t value)
{
    check(program->first > 0);
    program->code[--program->first] = (struct sock_filter){code, 0, 0, value};
    return program->first;
}

static uint16_t place_load(struct program *program, size_t offset)
{
    return place(program, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset);
}

static uint16_t place_return(struct program *program, uint32_t verdict)
{
    return place(program, BPF_RET | BPF_K, verdict);
}

/* A jump reaches 255 places. What stands between two looks at this is less than half of that. */
static void place_returns(struct program *program)
{
    if (program->allowed - program->first > UINT8_MAX / 2) {
        program->allowed = place_return(program, SECCOMP_RET_ALLOW);
        program->refused = place_return(program, SECCOMP_RET_TRAP);
    }
}

/* The lower half of an argument; no call here looks at the upper one. */
static uint32_t argument_at(uint32_t argument)
{
    return (uint32_t)offsetof(struct seccomp_data, args) + argument * 8 +
           (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? 4 : 0);
}

static uint16_t place_rules(struct program *program, const struct plan *plan, size_t first)
{
    size_t end = first + 1;
    while (end < plan->rules_count && plan->rules[end].call == plan->rules[first].call) {
        end++;
    }
    uint16_t otherwise = program->refused;
    for (size_t i = end; i-- > first;) {
        const struct rule *rule = &plan->rules[i];
        otherwise = place_jump(program, rule->test == LACKS ? BPF_JSET : BPF_JEQ, rule->value,
                               rule->test == IS ? program->allowed : otherwise,
                               rule->test == IS ? otherwise : program->allowed);
    }
    return place_load(program, argument_at(plan->rules[first].argument));
}

/* A tree, for the kernel tries every number there is when it takes a filter: with one comparison behind the other that
 * took 250 us of the gap. And as small as can be, for it takes the kernel a third of a microsecond for each
 * instruction. FIRST and END are places in begins[]. NOLINTNEXTLINE(misc-no-recursion): seven deep */
static uint16_t place_tree(struct program *program, const struct plan *plan, size_t first, size_t end)
{
    place_returns(program);
    if (end - first == 1) {
        const uint8_t verdict = plan->verdict[plan->begins[first]];
        return verdict >= BY_RULE ? place_rules(program, plan, verdict - BY_RULE)
                                  : (verdict == ALLOWED ? program->allowed : program->refused);
    }
    const size_t middle = first + (end - first) / 2;
    const uint16_t above = place_tree(program, plan, middle, end);
    const uint16_t below = place_tree(program, plan, first, middle);
    return place_jump(program, BPF_JGE, plan->begins[middle], above, below);
}

/* TRAP and not KILL, for the handler notes which call it was. It cannot be taken away: rt_sigaction(2) is not allowed,
 * and if the signal is blocked, it kills. */
static bool confine_calls(const struct worker *w)
{
    struct program program = {.first = PROGRAM_MAX, .allowed = PROGRAM_MAX, .refused = PROGRAM_MAX};
    struct plan plan = {.rules_count = 0};
    plan_make(&plan, w);
    program.allowed = place_return(&program, SECCOMP_RET_ALLOW);
    program.refused = place_return(&program, SECCOMP_RET_TRAP);
    const uint16_t tree = place_tree(&program, &plan, 0, plan.begins_count);
    const uint16_t alien = place_return(&program, SECCOMP_RET_KILL_PROCESS);
    place_jump(&program, BPF_JGE, OTHER_CALLS, alien, tree);
    place_load(&program, offsetof(struct seccomp_data, nr));
    place_jump(&program, BPF_JEQ, (uint32_t)MACHINE, program.first, alien);
    place_load(&program, offsetof(struct seccomp_data, arch));
    const struct sock_fprog filter = {.len = (uint16_t)(PROGRAM_MAX - program.first),
                                      .filter = program.code + program.first};
    return SANDBOX_FITS && MACHINE != 0 && syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter) == 0;
}

uint32_t sandbox_enter(const struct worker *w, bool *good, char *why, size_t bytes)
{
    tzset(); /* reads files */
    log_open();
    limit_resources();
    uint32_t confined = w->confined;
    uint32_t abi = confine_files(w->responder);
    confined |= abi << CONFINED_LANDLOCK_SHIFT;
    confined |= confine_calls(w) ? CONFINED_CALLS : 0;
    *good = !w->settings->require_sandbox ||
            ((confined & CONFINED_RIGHTS) != 0 && abi != 0 && (confined & CONFINED_CALLS) != 0);
    if (!*good) {
        snprintf(why, bytes,
                 "require_sandbox: %s%s%sis missing; use a kernel with it, or allow it, or do not require it",
                 (confined & CONFINED_RIGHTS) != 0 ? "" : "no_new_privs ", abi != 0 ? "" : "landlock ",
                 (confined & CONFINED_CALLS) != 0 ? "" : "seccomp ");
    }
    return confined;
}
