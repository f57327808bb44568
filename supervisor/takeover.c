/* takeover.c — see takeover.h. */
#include "supervisor/takeover.h"

#include "supervisor/begin.h"
#include "supervisor/census.h"
#include "supervisor/channels.h"
#include "supervisor/deaths.h"
#include "supervisor/given.h"
#include "supervisor/identity.h"
#include "supervisor/image.h"
#include "supervisor/inherit/log.h"
#include "supervisor/inherit/snapshot.h"
#include "supervisor/ledger_fds.h"
#include "supervisor/ledger_mend.h"
#include "supervisor/notify.h"
#include "supervisor/own_keeper.h"
#include "supervisor/reap.h"
#include "supervisor/reload.h"
#include "supervisor/relog.h"
#include "supervisor/roll.h"
#include "supervisor/stop.h"
#include "supervisor/tend.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static void each_worker(struct supervisor *s, void (*visit)(struct supervisor *s, struct worker *w))
{
    for (uint32_t i = 0; i < s->ledger->workers.count; i++) {
        visit(s, &s->ledger->workers.all[i]);
    }
}

/* ---- descriptors ---- */

static int socket_option(int fd, int option)
{
    int value = -1;
    socklen_t length = sizeof value;
    return getsockopt(fd, SOL_SOCKET, option, &value, &length) == 0 ? value : -1;
}

/* Watch the channel *FD of the worker in SLOT. What is none is dropped, and not closed: it may be something else's. */
static void adopt_channel(struct supervisor *s, int32_t *fd, uint32_t slot)
{
    if (*fd < 0) {
        return;
    }
    if (socket_option(*fd, SO_TYPE) != SOCK_SEQPACKET || !watch_add(s, *fd, EPOLLIN, WATCH_SLOT, slot)) {
        log_warn("worker %u: descriptor %d of the ledger is no channel: dropped", slot, *fd);
        *fd = -1;
    }
}

/* One descriptor that stands in two places: the dead one was about to move it. It belongs to where it goes. */
static void settle_move(int32_t *from, const int32_t *to)
{
    if (*from == *to) {
        *from = -1;
    }
}

/* The same of who was told to leave. */
static void settle_leaving(struct worker *w, int32_t *fd, int32_t *pid)
{
    for (size_t i = 0; i < WORKER_LEAVING_MAX; i++) {
        if (*pid != 0 && w->leaving[i].pid == *pid) {
            *fd = -1;
            *pid = 0;
        }
    }
}

static void adopt_channels(struct supervisor *s, struct worker *w)
{
    settle_leaving(w, &w->keeper_fd, &w->keeper_pid);
    settle_leaving(w, &w->next_keeper_fd, &w->next_keeper_pid);
    settle_leaving(w, &w->control_fd, &w->parked_pid);
    if (w->state == WORKER_SERVING) {
        settle_move(&w->next_control_fd, &w->control_fd);
        settle_move(&w->next_keeper_fd, &w->keeper_fd);
    } else {
        settle_move(&w->control_fd, &w->next_control_fd);
        settle_move(&w->keeper_fd, &w->next_keeper_fd);
    }
    adopt_channel(s, &w->control_fd, w->slot);
    adopt_channel(s, &w->keeper_fd, w->slot);
    adopt_channel(s, &w->next_control_fd, w->slot);
    adopt_channel(s, &w->next_keeper_fd, w->slot);
}

static bool is_listener(const struct listener *listener)
{
    return socket_option(listener->fd, SO_ACCEPTCONN) >= 0 && socket_option(listener->fd, SO_TYPE) == SOCK_STREAM;
}

/* Drop what is no socket any more; a renewal binds what is missing. Returns how many were dropped. */
static uint32_t check_listeners(struct listeners *listeners)
{
    uint32_t good = 0;
    uint32_t all = listeners->count;
    for (uint32_t i = 0; i < all; i++) {
        if (is_listener(&listeners->all[i])) {
            listeners->all[good++] = listeners->all[i];
        } else {
            log_warn("descriptor %d of the ledger is not the listening socket of %.100s: dropped", listeners->all[i].fd,
                     listeners->all[i].address);
        }
    }
    listeners->count = good;
    memset(&listeners->all[good], 0, (all - good) * sizeof listeners->all[0]);
    return all - good;
}

/* ---- processes ---- */

/* It was told that it serves, retires, gives or stops: so it has a process, or it has died. */
static bool runs(const struct worker *w)
{
    return w->state == WORKER_SERVING || w->state == WORKER_RETIRING || w->state == WORKER_SHOT ||
           w->state == WORKER_GIVING || w->state == WORKER_STOPPING;
}

static void find_worker(struct worker *w)
{
    int32_t others[WORKER_LEAVING_MAX + 1] = {w->parked_pid};
    for (size_t i = 0; i < WORKER_LEAVING_MAX; i++) {
        others[i + 1] = w->leaving[i].pid;
    }
    pid_t found = census_find_worker(w->slot, w->cell_fd, others, WORKER_LEAVING_MAX + 1);
    if (found != 0 || reap_is_ours(w->pid)) {
        log_warn("ledger: worker %u is not pid %d: it is pid %d", w->slot, w->pid, found);
        w->pid = found;
    }
}

static void doubt_pid(const struct worker *w, int32_t *pid, bool is)
{
    if (!is && reap_is_ours(*pid)) {
        log_warn("ledger: pid %d belongs to somebody else than worker %u: dropped", *pid, w->slot);
        *pid = 0;
    }
}

/* Its face is in the ledger's descriptor, but a keeper has it, too. */
static void find_cell(struct worker *w)
{
    if (w->cell_fd < 0 && census_is_keeper(w->keeper_pid, w->slot)) {
        w->cell_fd = census_cell(w->keeper_pid);
    }
    if (w->cell_fd < 0 && census_is_worker(w->pid, w->slot, -1)) {
        w->cell_fd = census_cell(w->pid);
    }
    if (w->cell_fd >= 0) {
        log_warn("ledger: worker %u: its cell is found again", w->slot);
    }
}

/* Are they who the ledger says they are? Who has ended is nobody's, and missed in a moment. */
static void identify(struct supervisor *s, struct worker *w)
{
    (void)s;
    if (runs(w) && w->cell_fd < 0) {
        find_cell(w);
    }
    if (runs(w) && !census_is_worker(w->pid, w->slot, w->cell_fd)) {
        find_worker(w);
    }
    doubt_pid(w, &w->keeper_pid, census_is_keeper(w->keeper_pid, w->slot));
    doubt_pid(w, &w->next_keeper_pid, census_is_keeper(w->next_keeper_pid, w->slot));
    doubt_pid(w, &w->parked_pid, census_is_worker(w->parked_pid, w->slot, w->cell_fd));
    for (size_t i = 0; i < WORKER_LEAVING_MAX; i++) {
        int32_t *pid = &w->leaving[i].pid;
        doubt_pid(w, pid, census_is_keeper(*pid, w->slot) || census_is_worker(*pid, w->slot, -1));
    }
}

static bool is_on_its_way(const struct worker *w)
{
    return w->state == WORKER_STARTING || w->state == WORKER_ADOPTING;
}

/* Nobody can tell it anything: its keeper, which has all it has, forks one who can be told. This comes before the end
 * of the former supervisor's keeper, which has the lost channel open still: the worker would see that it ends, and
 * stop. */
static void succeed_the_cut_off(struct supervisor *s, struct worker *w)
{
    (void)s;
    bool cut_off = (runs(w) && w->control_fd < 0 && w->keeper_fd >= 0) || (is_on_its_way(w) && w->next_control_fd < 0);
    if (cut_off && reap_is_ours(w->pid)) {
        log_warn("worker %u: no channel to pid %d is left: it is killed, to be succeeded", w->slot, w->pid);
        reap_signal(w->pid, SIGKILL);
    }
}

static void miss_the_dead(struct supervisor *s, struct worker *w)
{
    for (size_t i = 0; i < WORKER_LEAVING_MAX; i++) {
        deaths_miss(s, w->leaving[i].pid);
    }
    deaths_miss(s, w->keeper_pid);
    deaths_miss(s, w->next_keeper_pid);
    deaths_miss(s, w->parked_pid);
    deaths_miss(s, w->pid);
    if (runs(w) && w->pid == 0) {
        deaths_worker(s, w, REAP_UNKNOWN); /* its death was seen, and what follows from it not begun */
    } else if (is_on_its_way(w) && w->next_control_fd < 0 && !reap_is_ours(w->pid)) {
        deaths_worker(s, w, SIGKILL); /* the same of one on its way, or it was never forked */
    }
    tend_end_if_alone(s, w); /* the same of the last one of a worker that is gone for good */
}

static bool watch_orphans(struct supervisor *s)
{
    int fd = reap_orphans();
    return fd >= 0 && watch_add(s, fd, EPOLLIN, WATCH_ORPHANS, 0);
}

/* ---- the roll call ---- */

static void call(const struct worker *w)
{
    channels_order(w->control_fd, ORDER_ROLL_CALL, NULL, 0);
    channels_order(w->keeper_fd, ORDER_ROLL_CALL, NULL, 0);
    channels_order(w->next_control_fd, ORDER_ROLL_CALL, NULL, 0);
    channels_order(w->next_keeper_fd, ORDER_ROLL_CALL, NULL, 0);
}

/* Say once more what the dead one may have noted and not said. To be told twice does no harm. */
static void say_again(struct supervisor *s, struct worker *w)
{
    for (size_t i = 0; i < WORKER_LEAVING_MAX; i++) {
        channels_order(w->leaving[i].fd, ORDER_LEAVE, NULL, 0);
    }
    switch ((enum worker_state)w->state) {
    case WORKER_EMPTY:
    case WORKER_SERVING:
    case WORKER_GIVING:
    case WORKER_BACKING_OFF:
    case WORKER_ENDING:
        channels_close_next(s, w);
        return;
    case WORKER_RETIRING:
        channels_order(w->control_fd, ORDER_RETIRE, NULL, 0);
        return;
    case WORKER_SHOT:
        reap_signal(w->pid, SIGKILL);
        return;
    case WORKER_STOPPING:
        tend_tell_stop(s, w);
        return;
    case WORKER_STARTING:
    case WORKER_SUCCEEDING:
    case WORKER_ADOPTING:
        return;
    }
}

static void meet(struct supervisor *s, struct worker *w)
{
    adopt_channels(s, w);
    tend_map_cell(s, w);
    const struct cell *cell = &s->cells[w->slot];
    if (runs(w) && cell->header != NULL && cell_layout(cell) != w->layout) {
        log_warn("ledger: worker %u: layout cannot be %u: its cell says %u", w->slot, w->layout, cell_layout(cell));
        w->layout = cell_layout(cell);
    }
}

static void count_roll(struct supervisor *s, struct worker *w)
{
    w->keeper_asked_ms = clock_now().ms; /* it is there, perhaps, and will say so */
    say_again(s, w);
    call(w);
}

/* ---- the rest of it ---- */

static bool is_waiter(const struct ledger *ledger, uint64_t client)
{
    for (uint32_t i = 0; i < ledger->waiters_count; i++) {
        if (ledger->waiters[i].client == client) {
            return true;
        }
    }
    return false;
}

/* Those who asked, and of whose asking nothing was noted (or it died with the image before, as a `diff` does), are
 * heard again. */
static void hear_again(struct supervisor *s)
{
    for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
        const struct control_kept_client *kept = &s->ledger->control.clients[i];
        if (kept->fd >= 0 && kept->asking == 0 && !is_waiter(s->ledger, kept->client)) {
            control_hear_again(s->control, kept->client);
        }
    }
}

/* The program is the one on disk: the one of the ledger is none. */
static void find_program(struct ledger *ledger)
{
    char error[PROGRAM_ERROR_BYTES];
    if (ledger->own_path[0] == '\0' && program_own_path(ledger->own_path)) {
        log_warn("ledger: the program is %s", ledger->own_path);
    }
    if (ledger->present.program_fd < 0) {
        ledger->present.program_fd = program_open_worker(ledger->own_path, ledger->worker_path, error);
        log_warn("ledger: the worker program is the one on disk now: %s",
                 ledger->present.program_fd >= 0 ? ledger->worker_path : error);
    }
}

/* The present configuration; what cannot be read any more is taken from the good edition, and then from the file. */
static struct settings *find_settings(struct ledger *ledger, char error[SETTINGS_ERROR_BYTES])
{
    struct settings *settings = settings_parse(ledger->present.snapshot_fd, error);
    if (settings == NULL && ledger->good.snapshot_fd >= 0) {
        log_error("ledger: the present configuration cannot be read: %s; the one before is used", error);
        ledger->present.snapshot_fd = ledger->good.snapshot_fd;
        settings = settings_parse(ledger->present.snapshot_fd, error);
    }
    if (settings == NULL && !ledger->config_is_text) {
        log_error("ledger: no configuration can be read: %s; the file is used", error);
        ledger->present.snapshot_fd = snapshot_take(ledger->config_path, NULL, error);
        settings = ledger->present.snapshot_fd >= 0 ? settings_parse(ledger->present.snapshot_fd, error) : NULL;
    }
    return settings;
}

/* A good edition that nobody could go back to is none; the present one is as good. */
static void see_to_good_edition(struct ledger *ledger)
{
    bool is_whole = ledger->good.snapshot_fd >= 0 && ledger->good.program_fd >= 0;
    if (ledger->good.generation != 0 && !is_whole) {
        log_warn("ledger: generation %u cannot be gone back to any more", ledger->good.generation);
        ledger->good = ledger->present;
    }
}

static bool adopt_settings(struct supervisor *s)
{
    char error[SETTINGS_ERROR_BYTES];
    s->settings = find_settings(s->ledger, error);
    if (s->settings == NULL || !given_are_meant(s->settings, &s->ledger->listeners)) {
        log_error("the new supervisor cannot read the configuration: %s", error);
        return false;
    }
    find_program(s->ledger);
    see_to_good_edition(s->ledger);
    if (s->ledger->run_dir[0] == '\0') {
        snprintf(s->ledger->run_dir, sizeof s->ledger->run_dir, "%s", s->settings->run_dir);
        log_warn("ledger: run_dir is %s", s->ledger->run_dir);
    }
    char why[PRIVILEGE_ERROR_BYTES];
    if (!privilege_find(s->settings->user, &s->privilege, why)) {
        log_error("%s", why);
        return false;
    }
    privilege_shed();
    return true;
}

static bool adopt_ledger(struct supervisor *s)
{
    s->ledger_fd = image_ledger_fd();
    given_forget();
    s->ledger = ledger_adopt(s->ledger_fd);
    if (s->ledger == NULL) {
        log_error("the ledger (descriptor %d) cannot be taken over: %s", s->ledger_fd, strerror(errno));
        return false;
    }
    const int ours[] = {s->ledger_fd, s->epoll_fd, s->signal_fd};
    ledger_mend(s->ledger, clock_now(), clock_now_us());
    ledger_check_fds(s->ledger, ours, sizeof ours / sizeof ours[0]);
    ledger_mend(s->ledger, clock_now(), clock_now_us()); /* the states once more, without what was dropped */
    if (s->ledger->oom_kills > reap_oom_kills()) {
        s->ledger->oom_kills = reap_oom_kills();
    }
    if (s->ledger->error_log_fd >= 0) {
        dup2(s->ledger->error_log_fd, STDERR_FILENO); /* an heir comes with that of its manager */
    }
    if (s->ledger->error_log_is_syslog) {
        log_to_syslog();
    }
    return true;
}

/* Who waits for an answer does so on the socket that was; only for want of anything else there is another one. */
static struct control *adopt_kept(struct supervisor *s)
{
    enum { TRIES = 50, PAUSE_MS = 20 };
    struct control *control = control_adopt(s->ledger->run_dir, &s->ledger->control);
    for (int i = 0; i < TRIES && control == NULL && errno != ENOTSOCK; i++) {
        (void)poll(NULL, 0, PAUSE_MS);
        control = control_adopt(s->ledger->run_dir, &s->ledger->control);
    }
    return control;
}

static bool adopt_control(struct supervisor *s)
{
    char error[CONTROL_ERROR_BYTES];
    s->control = adopt_kept(s);
    if (s->control == NULL && (s->control = control_open(s->ledger->run_dir, error)) == NULL) {
        log_error("%s", error);
        return false;
    }
    control_keep_nothing(&s->ledger->control);
    control_permit(s->control, s->settings->control_group);
    control_keep(s->control, &s->ledger->control);
    return true;
}

/* This process is the supervisor from now on, whatever the pid of the one before. */
static void take_office(struct supervisor *s)
{
    char error[IDENTITY_ERROR_BYTES];
    if (!identity_adopt(s->ledger->run_dir, s->ledger->lock_fd)) {
        pid_t holder = 0;
        bool taken = identity_take(s->ledger->run_dir, &s->ledger->lock_fd, &holder, error) == IDENTITY_OURS;
        log_error("the lock of %s was not ours any more: %s", s->ledger->run_dir, taken ? "taken again" : "not taken");
    }
    s->ledger->supervisor_pid = getpid();
    if (identity_write_pid(s->ledger->run_dir, getpid(), error) != 0) {
        log_error("%s", error);
    }
}

/* What cannot be opened again goes where our own messages go: without a descriptor nobody could be born. */
static void reopen_dropped_logs(struct supervisor *s)
{
    struct ledger *ledger = s->ledger;
    char error[LOGS_ERROR_BYTES];
    if (ledger->stderr_fd < 0 && ledger->foreground != 0) {
        ledger->stderr_fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    }
    if ((ledger->error_log_fd >= 0 && ledger->access_log_fd >= 0) || relog(s, error) == 0) {
        return;
    }
    if (ledger->error_log_fd < 0) {
        ledger->error_log_fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    }
    if (ledger->access_log_fd < 0) {
        ledger->access_log_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    }
}

static void tell(struct supervisor *s, pid_t former_pid)
{
    char line[160];
    double gap_ms = (double)(clock_now_us() - s->ledger->died_us) / 1000;
    s->ledger->takeovers++;
    snprintf(line, sizeof line, "supervisor pid %d died: pid %d has taken over in %.1f ms: %u listeners, %u workers",
             (int)former_pid, (int)getpid(), gap_ms, s->ledger->listeners.count, s->ledger->workers.count);
    log_warn("%s", line);
    notify_ready(getpid(), line);
}

enum { READY_BYTES = 8 }; /* "\nready\n" */

/* Workers were found without a supervisor: their log files may have been renamed meanwhile; and whoever started us
 * waits for a word. */
static void settle_orphans(struct supervisor *s, pid_t former_pid)
{
    struct ledger *ledger = s->ledger;
    char line[2048];
    int length = snprintf(line, sizeof line - READY_BYTES,
                          "took over %u worker%s of the supervisor that died (pid %d); serving on ", ledger->orphans,
                          ledger->orphans == 1 ? "" : "s", (int)former_pid);
    for (size_t i = 0; i < ledger->listeners.count && (size_t)length < sizeof line / 2; i++) {
        length += snprintf(line + length, sizeof line / 2, "%s%s", i > 0 ? ", " : "", ledger->listeners.all[i].address);
    }
    snprintf(line + length, READY_BYTES, "\nready\n");
    log_warn("took over %u workers and %u listeners from a supervisor that is gone", ledger->orphans,
             ledger->listeners.count);
    for (uint32_t i = 0; i < ledger->workers.count; i++) {
        tend_reopen(s, &ledger->workers.all[i]);
        channels_tell_alone(&ledger->workers.all[i]);
    }
    ledger->orphans = 0;
    begin_tell_starter(s, line);
}

bool takeover(struct supervisor *s)
{
    if (!adopt_ledger(s)) {
        return false;
    }
    s->ready_fd = s->ledger->ready_fd;
    s->ledger->ready_fd = -1;
    int32_t former_keeper_fd = own_keeper_begin(s);
    pid_t former_pid = s->ledger->supervisor_pid;
    bool died = former_pid != getpid();
    if (!watch_orphans(s)) {
        return false;
    }
    if (died) {
        each_worker(s, identify);
        each_worker(s, succeed_the_cut_off);
    }
    own_keeper_dismiss(s, former_keeper_fd);
    uint32_t dropped = check_listeners(&s->ledger->listeners) + check_listeners(&s->ledger->next_listeners);
    if (!adopt_settings(s)) {
        return false;
    }
    take_office(s);
    each_worker(s, meet);
    if (!adopt_control(s)) {
        return false;
    }
    stop_resume(s);
    reload_adopt(s);
    hear_again(s);
    s->ledger->images++;
    s->ledger->failures = 0;
    if (died) {
        each_worker(s, count_roll); /* learn from everybody how things are */
    }
    each_worker(s, miss_the_dead); /* of orphans the kernel tells us nothing before we have asked once */
    if (died) {
        tell(s, former_pid);
        roll_take_over(s);
        if (s->ledger->orphans != 0) {
            settle_orphans(s, former_pid);
        }
    } else {
        log_info("a new supervisor has taken over, image %u", s->ledger->images);
    }
    s->ledger->restarting = 0;
    reopen_dropped_logs(s);
    if (dropped > 0 && s->phase == PHASE_RUNNING) {
        reload_renew(s);
    }
    return true;
}
