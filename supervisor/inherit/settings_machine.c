/* settings_machine.c — what must hold between values and this machine.
 *
 * A file of its own, declared in settings_check.h, so that a worker is linked without what asks for users and
 * directories.
 */
#include "supervisor/inherit/settings_check.h"
#include "supervisor/inherit/settings_error.h"
#include "supervisor/inherit/settings_keys.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* 0 if PATH is a directory, else the errno. */
static int directory_problem(const char *path)
{
    struct stat status;
    if (stat(path, &status) != 0) {
        return errno;
    }
    return S_ISDIR(status.st_mode) ? 0 : ENOTDIR;
}

/* What to do about it. */
static const char *directory_remedy(int problem)
{
    return problem == ENOENT ? "make it with mkdir -p, or write another path" : "write another path";
}

static bool check_user(const struct settings_checked *checked, char *error)
{
    const char *user = checked->settings->user;
    struct config_place place = settings_checked_place(checked, "user");
    return user == NULL || getpwnam(user) != NULL ||
           settings_error(error, place.file->name, place.line,
                          "user \"%s\"%s does not exist; write another, or make it with adduser --system %s", user,
                          settings_checked_by_default(checked, "user"), user);
}

static bool check_control_group(const struct settings_checked *checked, char *error)
{
    const char *group = checked->settings->control_group;
    struct config_place place = settings_checked_place(checked, "control_group");
    return group == NULL || getgrnam(group) != NULL ||
           settings_error(error, place.file->name, place.line,
                          "control_group = \"%s\": there is no such group; write another, or make it with addgroup "
                          "--system %s",
                          group, group);
}

/* The file at PATH, said by the top-level key NAME, can be made: its directory is there. */
static bool check_log(const struct settings_checked *checked, const char *name, const char *path, char *error)
{
    if (path == NULL || path[0] != '/') {
        return true;
    }
    char *directory = path_directory(path);
    struct stat status;
    int problem = directory != NULL ? directory_problem(directory) : ENOMEM;
    struct config_place place = settings_checked_place(checked, name);
    bool good = problem == 0 ||
                settings_error(error, place.file->name, place.line, "%s: the directory %.200s: %s; %s", name,
                               directory != NULL ? directory : "", strerror(problem), directory_remedy(problem));
    free(directory);
    if (good && stat(path, &status) == 0 && S_ISDIR(status.st_mode)) {
        return settings_error(error, place.file->name, place.line,
                              "%s: %.200s is a directory; write the path of a file", name, path);
    }
    return good;
}

/* A unix socket's directory is there; run_dir is made at start, so it need not be. */
static bool check_socket_directory(const struct settings_checked *checked, const struct listen_setting *listener,
                                   char *error)
{
    if (strncmp(listener->address, "unix:", 5) != 0) {
        return true;
    }
    char *directory = path_directory(listener->address + 5);
    int problem = directory != NULL ? directory_problem(directory) : ENOMEM;
    bool good = problem == 0 || (directory != NULL && strcmp(directory, checked->settings->run_dir) == 0) ||
                settings_error(error, listener->file, listener->line, "listen \"%s\": the directory %s: %s; %s",
                               listener->address, directory != NULL ? directory : "", strerror(problem),
                               directory_remedy(problem));
    free(directory);
    return good;
}

/* A unix socket's owner and group exist. */
static bool check_socket_owner(const struct settings_checked *checked, size_t ordinal, char *error)
{
    const struct listen_setting *listener = &checked->settings->listeners[ordinal];
    bool has_owner = listener->owner == NULL || getpwnam(listener->owner) != NULL;
    bool has_group = listener->group == NULL || getgrnam(listener->group) != NULL;
    if (has_owner && has_group) {
        return true;
    }
    const char *key = has_owner ? "group" : "owner";
    const char *name = has_owner ? listener->group : listener->owner;
    struct config_place place =
        config_scan_place(checked->scan, SCOPE_LISTEN, ordinal, settings_key_find(SCOPE_LISTEN, key));
    return settings_error(error, place.file->name, place.line,
                          "%s = \"%s\": there is no such %s; write another, or make it with %s --system %s", key, name,
                          has_owner ? "group" : "user", has_owner ? "addgroup" : "adduser", name);
}

static bool check_root(const struct settings_checked *checked, size_t ordinal, char *error)
{
    const struct site_setting *site = &checked->settings->sites[ordinal];
    int problem = directory_problem(site->root);
    struct config_place place =
        config_scan_place(checked->scan, SCOPE_SITE, ordinal, settings_key_find(SCOPE_SITE, "root"));
    return problem == 0 ||
           settings_error(error, place.file->name, place.line, "the root %.200s of site \"%.100s\": %s; %s", site->root,
                          site->names[0], strerror(problem), directory_remedy(problem));
}

bool settings_check_machine(const struct settings_checked *checked, char error[SETTINGS_ERROR_BYTES])
{
    const struct settings *settings = checked->settings;
    bool good = check_user(checked, error) && check_control_group(checked, error) &&
                check_log(checked, "error_log", settings->error_log, error) &&
                check_log(checked, "access_log", settings->access_log, error);
    for (size_t i = 0; good && i < settings->listeners_count; i++) {
        good = check_socket_directory(checked, &settings->listeners[i], error) && check_socket_owner(checked, i, error);
    }
    for (size_t i = 0; good && i < settings->sites_count; i++) {
        good = check_root(checked, i, error);
    }
    return good;
}
