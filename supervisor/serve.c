/* serve.c — see serve.h. It writes a configuration and hands it to the same supervisor that all verbs have. */
#include "supervisor/serve.h"

#include "supervisor/fd_store.h"
#include "supervisor/given.h"
#include "supervisor/supervise.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SERVE_ADDRESS_DEFAULT "127.0.0.1:8000"
/* In the environment, so that it outlives an exec of the supervisor in place. */
#define SERVE_RUN_DIR_VARIABLE "PERDURE_SERVE_RUN_DIR"
/* What messages call the configuration. */
#define SERVE_CONFIG_NAME "perdure serve"

enum { USER_BYTES = 64 };

/* ---- the configuration ---- */

bool serve_quote(const char *text, char *quoted, size_t bytes)
{
    size_t length = 0;
    if (bytes < 3) {
        return false;
    }
    quoted[length++] = '"';
    for (; *text != '\0'; text++) {
        unsigned char byte = (unsigned char)*text;
        if (byte < 0x20 || byte == 0x7f || length + 4 > bytes) {
            return false;
        }
        if (byte == '"' || byte == '\\' || byte == '$') {
            quoted[length++] = '\\';
        }
        quoted[length++] = (char)byte;
    }
    quoted[length++] = '"';
    quoted[length] = '\0';
    return true;
}

static bool put_line(FILE *out, const char *before, const char *text, const char *after)
{
    char quoted[2 * PATH_MAX + 4];
    if (!serve_quote(text, quoted, sizeof quoted)) {
        return false;
    }
    fprintf(out, "%s%s%s\n", before, quoted, after);
    return true;
}

char *serve_config(const struct command *command, const char *root, const char *run_dir, const char *user)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);
    if (out == NULL) {
        return NULL;
    }
    bool good = put_line(out, "run_dir = ", run_dir, "") && (user == NULL || put_line(out, "user = ", user, ""));
    for (size_t i = 0; good && i < command->addresses_count; i++) {
        good = put_line(out, "listen ", command->addresses[i], " { }");
    }
    if (command->addresses_count == 0) {
        fputs("listen \"" SERVE_ADDRESS_DEFAULT "\" { }\n", out);
    }
    good = good && put_line(out, "site \"*\" {\n    root = ", root, "\n    listing = true\n}");
    if (fclose(out) != 0 || !good) {
        free(text);
        return NULL;
    }
    return text;
}

/* ---- as whom, and may they read it ---- */

/* Started by root: the directory's owner, if that is another user; else one that owns nothing. */
static int choose_user(const char *root, char user[USER_BYTES])
{
    static const char *const nobodies[] = {"www-data", "nobody"};
    struct stat is;
    const struct passwd *entry = stat(root, &is) == 0 && is.st_uid != 0 ? getpwuid(is.st_uid) : NULL;
    for (size_t i = 0; entry == NULL && i < sizeof nobodies / sizeof nobodies[0]; i++) {
        entry = getpwnam(nobodies[i]);
    }
    if (entry == NULL || strlen(entry->pw_name) >= USER_BYTES) {
        fprintf(stderr, "perdure: there is neither a user www-data nor nobody to serve as; make one: adduser --system "
                        "--group www-data\n");
        return -1;
    }
    snprintf(user, USER_BYTES, "%s", entry->pw_name);
    return 0;
}

/* 0 if USER can list ROOT, else the errno: tried in a child that becomes USER as a worker will. */
static int try_as(const char *user, const char *root)
{
    const struct passwd *entry = getpwnam(user);
    pid_t pid = entry != NULL ? fork() : -1;
    if (pid == 0) {
        bool became = initgroups(entry->pw_name, entry->pw_gid) == 0 &&
                      setresgid(entry->pw_gid, entry->pw_gid, entry->pw_gid) == 0 &&
                      setresuid(entry->pw_uid, entry->pw_uid, entry->pw_uid) == 0;
        bool opened = became && open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC) >= 0;
        _exit(opened ? 0 : errno);
    }
    int status = 0;
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return pid > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : 0;
}

static int find_user(const char *root, char user[USER_BYTES])
{
    if (choose_user(root, user) != 0) {
        return -1;
    }
    int number = try_as(user, root);
    if (number != 0) {
        fprintf(stderr,
                "perdure: files are served as the user %s, who cannot read %s: %s; give it read and search permission "
                "(chmod o+rx, on it and the directories above), or serve a copy elsewhere\n",
                user, root, strerror(number));
        return -1;
    }
    return 0;
}

/* ---- the run directory ---- */

/* Private and empty: two of these never meet. Returns the path, which lives in the environment, or NULL. */
static const char *make_run_dir(void)
{
    const char *parent = getenv("TMPDIR");
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/perdure-serve-XXXXXX", parent != NULL && parent[0] == '/' ? parent : "/tmp");
    if (mkdtemp(path) == NULL || setenv(SERVE_RUN_DIR_VARIABLE, path, 1) != 0) {
        fprintf(stderr, "perdure: cannot make a run directory %s: %s; set TMPDIR to a directory you can write\n", path,
                strerror(errno));
        return NULL;
    }
    return getenv(SERVE_RUN_DIR_VARIABLE);
}

void serve_tidy(void)
{
    static const char *const names[] = {"perdure.lock", "perdure.pid", "control.sock"};
    const char *run_dir = getenv(SERVE_RUN_DIR_VARIABLE);
    for (size_t i = 0; run_dir != NULL && i < sizeof names / sizeof names[0]; i++) {
        char path[PATH_MAX + 32];
        snprintf(path, sizeof path, "%s/%s", run_dir, names[i]);
        unlink(path);
    }
    if (run_dir != NULL) {
        rmdir(run_dir);
        unsetenv(SERVE_RUN_DIR_VARIABLE);
    }
}

/* ---- serving ---- */

/* "perdure: serving /srv on http://127.0.0.1:8000/ (Ctrl-C stops)"; malloc'ed, NULL: no memory. */
static char *ready_line(const struct command *command, const char *root)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);
    if (out == NULL) {
        return NULL;
    }
    fprintf(out, "perdure: serving %s on ", root);
    for (size_t i = 0; i < command->addresses_count; i++) {
        bool is_unix = strncmp(command->addresses[i], "unix:", 5) == 0;
        fprintf(out, "%s%s%s%s", i > 0 ? ", " : "", is_unix ? "" : "http://", command->addresses[i],
                is_unix ? "" : "/");
    }
    fprintf(out, "%s (Ctrl-C stops)", command->addresses_count == 0 ? "http://" SERVE_ADDRESS_DEFAULT "/" : "");
    return fclose(out) == 0 ? text : NULL;
}

static int serve_root(const struct command *command, const struct listeners *given, const char *root)
{
    char user[USER_BYTES];
    bool as_root = geteuid() == 0;
    if (as_root && find_user(root, user) != 0) {
        return 1;
    }
    const char *run_dir = make_run_dir();
    if (run_dir == NULL) {
        return 1;
    }
    char *config = serve_config(command, root, run_dir, as_root ? user : NULL);
    char *line = ready_line(command, root);
    int exit_code = 1;
    if (config == NULL || line == NULL) {
        fprintf(stderr, "perdure: %s or an address has control characters in its name; rename it\n", root);
    } else {
        struct supervise_options options = {.config_path = SERVE_CONFIG_NAME,
                                            .config_text = config,
                                            .foreground = true,
                                            .ready_fd = -1,
                                            .given = given,
                                            .ready_line = line};
        exit_code = supervise(&options);
    }
    free(line);
    free(config);
    serve_tidy();
    return exit_code;
}

/* Without -l, the sockets that were given are meant. */
static struct command with_given(const struct command *command, const struct listeners *given)
{
    struct command meant = *command;
    for (size_t i = 0; command->addresses_count == 0 && i < given->count && i < COMMAND_ADDRESSES_MAX; i++) {
        meant.addresses[meant.addresses_count++] = given->all[i].address;
    }
    return meant;
}

int serve_directory(const struct command *command)
{
    struct listeners given;
    fd_store_resume();
    given_take(&given);
    struct command meant = with_given(command, &given);
    char *root = realpath(command->directory, NULL);
    struct stat is;
    if (root == NULL || stat(root, &is) != 0 || !S_ISDIR(is.st_mode)) {
        fprintf(stderr, "perdure: %s: %s; name a directory\n", command->directory,
                root == NULL ? strerror(errno) : "it is no directory");
        free(root);
        return 1;
    }
    int exit_code = serve_root(&meant, &given, root);
    free(root);
    return exit_code;
}
