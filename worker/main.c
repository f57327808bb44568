/* main.c — one worker: born of the supervisor or of a keeper, it takes over what there is, serves, and goes. */
#include "supervisor/inherit/cell.h"
#include "supervisor/inherit/contract.h"
#include "supervisor/inherit/handing.h"
#include "supervisor/inherit/keeper.h"
#include "supervisor/inherit/log.h"
#include "worker/accept.h"
#include "worker/last_words.h"
#include "worker/limits.h"
#include "worker/loop.h"
#include "worker/orders.h"
#include "worker/orphan.h"
#include "worker/proxies.h"
#include "worker/sandbox.h"
#include "worker/succession.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

/* For the supervisor, which asks a new program before it lets it succeed anybody. */
static int print_contract(void)
{
    printf("perdure-worker %s contract %d cell %d\n", PERDURE_VERSION, CONTRACT_VERSION, CELL_LAYOUT);
    return 0;
}

static void read_birth(struct worker *w)
{
    const char *text = getenv(BIRTH_VARIABLE);
    if (text == NULL || !birth_read(&w->birth, text)) {
        die("perdure-worker is started by perdure, not by hand; see perdure(8)");
    }
    unsetenv(BIRTH_VARIABLE);
}

static void take_name(const struct worker *w)
{
    char name[32];
    snprintf(name, sizeof name, "worker %u", w->birth.slot);
    log_name(name);
    log_generation(w->birth.generation);
    if (w->birth.syslog != 0) {
        log_to_syslog();
    }
    prctl(PR_SET_NAME, "perdure-worker");
}

/* Signals are for the supervisor; a Ctrl-C at its terminal reaches us, too. */
static void ignore_signals(void)
{
    static const int ignored[] = {SIGHUP,  SIGINT,  SIGTERM, SIGQUIT, SIGUSR1,
                                  SIGUSR2, SIGPIPE, SIGTTIN, SIGTTOU, SIGTSTP};
    for (size_t i = 0; i < sizeof ignored / sizeof ignored[0]; i++) {
        signal(ignored[i], SIG_IGN);
    }
}

/* What the successor gets anew from the supervisor ends with the next exec; the cell and the epoll set go on to it. So
 * do the listeners, though it gets them anew: it must have the old numbers to take them out of the epoll set. */
static void mark_descriptors(const struct birth *birth)
{
    fcntl(birth->control_fd, F_SETFD, FD_CLOEXEC);
    fcntl(birth->keeper_fd, F_SETFD, FD_CLOEXEC);
    fcntl(birth->snapshot_fd, F_SETFD, FD_CLOEXEC);
    fcntl(birth->access_log_fd, F_SETFD, FD_CLOEXEC);
    fcntl(birth->control_fd, F_SETFL, O_NONBLOCK);
}

noreturn static void cannot_for(struct worker *w, const char *why, int error)
{
    orders_report_cannot(w, why, error);
    log_error("cannot serve: %s", why);
    exit(1);
}

noreturn static void cannot(struct worker *w, const char *why)
{
    cannot_for(w, why, 0);
}

static void make_epoll_set(struct worker *w)
{
    if (w->birth.epoll_fd < 0) {
        w->birth.epoll_fd = epoll_create1(0);
        if (w->birth.epoll_fd < 0) {
            die("epoll_create1: %s", strerror(errno));
        }
    }
}

/* Its keeper could not fork us: the supervisor did, and all that we are to adopt is still to come. */
static void take_over(struct worker *w)
{
    if (w->birth.handed_fd >= 0 && !handing_take(&w->birth)) {
        cannot(w, "the keeper did not hand all of its descriptors down");
    }
}

static void open_cell(struct worker *w)
{
    int fd = w->birth.cell_fd;
    bool is_new = w->birth.cause == BIRTH_FRESH;
    bool was_sick = false;
    if ((is_new ? cell_lay_out(&w->cell, fd) : cell_adopt(&w->cell, fd, &was_sick)) != 0) {
        int error = errno;
        cannot_for(w, error == EPROTO ? "the cell has another layout" : strerror(error), error);
    }
    if (was_sick) {
        log_warn("adopting: the cell's header does not say what the cell is like: put right, by the cell's size");
    }
    bool has_desks = desks_open(&w->desks, &w->cell);
    w->unverified = calloc(w->cell.slots_count / 8 + 1, 1);
    w->inherited = calloc(w->cell.slots_count / 8 + 1, 1);
    if (!has_desks || w->unverified == NULL || w->inherited == NULL) {
        cannot(w, strerror(ENOMEM));
    }
}

static void open_site(struct worker *w)
{
    char error[SETTINGS_ERROR_BYTES];
    w->settings = settings_parse(w->birth.snapshot_fd, error);
    if (w->settings == NULL) {
        cannot(w, error);
    }
    w->responder = responder_open(w->settings, error);
    if (w->responder == NULL) {
        cannot(w, error);
    }
}

/* Some descriptors are for the keeper alone: however full the table, it can receive what a successor is born with. */
static void leave_some_to_keeper(struct worker *w)
{
    struct rlimit limit;
    rlim_t reserve = CONTRACT_FDS_MAX - CONTRACT_LISTENERS_MAX + w->birth.listeners_count + 4;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return;
    }
    if (limit.rlim_cur > w->cell.slots_count) {
        limit.rlim_cur = w->cell.slots_count;
    }
    w->descriptors = (uint32_t)(limit.rlim_cur > 2 * reserve ? limit.rlim_cur - reserve : limit.rlim_cur);
    limit.rlim_cur = w->descriptors;
    setrlimit(RLIMIT_NOFILE, &limit);
}

/* The keeper passes its own limit on to the successor: the whole. */
static void keep(struct worker *w)
{
    w->guarded_fd = w->birth.keeper_fd;
    w->keeper_pid = keeper_make(&w->birth, w->confined);
    if (w->keeper_pid < 0) {
        cannot(w, "cannot make a keeper");
    }
}

/* From here on nothing is opened by a path but below the sites' roots. */
static void confine(struct worker *w)
{
    bool good;
    char why[256];
    w->birth.program_fd = open("/proc/self/exe", O_PATH | O_CLOEXEC); /* for a keeper that cannot exec */
    w->confined = sandbox_enter(w, &good, why, sizeof why);
    if (!good) {
        cannot(w, why);
    }
}

static void stand(struct worker *w)
{
    struct succession succession;
    succession_adopt(w, &succession);
    w->alone = w->birth.cause == BIRTH_FRESH;
    orders_report_ready(w, succession.adopted, succession.dropped);
    orphan_prepare(w);
    worker_watch(w, w->birth.control_fd, EPOLL_CTL_ADD, EPOLLIN);
    accept_begin(w);
    succession_continue(w, &succession);
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--contract") == 0) {
        return print_contract();
    }
    struct worker w = {.giving_fd = -1, .was_in_hand = -1, .guarded_fd = -1};
    read_birth(&w);
    take_name(&w);
    ignore_signals();
    take_over(&w);
    mark_descriptors(&w.birth);
    make_epoll_set(&w);
    w.confined = sandbox_drop_rights();
    keep(&w);
    w.now = clock_now();
    open_cell(&w);
    last_words_begin(w.cell.header);
    succession_look(&w);
    leave_some_to_keeper(&w);
    open_site(&w);
    limits_open(&w);
    proxies_open(&w);
    confine(&w);
    stand(&w);
    do {
        loop_run(&w);
    } while (w.retiring && orders_park(&w));
    if (!w.retiring) {
        last_words_well(); /* else they are the successor's */
    }
    /* Nothing is freed or closed: the descriptor table is the keeper's, too, and the successor goes on with it. */
    _exit(0);
}
