/* start.c — see start.h. */
#include "supervisor/start.h"

#include "supervisor/fd_store.h"
#include "supervisor/given.h"
#include "supervisor/identity.h"
#include "supervisor/inherit/settings.h"
#include "supervisor/inherit/snapshot.h"
#include "supervisor/orphans.h"
#include "supervisor/run_dir.h"
#include "supervisor/supervise.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { REPORT_BYTES = 8192 };

static const char ready[] = "ready\n";

/* ---- before there is a supervisor ---- */

/* The settings as they would be used, or NULL with the reason. */
static struct settings *load(const char *config, const struct listeners *given, char error[SETTINGS_ERROR_BYTES])
{
    snprintf(error, SETTINGS_ERROR_BYTES, "no memory for the configuration");
    int snapshot_fd = snapshot_take(config, NULL, error);
    struct settings *settings = snapshot_fd >= 0 ? settings_parse(snapshot_fd, error) : NULL;
    if (snapshot_fd >= 0) {
        close(snapshot_fd);
    }
    if (settings == NULL || !given_are_meant(settings, given)) {
        settings_free(settings);
        return NULL;
    }
    return settings;
}

/* What is to be started: a service, or a supervisor for workers that go on without one. */
struct beginning {
    struct settings *settings;        /* NULL: not needed, or it does not load */
    char error[SETTINGS_ERROR_BYTES]; /* why not */
    struct run_dir run_dir;           /* of workers without a supervisor; path "": there are none */
};

static bool has_orphans(const struct beginning *beginning)
{
    return beginning->run_dir.path[0] != '\0';
}

/* Workers without a supervisor serve on with the configuration that they have: the file may be broken, or gone. False:
 * there is nothing to be started, and the reason is said. */
static bool look_around(const char *config, const struct listeners *given, struct beginning *beginning)
{
    beginning->settings = load(config, given, beginning->error);
    if (beginning->settings != NULL) {
        snprintf(beginning->run_dir.path, PATH_MAX, "%s", beginning->settings->run_dir);
    } else {
        run_dir_find(config, &beginning->run_dir);
    }
    if (orphans_look(beginning->run_dir.path, NULL, 0) == 0) {
        beginning->run_dir.path[0] = '\0';
    }
    if (beginning->settings == NULL) {
        fprintf(stderr, "perdure: %s%s\n", beginning->error,
                has_orphans(beginning) ? " (the service goes on with the configuration that it has)" : "");
    }
    return beginning->settings != NULL || has_orphans(beginning);
}

static const char *orphans_of(const struct beginning *beginning)
{
    return has_orphans(beginning) ? beginning->run_dir.path : NULL;
}

/* True, and said, if a supervisor of this run directory is there already. It may come between this look and our own
 * supervisor's lock; then that one says so. Where nobody can be named, a dead one's keeper holds the lock: we may be
 * who it waits for. */
static bool is_running(const struct settings *settings, FILE *out)
{
    pid_t pid;
    if (settings == NULL || identity_look(settings->run_dir, &pid) != IDENTITY_RUNNING || pid == 0) {
        return false;
    }
    fprintf(out, "perdure: already running: supervisor pid %d in %s\n", (int)pid, settings->run_dir);
    return true;
}

int start_in_foreground(const struct command *command)
{
    struct listeners given;
    struct beginning beginning = {0};
    fd_store_resume();
    given_take(&given);
    if (!look_around(command->config, &given, &beginning)) {
        return 1;
    }
    bool running = is_running(beginning.settings, stderr);
    settings_free(beginning.settings);
    if (running) {
        return 1;
    }
    struct supervise_options options = {.config_path = command->config,
                                        .foreground = true,
                                        .orphans_run_dir = orphans_of(&beginning),
                                        .ready_fd = -1,
                                        .given = &given};
    return supervise(&options);
}

/* ---- in the background ---- */

static void to_null(int fd, int flags)
{
    int null_fd = open("/dev/null", flags | O_CLOEXEC);
    if (null_fd >= 0) {
        dup2(null_fd, fd);
        close(null_fd);
    }
}

/* Close what the starter's shell happened to have open, but all up to LAST and FD, which gets the number that is
 * returned. */
static int keep_only(int last, int fd)
{
    while (fd != last + 1 && dup3(fd, last + 1, O_CLOEXEC) < 0 && (errno == EBUSY || errno == EINTR)) {
    }
    close_range((unsigned)last + 2, ~0U, 0);
    return last + 1;
}

/* The child: a session of its own, and no terminal, directory or output of the starter's is held on to. Descriptor 2
 * stays until the service answers; supervise sees to it. */
static int become_supervisor(struct supervise_options *options)
{
    setsid();
    to_null(STDIN_FILENO, O_RDONLY);
    to_null(STDOUT_FILENO, O_WRONLY);
    options->ready_fd = keep_only(given_last_fd(options->given), options->ready_fd);
    if (chdir("/") != 0) {
        return 1;
    }
    umask(022);
    return supervise(options);
}

/* The supervisor to be, so that a Ctrl-C given to `perdure start` leaves nothing half-started behind. */
static volatile sig_atomic_t starting_pid;

static void give_up(int signal_number)
{
    if (starting_pid > 0) {
        kill((pid_t)starting_pid, SIGTERM);
    }
    (void)signal_number;
}

static void on_give_up(void (*handler)(int))
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
}

/* True if REPORT ends so, which is cut off then: the service answers. */
static bool cut_ready(char report[REPORT_BYTES])
{
    size_t length = strlen(report);
    if (length < strlen(ready) || strcmp(report + length - strlen(ready), ready) != 0) {
        return false;
    }
    report[length - strlen(ready)] = '\0';
    return true;
}

/* What the child reports, up to "ready\n" or EOF. True if it is ready. */
static bool read_report(int fd, char report[REPORT_BYTES])
{
    size_t length = 0;
    report[0] = '\0';
    while (length < REPORT_BYTES - 1 && !cut_ready(report)) {
        ssize_t got = read(fd, report + length, REPORT_BYTES - 1 - length);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return false;
        }
        length += (size_t)got;
        report[length] = '\0';
    }
    return length < REPORT_BYTES - 1;
}

static void say_serving(const struct settings *settings, pid_t pid)
{
    printf("perdure: serving on ");
    for (size_t i = 0; i < settings->listeners_count; i++) {
        printf("%s%s", i > 0 ? ", " : "", settings->listeners[i].address);
    }
    printf(" (pid %d)\n", (int)pid);
}

/* The child will not serve: what it said, else how it ended, and the exit code. */
static int say_failed(pid_t pid, char report[REPORT_BYTES])
{
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    report[strcspn(report, "\n")] = '\0';
    if (report[0] != '\0') {
        fprintf(stderr, "perdure: %s\n", report);
        return 1;
    }
    if (WIFSIGNALED(status)) {
        fprintf(stderr, "perdure: the supervisor was killed while it started (signal %d)\n", WTERMSIG(status));
        return 1;
    }
    return WEXITSTATUS(status);
}

/* The parent waits, so that `start` returns when the service answers and not before. */
static int await_service(const struct settings *settings, bool quiet, pid_t pid, int ready_fd)
{
    char report[REPORT_BYTES];
    starting_pid = pid;
    on_give_up(give_up);
    if (!read_report(ready_fd, report)) {
        return say_failed(pid, report);
    }
    if (report[0] != '\0' && !quiet) {
        printf("perdure: %.*s (pid %d)\n", (int)strcspn(report, "\n"), report, (int)pid);
    } else if (settings != NULL) {
        say_serving(settings, pid);
    }
    return 0;
}

static int fork_supervisor(const struct settings *settings, struct supervise_options *options)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) {
        fprintf(stderr, "perdure: cannot start: %s\n", strerror(errno));
        return 1;
    }
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        close(ends[0]);
        options->ready_fd = ends[1];
        exit(become_supervisor(options));
    }
    close(ends[1]);
    if (pid < 0) {
        fprintf(stderr, "perdure: cannot start: fork: %s\n", strerror(errno));
    }
    int exit_code = pid > 0 ? await_service(settings, options->to_stop, pid, ends[0]) : 1;
    close(ends[0]);
    return exit_code;
}

/* CONFIG as seen from the root directory. Not resolved: a link that is turned to another file is to be followed anew at
 * each reload. malloc'ed; NULL, and said why: no memory, or no working directory. */
static char *absolute(const char *config)
{
    char *cwd = config[0] == '/' ? strdup("") : getcwd(NULL, 0);
    char *path = NULL;
    if (cwd != NULL && asprintf(&path, "%s%s%s", cwd, config[0] == '/' ? "" : "/", config) < 0) {
        path = NULL;
    }
    if (path == NULL) {
        fprintf(stderr, "perdure: cannot start: the way to %s: %s\n", config, strerror(errno));
    }
    free(cwd);
    return path;
}

int start_in_background(const struct command *command)
{
    /* The supervisor leaves this directory, and must find the file again at a reload. */
    char *config = absolute(command->config);
    struct listeners given;
    struct beginning beginning = {0};
    given_take(&given);
    int exit_code = 1;
    if (config != NULL && look_around(config, &given, &beginning)) {
        struct supervise_options options = {
            .config_path = config, .orphans_run_dir = orphans_of(&beginning), .given = &given};
        exit_code = is_running(beginning.settings, stdout) ? 0 : fork_supervisor(beginning.settings, &options);
        settings_free(beginning.settings);
    }
    free(config);
    return exit_code;
}

int start_to_stop(const struct command *command, const char *run_dir)
{
    char *config = absolute(command->config);
    struct listeners given = {0};
    struct supervise_options options = {
        .config_path = config, .orphans_run_dir = run_dir, .to_stop = true, .now = command->now, .given = &given};
    int exit_code = config != NULL ? fork_supervisor(NULL, &options) : 1;
    free(config);
    return exit_code;
}
