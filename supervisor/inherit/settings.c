/* settings.c — text into settings: libconfuse reads the statements, keys.def says what each means.
 *
 * Every key is a string (or a list of them) to libconfuse and is judged here, in its parse callback, where the line is
 * known: libconfuse's own integers and bools accept too much (see settings_value.h). libconfuse 3.3 works on globals,
 * so nothing here can be called by two threads at once. */
#include "supervisor/inherit/settings.h"

#include "supervisor/inherit/settings_check.h"
#include "supervisor/inherit/settings_error.h"
#include "supervisor/inherit/settings_keys.h"
#include "supervisor/inherit/settings_load.h"
#include "supervisor/inherit/settings_value.h"

#include <confuse.h>
#include <ctype.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEFAULT_BACKLOG = 4096, DEFAULT_MODE = 0666, OPTIONS_MAX = 40 };

static const char default_user[] = "www-data";
static const char default_listen[] = "0.0.0.0:8000";

/* Settings and what their borrowed texts point to. */
struct whole {
    struct settings settings; /* first: a pointer to it is a pointer to the whole */
    char *file_names[SNAPSHOT_FILES_MAX];
    size_t file_names_count;
};

/* What the callbacks need to know; libconfuse has no way to hand it to them. */
struct load {
    const struct config_scan *scan;
    const struct snapshot_files *files;
    struct whole *whole;
    char *error;
};
static struct load *loading;

/* ---- libconfuse ---- */

static struct config_place place_of_line(const struct load *load, int line)
{
    size_t index = line > 0 ? (size_t)line - 1 : 0;
    if (index < load->scan->lines_count) {
        return load->scan->lines[index];
    }
    return (struct config_place){.file = &load->files->file[0], .line = 1};
}

/* libconfuse itself complains: config_scan has let something pass that it should not have. */
static void on_error(cfg_t *cfg, const char *format, va_list arguments)
{
    char text[256];
    struct config_place place = place_of_line(loading, cfg->line);
    vsnprintf(text, sizeof text, format, arguments);
    settings_error(loading->error, place.file->name, place.line, "libconfuse: %s; see perdure.conf(5)", text);
}

static enum settings_scope scope_of(const cfg_t *cfg)
{
    enum settings_scope scope = SCOPE_TOP;
    for (enum settings_scope each = SCOPE_LISTEN; each < SCOPE_COUNT; each++) {
        scope = strcmp(cfg->name, settings_scope_name(each)) == 0 ? each : scope;
    }
    return scope;
}

static int on_value(cfg_t *cfg, cfg_opt_t *option, const char *value, void *result)
{
    char why[VALUE_WHY_BYTES];
    uint64_t number;
    const struct settings_key *key = settings_key_find(scope_of(cfg), option->name);
    if (key == NULL || !value_parse(key, value, &number, why)) {
        struct config_place place = place_of_line(loading, cfg->line);
        settings_error(loading->error, place.file->name, place.line, "%s", key != NULL ? why : "unknown key");
        return -1;
    }
    *(const char **)result = value;
    return 0;
}

/* The options of SCOPE out of the table; returns how many. */
static size_t put_options(cfg_opt_t options[OPTIONS_MAX], enum settings_scope scope)
{
    size_t count, used = 0;
    const struct settings_key *keys = settings_keys(&count);
    for (size_t i = 0; i < count && used < OPTIONS_MAX - 3; i++) {
        const struct settings_key *key = &keys[i];
        if (key->scope != scope) {
            continue;
        }
        if (settings_key_is_list(key)) {
            options[used++] = (cfg_opt_t)CFG_STR_LIST_CB(key->name, (char *)key->initial, CFGF_NONE, on_value);
        } else {
            options[used++] = (cfg_opt_t)CFG_STR_CB(key->name, key->initial, CFGF_NONE, on_value);
        }
    }
    return used;
}

/* The scanned text through libconfuse. Returns NULL with the message in load->error. */
static cfg_t *parse_text(struct load *load)
{
    cfg_opt_t listen_options[OPTIONS_MAX], site_options[OPTIONS_MAX], options[OPTIONS_MAX];
    enum { TITLED = CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES };
    listen_options[put_options(listen_options, SCOPE_LISTEN)] = (cfg_opt_t)CFG_END();
    site_options[put_options(site_options, SCOPE_SITE)] = (cfg_opt_t)CFG_END();
    size_t used = put_options(options, SCOPE_TOP);
    options[used++] = (cfg_opt_t)CFG_SEC("listen", listen_options, TITLED);
    options[used++] = (cfg_opt_t)CFG_SEC("site", site_options, TITLED);
    options[used] = (cfg_opt_t)CFG_END();

    cfg_t *cfg = cfg_init(options, CFGF_NONE);
    if (cfg == NULL) {
        settings_error(load->error, load->files->file[0].name, 1, "out of memory; free some");
        return NULL;
    }
    cfg_set_error_function(cfg, on_error);
    loading = load;
    int result = cfg_parse_buf(cfg, load->scan->text);
    if (result != CFG_SUCCESS) {
        settings_error(load->error, load->files->file[0].name, 1, "libconfuse cannot parse it; see perdure.conf(5)");
        cfg_free(cfg);
        return NULL;
    }
    return cfg;
}

/* ---- values into fields ---- */

/* Each returns false only when memory has run out. */

static bool store_text(char **field, const char *text)
{
    *field = text != NULL ? strdup(text) : NULL;
    return *field != NULL || text == NULL;
}

static void store_number(void *field, size_t size, uint64_t number)
{
    bool truth = number != 0;
    uint32_t word = (uint32_t)number;
    const void *value = size == sizeof truth  ? (const void *)&truth
                        : size == sizeof word ? (const void *)&word
                                              : &number;
    memcpy(field, value, size);
}

static bool store_directory(char **field, const char *text, struct config_place place)
{
    *field = text == NULL ? NULL : join_path(place.file != NULL ? place.file->directory : "/", text);
    for (size_t length = *field != NULL ? strlen(*field) : 0; length > 1 && (*field)[length - 1] == '/'; length--) {
        (*field)[length - 1] = '\0';
    }
    return *field != NULL || text == NULL;
}

static void lower(char *text)
{
    for (; *text != '\0'; text++) {
        *text = (char)tolower((unsigned char)*text);
    }
}

/* The list KEY of SECTION as an array with FIRST, if not NULL, before it. */
static bool store_names(char ***field, size_t *count, cfg_t *section, const struct settings_key *key, const char *first)
{
    unsigned size = cfg_size(section, key->name);
    *count = 0;
    *field = calloc(size + 1, sizeof **field);
    bool good = *field != NULL;
    if (good && first != NULL) {
        good = store_text(&(*field)[(*count)++], first);
    }
    for (unsigned i = 0; good && i < size; i++) {
        good = store_text(&(*field)[(*count)++], cfg_getnstr(section, key->name, i));
    }
    return good;
}

static bool store_headers(struct header_setting **field, size_t *count, cfg_t *section, const struct settings_key *key)
{
    unsigned size = cfg_size(section, key->name);
    *field = calloc(size + 1, sizeof **field);
    bool good = *field != NULL;
    for (*count = 0; good && *count < size; ++*count) {
        const char *text = cfg_getnstr(section, key->name, (unsigned)*count);
        size_t name = strcspn(text, ":");
        const char *value = text + name + 1 + strspn(text + name + 1, " ");
        size_t length = strlen(value);
        while (length > 0 && value[length - 1] == ' ') {
            length--;
        }
        struct header_setting *header = &(*field)[*count];
        header->name = strndup(text, name);
        header->value = strndup(value, length);
        good = header->name != NULL && header->value != NULL;
    }
    return good;
}

/* KEY of SECTION into STRUCTURE, which is the one that keys.def names for it. */
static bool store_key(void *structure, cfg_t *section, const struct settings_key *key, struct config_place place)
{
    void *field = (char *)structure + key->offset;
    size_t *count = (size_t *)((char *)field + sizeof(char **)); /* of a list: settings.h has it right behind */
    const char *text = settings_key_is_list(key) ? NULL : cfg_getstr(section, key->name);
    char why[VALUE_WHY_BYTES];
    uint64_t number = 0;
    switch (key->kind) {
    case KIND_USER:
    case KIND_GROUP:
    case KIND_PATH:
    case KIND_ERROR_LOG:
        return store_text(field, text);
    case KIND_PATH_OR_OFF:
        return store_text(field, text == NULL || strcmp(text, "off") == 0 ? NULL : text);
    case KIND_DIRECTORY:
        return store_directory(field, text, place);
    case KIND_WORKERS:
    case KIND_COUNT:
    case KIND_DURATION:
    case KIND_SIZE:
    case KIND_BOOL:
    case KIND_MODE:
        value_parse(key, text, &number, why); /* cannot fail: on_value has let it pass */
        store_number(field, key->size, number);
        return true;
    case KIND_FILE_NAMES:
    case KIND_NETWORKS:
        return store_names(field, count, section, key, NULL);
    case KIND_ALIASES:
        return store_names(field, count, section, key, cfg_title(section));
    case KIND_HEADERS:
        return store_headers(field, count, section, key);
    }
    return false;
}

/* All keys of section ORDINAL of SCOPE. */
static bool store_keys(const struct load *load, void *structure, cfg_t *section, enum settings_scope scope,
                       size_t ordinal)
{
    size_t count;
    bool good = true;
    const struct settings_key *keys = settings_keys(&count);
    for (size_t i = 0; good && i < count; i++) {
        if (keys[i].scope == scope) {
            struct config_place place = config_scan_place(load->scan, scope, ordinal, &keys[i]);
            good = store_key(structure, section, &keys[i], place);
        }
    }
    return good;
}

/* The settings' own copy of the name of FILE. */
static const char *file_name(const struct load *load, const struct snapshot_file *file)
{
    return load->whole->file_names[file - load->files->file];
}

static bool store_file_names(struct load *load)
{
    bool good = true;
    for (size_t i = 0; good && i < load->files->count; i++) {
        good = store_text(&load->whole->file_names[load->whole->file_names_count++], load->files->file[i].name);
    }
    return good;
}

/* As an empty listen section for ADDRESS, said nowhere: FILE and LINE are for messages. */
static bool store_plain_listener(struct listen_setting *listener, const char *address, const char *file, unsigned line)
{
    *listener = (struct listen_setting){.backlog = DEFAULT_BACKLOG, .mode = DEFAULT_MODE, .file = file, .line = line};
    return store_text(&listener->address, address);
}

static bool store_listeners(struct load *load, cfg_t *cfg)
{
    struct settings *settings = &load->whole->settings;
    size_t count = cfg_size(cfg, "listen");
    settings->listeners = calloc(count + 1, sizeof *settings->listeners);
    bool good = settings->listeners != NULL;
    for (size_t i = 0; good && i < count; i++) {
        struct listen_setting *listener = &settings->listeners[settings->listeners_count++];
        cfg_t *section = cfg_getnsec(cfg, "listen", (unsigned)i);
        struct config_place place = config_scan_place(load->scan, SCOPE_LISTEN, i, NULL);
        listener->file = file_name(load, place.file);
        listener->line = place.line;
        good =
            store_text(&listener->address, cfg_title(section)) && store_keys(load, listener, section, SCOPE_LISTEN, i);
    }
    if (good && count == 0) {
        settings->listeners_count = 1;
        settings->listens_by_default = true;
        good = store_plain_listener(&settings->listeners[0], default_listen, load->whole->file_names[0],
                                    load->scan->last_line);
    }
    return good;
}

static bool store_sites(struct load *load, cfg_t *cfg)
{
    struct settings *settings = &load->whole->settings;
    size_t count = cfg_size(cfg, "site");
    settings->sites = calloc(count + 1, sizeof *settings->sites);
    bool good = settings->sites != NULL;
    for (size_t i = 0; good && i < count; i++) {
        struct site_setting *site = &settings->sites[settings->sites_count++];
        struct config_place place = config_scan_place(load->scan, SCOPE_SITE, i, NULL);
        site->file = file_name(load, place.file);
        site->line = place.line;
        good = store_keys(load, site, cfg_getnsec(cfg, "site", (unsigned)i), SCOPE_SITE, i);
        for (size_t n = 0; good && n < site->names_count; n++) {
            lower(site->names[n]);
        }
    }
    return good;
}

/* The defaults that depend on who started perdure. */
static bool store_computed(struct load *load)
{
    struct settings *settings = &load->whole->settings;
    bool good = true;
    if (!load->files->as_root) {
        free(settings->user);
        settings->user = NULL;
    } else if (settings->user == NULL) {
        good = store_text(&settings->user, default_user);
    }
    if (settings->run_dir == NULL) {
        good = good && store_text(&settings->run_dir, load->files->run_dir);
    }
    return good;
}

static bool store_all(struct load *load, cfg_t *cfg)
{
    return store_file_names(load) && store_keys(load, &load->whole->settings, cfg, SCOPE_TOP, 0) &&
           store_computed(load) && store_listeners(load, cfg) && store_sites(load, cfg);
}

struct settings *settings_load(const struct config_scan *scan, const struct snapshot_files *files,
                               char error[SETTINGS_ERROR_BYTES])
{
    struct load load = {.scan = scan, .files = files, .error = error};
    cfg_t *cfg = parse_text(&load);
    if (cfg == NULL) {
        return NULL;
    }
    load.whole = calloc(1, sizeof *load.whole);
    bool good = load.whole != NULL && store_all(&load, cfg);
    cfg_free(cfg);
    if (!good) {
        settings_error(error, files->file[0].name, 1, "out of memory; free some");
    }
    struct settings *settings = load.whole != NULL ? &load.whole->settings : NULL;
    struct settings_checked checked = {.settings = settings, .scan = scan, .files = files};
    if (!good || !settings_check_values(&checked, error)) {
        settings_free(settings);
        return NULL;
    }
    return settings;
}

/* ---- snapshots ---- */

/* Includes out of the snapshot: the next file must be the one that is asked for. */
static bool fetch_recorded(struct snapshot_files *files, size_t number, const struct snapshot_file *includer,
                           const char *path, const char *name, char why[256])
{
    (void)includer;
    (void)path;
    if (number < files->count && strcmp(files->file[number].name, name) == 0) {
        return true;
    }
    snprintf(why, 256, "is not in the snapshot; reload the configuration");
    return false;
}

struct settings *settings_parse(int snapshot_fd, char error[SETTINGS_ERROR_BYTES])
{
    struct settings *settings = NULL;
    struct snapshot_files *files = calloc(1, sizeof *files);
    struct config_scan scan = {0};
    error[0] = '\0';
    if (files == NULL || !snapshot_files_read(files, snapshot_fd)) {
        settings_error(error, "configuration", 0, "this is not a snapshot, or a damaged one; reload the configuration");
    } else if (config_scan(&scan, files, fetch_recorded, error)) {
        settings = settings_load(&scan, files, error);
    }
    config_scan_free(&scan);
    if (files != NULL) {
        snapshot_files_free(files);
    }
    free(files);
    return settings;
}

void settings_place(int snapshot_fd, const char *key, char *place, size_t bytes)
{
    char error[SETTINGS_ERROR_BYTES] = "";
    struct snapshot_files *files = calloc(1, sizeof *files);
    struct config_scan scan = {0};
    snprintf(place, bytes, "configuration");
    if (files != NULL && snapshot_files_read(files, snapshot_fd) && config_scan(&scan, files, fetch_recorded, error)) {
        struct config_place said = config_scan_place(&scan, SCOPE_TOP, 0, settings_key_find(SCOPE_TOP, key));
        if (said.file != NULL) {
            snprintf(place, bytes, "%s:%u", said.file->name, said.line);
        } else {
            snprintf(place, bytes, "%s", files->file[0].name);
        }
    }
    config_scan_free(&scan);
    if (files != NULL) {
        snapshot_files_free(files);
    }
    free(files);
}

static void free_texts(char **texts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(texts[i]);
    }
    free(texts);
}

static void free_site(struct site_setting *site)
{
    free_texts(site->names, site->names_count);
    free_texts(site->index, site->index_count);
    for (size_t i = 0; site->headers != NULL && i < site->headers_count; i++) {
        free(site->headers[i].name);
        free(site->headers[i].value);
    }
    free(site->headers);
    free(site->root);
}

static void free_listeners(struct listen_setting *listeners, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(listeners[i].address);
        free(listeners[i].owner);
        free(listeners[i].group);
    }
    free(listeners);
}

bool settings_listen_on(struct settings *settings, const char *const addresses[], size_t count)
{
    if (!settings->listens_by_default) {
        return true;
    }
    struct listen_setting *listeners = calloc(count, sizeof *listeners);
    bool good = listeners != NULL;
    for (size_t i = 0; good && i < count; i++) {
        good =
            store_plain_listener(&listeners[i], addresses[i], settings->listeners[0].file, settings->listeners[0].line);
    }
    if (!good) {
        free_listeners(listeners, listeners != NULL ? count : 0);
        return false;
    }
    free_listeners(settings->listeners, settings->listeners_count);
    settings->listeners = listeners;
    settings->listeners_count = count;
    return true;
}

void settings_free(struct settings *settings)
{
    if (settings == NULL) {
        return;
    }
    struct whole *whole = (struct whole *)settings;
    free_listeners(settings->listeners, settings->listeners_count);
    for (size_t i = 0; i < settings->sites_count; i++) {
        free_site(&settings->sites[i]);
    }
    for (size_t i = 0; i < whole->file_names_count; i++) {
        free(whole->file_names[i]);
    }
    free(settings->sites);
    free(settings->user);
    free(settings->run_dir);
    free(settings->control_group);
    free(settings->error_log);
    free(settings->access_log);
    free(settings->mime_types);
    free_texts(settings->proxy_trusted, settings->proxy_trusted_count);
    free(settings);
}
