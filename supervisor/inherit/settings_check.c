/* settings_check.c — see settings_check.h. */
#include "supervisor/inherit/settings_check.h"

#include "supervisor/inherit/address.h"
#include "supervisor/inherit/settings_error.h"
#include "supervisor/inherit/settings_keys.h"
#include "supervisor/inherit/settings_value.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* A response's head has 8 KiB (RESPONSE_OUT_MIN); half of it may be the operator's. */
enum { HEADERS_BYTES = 4096, RUN_DIR_BYTES = 80 };

struct config_place settings_checked_place(const struct settings_checked *checked, const char *name)
{
    struct config_place place = config_scan_place(checked->scan, SCOPE_TOP, 0, settings_key_find(SCOPE_TOP, name));
    return place.file != NULL ? place : (struct config_place){.file = &checked->files->file[0], .line = 1};
}

const char *settings_checked_by_default(const struct settings_checked *checked, const char *name)
{
    const struct settings_key *key = settings_key_find(SCOPE_TOP, name);
    return config_scan_place(checked->scan, SCOPE_TOP, 0, key).file == NULL ? " (the default)" : "";
}

/* ---- listeners ---- */

/* What only the file of a unix socket can have. */
static bool check_file_keys(const struct settings_checked *checked, size_t ordinal, char *error)
{
    static const char *const names[] = {"mode", "owner", "group"};
    const char *address = checked->settings->listeners[ordinal].address;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct config_place place =
            config_scan_place(checked->scan, SCOPE_LISTEN, ordinal, settings_key_find(SCOPE_LISTEN, names[i]));
        if (place.file != NULL && strncmp(address, "unix:", 5) != 0) {
            return settings_error(error, place.file->name, place.line,
                                  "%s is for unix sockets, and \"%s\" is none; take it out", names[i], address);
        }
    }
    return true;
}

/* Whom to believe must be said: who speaks for others can be anybody, to the log and to the limits. */
static bool check_trust(const struct settings_checked *checked, size_t ordinal, char *error)
{
    const struct listen_setting *listener = &checked->settings->listeners[ordinal];
    struct config_place place =
        config_scan_place(checked->scan, SCOPE_LISTEN, ordinal, settings_key_find(SCOPE_LISTEN, "proxy_protocol"));
    return !listener->proxy_protocol || checked->settings->proxy_trusted_count > 0 ||
           strncmp(listener->address, "unix:", 5) == 0 ||
           settings_error(
               error, place.file->name, place.line,
               "proxy_protocol: nobody is trusted to speak for others; add proxy_trusted = { \"ADDRESS\" } at "
               "the top");
}

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
        if (!check_file_keys(checked, i, error) || !check_trust(checked, i, error)) {
            return false;
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
    struct config_place place = settings_checked_place(checked, "run_dir");
    return length <= RUN_DIR_BYTES ||
           settings_error(error, place.file->name, place.line,
                          "run_dir%s has %zu bytes, too many for the path of a socket in it; write one of at most %d",
                          settings_checked_by_default(checked, "run_dir"), length, RUN_DIR_BYTES);
}

bool settings_check_values(const struct settings_checked *checked, char error[SETTINGS_ERROR_BYTES])
{
    return check_run_dir(checked, error) && check_listeners(checked, error) && check_sites(checked, error);
}
