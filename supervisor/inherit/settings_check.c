/* settings_check.c — see settings_check.h. */
#include "supervisor/inherit/settings_check.h"

#include "supervisor/inherit/address.h"
#include "supervisor/inherit/settings_error.h"
#include "supervisor/inherit/settings_keys.h"
#include "supervisor/inherit/settings_value.h"

#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* A response's head has 8 KiB (RESPONSE_OUT_MIN); half of it may be the operator's. */
enum { HEADERS_BYTES = 4096, RUN_DIR_BYTES = 80 };

/* Where the top-level key NAME was said; the file's first line if it is a default. */
static struct config_place top_place(const struct settings_checked *checked, const char *name)
{
    struct config_place place = config_scan_place(checked->scan, SCOPE_TOP, 0, settings_key_find(SCOPE_TOP, name));
    return place.file != NULL ? place : (struct config_place){.file = &checked->files->file[0], .line = 1};
}

static const char *by_default(const struct settings_checked *checked, const char *name)
{
    const struct settings_key *key = settings_key_find(SCOPE_TOP, name);
    return config_scan_place(checked->scan, SCOPE_TOP, 0, key).file == NULL ? " (the default)" : "";
}

/* ---- listeners ---- */

static bool check_listeners(const struct settings_checked *checked, char *error)
{
    const struct settings *settings = checked->settings;
    struct address address[SETTINGS_LISTENERS_MAX];
    for (size_t i = 0; i < settings->listeners_count; i++) {
        const struct listen_setting *listener = &settings->listeners[i];
        char why[ADDRESS_WHY_BYTES];
        if (!address_parse(listener->address, &address[i], why)) {
            return settings_error(error, listener->file, listener->line, "listen %s", why);
        }
        for (size_t j = 0; j < i; j++) {
            const struct listen_setting *first = &settings->listeners[j];
            if (address_collides(&address[j], &address[i])) {
                return settings_error(error, listener->file, listener->line,
                                      "listen \"%s\" takes the same port as \"%s\" at %.200s:%u; keep one of the two",
                                      listener->address, first->address, first->file, first->line);
            }
        }
    }
    return true;
}

/* ---- sites ---- */

struct named {
    const char *name;
    const struct site_setting *site;
};

static int compare_named(const void *left, const void *right)
{
    const struct named *one = left, *other = right;
    int order = strcmp(one->name, other->name);
    /* Of two sites with one name, the complaint goes to the later one. */
    return order != 0 ? order : (one->site > other->site) - (one->site < other->site);
}

static bool check_unique(const struct named *named, size_t count, char *error)
{
    for (size_t i = 1; i < count; i++) {
        const struct site_setting *first = named[i - 1].site, *site = named[i].site;
        if (strcmp(named[i - 1].name, named[i].name) != 0) {
            continue;
        }
        if (first == site) {
            return settings_error(error, site->file, site->line,
                                  "site \"%.200s\" has the name \"%.200s\" twice; take one out", site->names[0],
                                  named[i].name);
        }
        return settings_error(
            error, site->file, site->line,
            "the name \"%.200s\" belongs already to the site at %.200s:%u; take it out of one of them", named[i].name,
            first->file, first->line);
    }
    return true;
}

/* No name on two sites, nor twice on one. Sorted, because there may be a thousand of them. */
static bool check_names(const struct settings_checked *checked, char *error)
{
    const struct settings *settings = checked->settings;
    size_t count = 0, used = 0;
    for (size_t i = 0; i < settings->sites_count; i++) {
        count += settings->sites[i].names_count;
    }
    struct named *named = calloc(count + 1, sizeof *named);
    if (named == NULL) {
        return settings_error(error, checked->files->file[0].name, 1, "out of memory; free some");
    }
    for (size_t i = 0; i < settings->sites_count; i++) {
        for (size_t j = 0; j < settings->sites[i].names_count; j++) {
            named[used++] = (struct named){.name = settings->sites[i].names[j], .site = &settings->sites[i]};
        }
    }
    qsort(named, used, sizeof *named, compare_named);
    bool good = check_unique(named, used, error);
    free(named);
    return good;
}

static bool check_site(const struct site_setting *site, char *error)
{
    char why[VALUE_WHY_BYTES];
    size_t bytes = 0;
    if (!value_is_site_name(site->names[0], why)) {
        return settings_error(error, site->file, site->line, "site %s", why);
    }
    if (site->root == NULL) {
        return settings_error(error, site->file, site->line,
                              "site \"%.200s\" has no root; add root = \"/srv/www\" or another directory",
                              site->names[0]);
    }
    for (size_t i = 0; i < site->headers_count; i++) {
        bytes += strlen(site->headers[i].name) + strlen(site->headers[i].value) + strlen(": \r\n");
    }
    if (bytes > HEADERS_BYTES) {
        return settings_error(error, site->file, site->line,
                              "the headers of site \"%.200s\" have %zu bytes together; %d is the most, shorten them",
                              site->names[0], bytes, HEADERS_BYTES);
    }
    return true;
}

static bool check_sites(const struct settings_checked *checked, char *error)
{
    const struct settings *settings = checked->settings;
    if (settings->sites_count == 0) {
        return settings_error(error, checked->files->file[0].name, checked->scan->last_line,
                              "there is no site; add site \"*\" { root = \"/srv/www\" }");
    }
    for (size_t i = 0; i < settings->sites_count; i++) {
        if (!check_site(&settings->sites[i], error)) {
            return false;
        }
    }
    return check_names(checked, error);
}

static bool check_run_dir(const struct settings_checked *checked, char *error)
{
    size_t length = strlen(checked->settings->run_dir);
    struct config_place place = top_place(checked, "run_dir");
    return length <= RUN_DIR_BYTES ||
           settings_error(error, place.file->name, place.line,
                          "run_dir%s has %zu bytes, too many for the path of a socket in it; write one of at most %d",
                          by_default(checked, "run_dir"), length, RUN_DIR_BYTES);
}

bool settings_check_values(const struct settings_checked *checked, char error[SETTINGS_ERROR_BYTES])
{
    return check_run_dir(checked, error) && check_listeners(checked, error) && check_sites(checked, error);
}

/* ---- the machine ---- */

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
    struct config_place place = top_place(checked, "user");
    return user == NULL || getpwnam(user) != NULL ||
           settings_error(error, place.file->name, place.line,
                          "user \"%s\"%s does not exist; write another, or make it with adduser --system %s", user,
                          by_default(checked, "user"), user);
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
    struct config_place place = top_place(checked, name);
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
    bool good = check_user(checked, error) && check_log(checked, "error_log", settings->error_log, error) &&
                check_log(checked, "access_log", settings->access_log, error);
    for (size_t i = 0; good && i < settings->listeners_count; i++) {
        good = check_socket_directory(checked, &settings->listeners[i], error);
    }
    for (size_t i = 0; good && i < settings->sites_count; i++) {
        good = check_root(checked, i, error);
    }
    return good;
}
