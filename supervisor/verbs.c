/* verbs.c — see verbs.h. Results go to standard output, faults and refusals to standard error. */
#include "supervisor/verbs.h"

#include "supervisor/control_ask.h"
#include "supervisor/identity.h"
#include "supervisor/inherit/settings.h"
#include "supervisor/inherit/snapshot.h"
#include "supervisor/listener_probe.h"
#include "supervisor/orphans.h"
#include "supervisor/run_dir.h"
#include "supervisor/start.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

enum {
    STATUS_PATIENCE_MS = 7000, /* longer than a dead supervisor's keeper waits for an heir */
    STOP_GRACE_MS = 20000,     /* beyond stop_timeout: killing, reaping, cleaning up */
    STOP_UNKNOWN_MS = 3600000, /* for stop_timeout, when the configuration cannot be read */
};

/* Nobody was found there: say so if the place had to be guessed. */
static void warn_of_guess(const struct run_dir *run_dir)
{
    if (run_dir->warning[0] != '\0') {
        fprintf(stderr, "perdure: warning: %s\n", run_dir->warning);
    }
}

/* TEXT, ending with a line end. */
static void print(FILE *out, const char *text)
{
    size_t length = strlen(text);
    fprintf(out, "%s%s", text, length > 0 && text[length - 1] != '\n' ? "\n" : "");
}

/* Results of up to GOOD_MAX are no faults. */
static int print_answer(const struct control_answer *answer, int good_max)
{
    print(answer->exit_code <= good_max ? stdout : stderr, answer->text);
    return answer->exit_code;
}

/* Workers that serve on although their supervisor and its keeper are gone: who, and what to do. False: there are none.
 */
static bool say_orphans(FILE *out, const struct command *command, const struct run_dir *run_dir)
{
    enum { SHOWN_MAX = 16 };
    pid_t pids[SHOWN_MAX];
    size_t count = orphans_look(run_dir->path, pids, SHOWN_MAX);
    if (count == 0) {
        return false;
    }
    fprintf(out, "perdure: the supervisor is gone, and %zu %s on without one (pid", count,
            count == 1 ? "worker serves" : "workers serve");
    for (size_t i = 0; i < count && i < SHOWN_MAX; i++) {
        fprintf(out, " %d", (int)pids[i]);
    }
    fprintf(out, "%s); another takes over by: perdure start -c %s\n", count > SHOWN_MAX ? " ..." : "", command->config);
    return true;
}

/* Where the service runs may be a guess: then nobody there is no proof that it does not run. */
static void say_nobody_answers(const struct command *command, const struct run_dir *run_dir)
{
    warn_of_guess(run_dir);
    if (say_orphans(stderr, command, run_dir)) {
        return;
    }
    if (run_dir->warning[0] != '\0') {
        fprintf(stderr, "perdure: nobody answers in %s; mend %s, so that it says where the service runs\n",
                run_dir->path, command->config);
    } else {
        fprintf(stderr, "perdure: not running (nobody answers in %s); start it with: perdure start -c %s\n",
                run_dir->path, command->config);
    }
}

/* Verbs whose answer is all there is to say. Exits with TROUBLE when there is none. */
static int ask(const struct command *command, enum control_verb verb, int good_max, int trouble)
{
    struct run_dir run_dir;
    struct control_answer answer;
    run_dir_find(command->config, &run_dir);
    enum control_outcome outcome = control_ask(run_dir.path, verb, 0, 0, &answer);
    int exit_code = trouble;
    if (outcome == CONTROL_ANSWERED) {
        exit_code = print_answer(&answer, good_max);
    } else if (outcome == CONTROL_NOBODY) {
        say_nobody_answers(command, &run_dir);
    } else {
        fprintf(stderr, "perdure: %s\n", answer.text);
    }
    free(answer.text);
    return exit_code;
}

int verb_reload(const struct command *command)
{
    return ask(command, CONTROL_RELOAD, 0, 1);
}

int verb_diff(const struct command *command)
{
    return ask(command, CONTROL_DIFF, DIFF_CHANGES, DIFF_REFUSED);
}

int verb_restart(const struct command *command)
{
    return ask(command, CONTROL_RESTART, 0, 1);
}

int verb_reopen(const struct command *command)
{
    return ask(command, CONTROL_REOPEN, 0, 1);
}

/* ---- status ---- */

/* There is nobody to ask. STATE is LSB's exit code. */
static int say_not_running(const struct command *command, const struct run_dir *run_dir, enum identity_state state,
                           pid_t pid)
{
    warn_of_guess(run_dir);
    if (command->json) {
        printf("{\"version\":\"" PERDURE_VERSION "\",\"supervisor\":null,\"orphans\":%zu,\"status\":%d}\n",
               orphans_look(run_dir->path, NULL, 0), state);
    } else if (say_orphans(stdout, command, run_dir)) {
        return IDENTITY_DEAD;
    } else if (state == IDENTITY_DEAD) {
        printf("perdure is dead: %s/perdure.pid says %d, but nobody holds the lock\n", run_dir->path, (int)pid);
    } else if (state == IDENTITY_STOPPED) {
        printf("perdure is not running (%s)\n", run_dir->path);
    }
    if (state == IDENTITY_UNKNOWN) {
        fprintf(stderr, "perdure: cannot tell whether it runs: %s/perdure.lock: %s\n", run_dir->path, strerror(errno));
    }
    return (int)state;
}

int verb_status(const struct command *command)
{
    struct run_dir run_dir;
    struct control_answer answer;
    run_dir_find(command->config, &run_dir);
    enum control_outcome outcome =
        control_ask(run_dir.path, CONTROL_STATUS, command->json ? CONTROL_JSON : 0, STATUS_PATIENCE_MS, &answer);
    int exit_code;
    if (outcome == CONTROL_ANSWERED) {
        exit_code = print_answer(&answer, 0);
    } else {
        pid_t pid;
        enum identity_state state = identity_look(run_dir.path, &pid);
        exit_code = IDENTITY_UNKNOWN;
        if (state == IDENTITY_RUNNING && pid != 0) {
            fprintf(stderr, "perdure: supervisor pid %d holds the lock, but: %s\n", (int)pid, answer.text);
        } else if (state == IDENTITY_RUNNING) {
            fprintf(stderr, "perdure: it runs, but the supervisor is dead, and: %s\n", answer.text);
        } else {
            exit_code = say_not_running(command, &run_dir, state, pid);
        }
    }
    free(answer.text);
    return exit_code;
}

/* ---- stop ---- */

/* The control socket did not do it (missing, full, another version): a signal will. */
static int stop_by_signal(const struct command *command, const struct run_dir *run_dir, const char *why)
{
    if (identity_signal(run_dir->path, command->now ? SIGINT : SIGTERM) == 0) {
        fprintf(stderr, "perdure: %s; sent %s instead\n", why, command->now ? "SIGINT" : "SIGTERM");
        return 0;
    }
    int number = errno;
    if (number == ESRCH && identity_look(run_dir->path, NULL) != IDENTITY_RUNNING) {
        return 0; /* it went meanwhile */
    }
    fprintf(stderr, "perdure: cannot stop it: %s; nor by signal: %s\n", why, strerror(number));
    return 1;
}

static int stop_running(const struct command *command, const struct run_dir *run_dir, pid_t pid)
{
    struct control_answer answer;
    uint64_t patience_ms = STOP_GRACE_MS;
    int process_fd = pid > 0 ? pidfd_open(pid, 0) : -1;
    if (!command->now) {
        patience_ms += run_dir->stop_timeout_ms > 0 ? run_dir->stop_timeout_ms : STOP_UNKNOWN_MS;
    }
    unsigned flags = command->now ? CONTROL_NOW : 0;
    enum control_outcome outcome = control_ask_stop(run_dir->path, flags, patience_ms, &answer);
    int exit_code = 0;
    switch (outcome) {
    case CONTROL_ANSWERED:
        exit_code = answer.text[0] != '\0' || answer.exit_code != 0 ? print_answer(&answer, 0) : 0;
        break;
    case CONTROL_ENDED:
        break;
    case CONTROL_DENIED:
    case CONTROL_FAILED:
    case CONTROL_NOBODY:
        exit_code = stop_by_signal(command, run_dir, answer.text);
        break;
    }
    free(answer.text);
    if (exit_code == 0 &&
        !(identity_wait_gone(run_dir->path, patience_ms) && identity_wait_exit(process_fd, patience_ms))) {
        fprintf(stderr,
                "perdure: supervisor pid %d is still there after %llu s; try: perdure stop --now, then kill -9 %d\n",
                (int)pid, (unsigned long long)patience_ms / 1000, (int)pid);
        exit_code = 1;
    }
    if (process_fd >= 0) {
        close(process_fd);
    }
    return exit_code;
}

int verb_stop(const struct command *command)
{
    struct run_dir run_dir;
    run_dir_find(command->config, &run_dir);
    pid_t pid;
    bool had_orphans = orphans_look(run_dir.path, NULL, 0) > 0;
    if (had_orphans && start_to_stop(command, run_dir.path) != 0) {
        return 1;
    }
    enum identity_state state = identity_look(run_dir.path, &pid);
    if (state == IDENTITY_RUNNING) {
        int exit_code = stop_running(command, &run_dir, pid);
        if (exit_code == 0) {
            printf("perdure: stopped\n");
        }
        return exit_code;
    }
    if (state == IDENTITY_UNKNOWN) {
        fprintf(stderr, "perdure: cannot stop it: %s/perdure.lock: %s\n", run_dir.path, strerror(errno));
        return 1;
    }
    if (had_orphans) {
        printf("perdure: stopped\n");
        return 0;
    }
    warn_of_guess(&run_dir);
    /* LSB: stopping what does not run is success. */
    printf("perdure: not running (%s)%s\n", run_dir.path, state == IDENTITY_DEAD ? "; a stale pid file is left" : "");
    return 0;
}

/* ---- check ---- */

/* The configuration may be good, and an address taken: that is no fault of the file, and may be over when the service
 * starts. While it runs it has its addresses itself, and `perdure diff` tells of new ones. */
static void warn_of_addresses(const struct settings *settings)
{
    static const struct listeners none;
    char error[LISTENERS_ERROR_BYTES];
    if (identity_look(settings->run_dir, NULL) != IDENTITY_RUNNING && listeners_probe(&none, settings, error) != 0) {
        fprintf(stderr, "perdure: warning: %s\n", error);
    }
}

int verb_check(const struct command *command)
{
    char error[SETTINGS_ERROR_BYTES];
    int snapshot_fd = snapshot_take(command->config, NULL, error);
    struct settings *settings = snapshot_fd >= 0 ? settings_parse(snapshot_fd, error) : NULL;
    if (snapshot_fd >= 0) {
        close(snapshot_fd);
    }
    if (settings == NULL) {
        fprintf(stderr, "%s\n", error);
        return 1;
    }
    warn_of_addresses(settings);
    settings_free(settings);
    printf("%s: good\n", command->config);
    return 0;
}
