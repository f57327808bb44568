/* settings_diff.c — see settings_diff.h. Goes by keys.def, so a new key needs nothing here. */
#include "supervisor/settings_diff.h"

#include "supervisor/inherit/address.h"
#include "supervisor/inherit/settings_keys.h"
#include "supervisor/inherit/settings_value.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* A value longer than this is cut with "…"; a line holds two and the names. */
enum { SHOWN_BYTES = 256, LINE_BYTES = 1024, LEFT_OUT_BYTES = 48 };

struct report {
    char *text;
    size_t size, used; /* used < size, unless size is 0 */
    size_t changes;
    size_t left_out; /* of them */
};

static void add_line(struct report *report, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add_line(struct report *report, const char *format, ...)
{
    char line[LINE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    size_t room = report->size - report->used;
    report->changes++;
    if (strlen(line) + 1 + LEFT_OUT_BYTES < room && report->left_out == 0) {
        report->used += (size_t)snprintf(report->text + report->used, room, "%s\n", line);
    } else {
        report->left_out++;
    }
}

/* The line that there was always room kept for. */
static void tell_left_out(struct report *report)
{
    size_t room = report->size - report->used;
    if (report->left_out > 0 && room > LEFT_OUT_BYTES) {
        snprintf(report->text + report->used, room, "and %zu changes more\n", report->left_out);
    }
}

/* ---- a field as text ---- */

/* Text being put together. used < SHOWN_BYTES */
struct shown {
    char text[SHOWN_BYTES + sizeof "…"];
    size_t used;
};

static void show(struct shown *shown, const char *text)
{
    size_t length = strlen(text);
    if (shown->used + length >= SHOWN_BYTES) {
        length = SHOWN_BYTES - 1 - shown->used;
    }
    memcpy(shown->text + shown->used, text, length);
    shown->used += length;
    const char *end = text[length] != '\0' ? "…" : "";
    memcpy(shown->text + shown->used, end, strlen(end) + 1);
}

static void show_names(struct shown *shown, char **names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        show(shown, i > 0 ? ", " : "");
        show(shown, names[i]);
    }
}

static void show_headers(struct shown *shown, const struct header_setting *headers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        show(shown, i > 0 ? ", " : "");
        show(shown, headers[i].name);
        show(shown, ": ");
        show(shown, headers[i].value);
    }
}

static uint64_t read_number(const void *field, size_t size)
{
    bool truth = false;
    uint32_t word = 0;
    uint64_t number = 0;
    void *value = size == sizeof truth ? (void *)&truth : size == sizeof word ? (void *)&word : &number;
    memcpy(value, field, size);
    return size == sizeof truth ? truth : size == sizeof word ? word : number;
}

/* KEY's field of STRUCTURE. */
static struct shown show_field(const struct settings_key *key, const void *structure)
{
    struct shown shown = {.used = 0};
    char number[VALUE_TEXT_BYTES];
    const void *field = (const char *)structure + key->offset;
    const size_t *count = (const size_t *)((const char *)field + sizeof(char **)); /* of a list */
    const char *text = NULL;
    switch (key->kind) {
    case KIND_USER:
    case KIND_GROUP:
    case KIND_PATH:
    case KIND_PATH_OR_OFF:
    case KIND_ERROR_LOG:
    case KIND_DIRECTORY:
        text = *(char *const *)field;
        show(&shown, text != NULL ? text : key->kind == KIND_PATH_OR_OFF ? "off" : "none");
        break;
    case KIND_WORKERS:
    case KIND_COUNT:
    case KIND_DURATION:
    case KIND_SIZE:
    case KIND_BOOL:
    case KIND_MODE:
        value_print(key, read_number(field, key->size), number);
        show(&shown, number);
        break;
    case KIND_FILE_NAMES:
    case KIND_NETWORKS:
        show_names(&shown, *(char **const *)field, *count);
        break;
    case KIND_ALIASES: /* the first is the title */
        show_names(&shown, *(char **const *)field + 1, *count - 1);
        break;
    case KIND_HEADERS:
        show_headers(&shown, *(struct header_setting *const *)field, *count);
        break;
    }
    if (shown.used == 0) {
        show(&shown, "none");
    }
    return shown;
}

/* ---- comparing ---- */

/* Fields are compared in full, not by what is shown of them. */
static bool texts_same(const char *old, const char *new)
{
    return old == new || (old != NULL && new != NULL &&strcmp(old, new) == 0);
}

static bool names_same(char *const *old, char *const *new, size_t count)
{
    bool same = true;
    for (size_t i = 0; same && i < count; i++) {
        same = strcmp(old[i], new[i]) == 0;
    }
    return same;
}

static bool headers_same(const struct header_setting *old, const struct header_setting *new, size_t count)
{
    bool same = true;
    for (size_t i = 0; same && i < count; i++) {
        same = strcmp(old[i].name, new[i].name) == 0 && strcmp(old[i].value, new[i].value) == 0;
    }
    return same;
}

static bool field_same(const struct settings_key *key, const void *old_structure, const void *new_structure)
{
    const char *old = (const char *)old_structure + key->offset, *new = (const char *)new_structure + key->offset;
    if (settings_key_is_list(key)) {
        size_t old_count, new_count;
        memcpy(&old_count, old + sizeof(char **), sizeof old_count);
        memcpy(&new_count, new + sizeof(char **), sizeof new_count);
        return old_count == new_count &&
               (key->kind == KIND_HEADERS ? headers_same(*(struct header_setting *const *)old,
                                                         *(struct header_setting *const *)new, old_count)
                                          : names_same(*(char **const *)old, *(char **const *)new, old_count));
    }
    bool number = key->kind == KIND_WORKERS || key->kind == KIND_COUNT || key->kind == KIND_DURATION ||
                  key->kind == KIND_SIZE || key->kind == KIND_BOOL || key->kind == KIND_MODE;
    return number ? memcmp(old, new, key->size) == 0 : texts_same(*(char *const *)old, *(char *const *)new);
}

/* The keys of SCOPE in two structures of the scope; WHO stands before the key's name. */
static void diff_keys(struct report *report, enum settings_scope scope, const char *who, const void *old,
                      const void *new)
{
    size_t count;
    const struct settings_key *keys = settings_keys(&count);
    for (size_t i = 0; i < count; i++) {
        if (keys[i].scope == scope && !field_same(&keys[i], old, new)) {
            struct shown before = show_field(&keys[i], old), after = show_field(&keys[i], new);
            add_line(report, "%s%s %s -> %s", who, keys[i].name, before.text, after.text);
        }
    }
}

static void canonical(const struct listen_setting *listener, struct address *address)
{
    char why[ADDRESS_WHY_BYTES];
    if (!address_parse(listener->address, address, why)) {
        snprintf(address->text, sizeof address->text, "%s", listener->address);
    }
}

static const struct listen_setting *find_listener(const struct settings *settings, const struct listen_setting *wanted)
{
    struct address one, other;
    canonical(wanted, &one);
    for (size_t i = 0; i < settings->listeners_count; i++) {
        canonical(&settings->listeners[i], &other);
        if (strcmp(one.text, other.text) == 0) {
            return &settings->listeners[i];
        }
    }
    return NULL;
}

static void diff_listeners(struct report *report, const struct settings *old, const struct settings *new)
{
    char who[ADDRESS_TEXT_BYTES + sizeof "listen : "];
    for (size_t i = 0; i < new->listeners_count; i++) {
        const struct listen_setting *listener = &new->listeners[i], *before = find_listener(old, listener);
        if (before == NULL) {
            add_line(report, "+ listen %s", listener->address);
            continue;
        }
        snprintf(who, sizeof who, "listen %s: ", listener->address);
        diff_keys(report, SCOPE_LISTEN, who, before, listener);
    }
    for (size_t i = 0; i < old->listeners_count; i++) {
        if (find_listener(new, &old->listeners[i]) == NULL) {
            add_line(report, "- listen %s", old->listeners[i].address);
        }
    }
}

static const struct site_setting *find_site(const struct settings *settings, const char *title)
{
    for (size_t i = 0; i < settings->sites_count; i++) {
        if (strcmp(settings->sites[i].names[0], title) == 0) {
            return &settings->sites[i];
        }
    }
    return NULL;
}

static void diff_sites(struct report *report, const struct settings *old, const struct settings *new)
{
    char who[SHOWN_BYTES + sizeof "site : "];
    for (size_t i = 0; i < new->sites_count; i++) {
        const struct site_setting *site = &new->sites[i], *before = find_site(old, site->names[0]);
        if (before == NULL) {
            add_line(report, "+ site \"%s\"", site->names[0]);
            continue;
        }
        snprintf(who, sizeof who, "site %.*s: ", SHOWN_BYTES, site->names[0]);
        diff_keys(report, SCOPE_SITE, who, before, site);
    }
    for (size_t i = 0; i < old->sites_count; i++) {
        if (find_site(new, old->sites[i].names[0]) == NULL) {
            add_line(report, "- site \"%s\"", old->sites[i].names[0]);
        }
    }
}

/* The site that takes what no other takes: "*", or else the first. NULL: there is none at all. */
static const char *default_site(const struct settings *settings)
{
    if (settings->sites_count == 0) {
        return NULL;
    }
    for (size_t i = 0; i < settings->sites_count; i++) {
        for (size_t name = 0; name < settings->sites[i].names_count; name++) {
            if (strcmp(settings->sites[i].names[name], "*") == 0) {
                return settings->sites[i].names[0];
            }
        }
    }
    return settings->sites[0].names[0];
}

/* A change of order alone may change this. */
static void diff_default_site(struct report *report, const struct settings *old, const struct settings *new)
{
    const char *before = default_site(old), *after = default_site(new);
    if (!texts_same(before, after)) {
        add_line(report, "default site %.*s -> %.*s", SHOWN_BYTES, before != NULL ? before : "none", SHOWN_BYTES,
                 after != NULL ? after : "none");
    }
}

size_t settings_diff(const struct settings *old, const struct settings *new, char *text, size_t size)
{
    struct report report = {.text = text, .size = size};
    if (size > 0) {
        text[0] = '\0';
    }
    diff_keys(&report, SCOPE_TOP, "", old, new);
    diff_listeners(&report, old, new);
    diff_sites(&report, old, new);
    diff_default_site(&report, old, new);
    tell_left_out(&report);
    return report.changes;
}
