/* settings_keys.h — the table of all keys (keys.def) as data, for the parser, the manual's test and the diff. */
#ifndef PERDURE_INHERIT_SETTINGS_KEYS_H
#define PERDURE_INHERIT_SETTINGS_KEYS_H

#include "supervisor/inherit/settings.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where a key may stand. */
enum settings_scope {
    SCOPE_TOP,
    SCOPE_LISTEN,
    SCOPE_SITE,
    SCOPE_COUNT,
};

/* What a key's value is, and so what C type its field has. */
enum settings_kind {
    KIND_USER,        /* a user's name; char * */
    KIND_GROUP,       /* a group's name; char * */
    KIND_MODE,        /* permissions in octal; unsigned */
    KIND_WORKERS,     /* "auto" or a number; unsigned, 0 for auto */
    KIND_COUNT,       /* a plain number; unsigned or int */
    KIND_PATH,        /* an absolute path; char * */
    KIND_PATH_OR_OFF, /* an absolute path or "off"; char *, NULL for off */
    KIND_ERROR_LOG,   /* "stderr", "syslog" or an absolute path; char * */
    KIND_DIRECTORY,   /* a path, made absolute; char * */
    KIND_DURATION,    /* uint64_t of milliseconds */
    KIND_SIZE,        /* uint32_t or uint64_t of bytes */
    KIND_BOOL,        /* bool */
    KIND_FILE_NAMES,  /* a list of names without '/'; char ** and its count behind it */
    KIND_ALIASES,     /* a list of host names, behind the title's; char ** and its count behind it */
    KIND_NETWORKS,    /* a list of networks; char ** and its count behind it */
    KIND_HEADERS,     /* a list of "Name: value"; struct header_setting * and its count behind it */
};

struct settings_key {
    enum settings_scope scope;
    const char *name;
    enum settings_kind kind;
    const char *initial; /* as written in a file, NULL: none or computed */
    uint64_t low, high;  /* bounds of numbers, both allowed */
    size_t offset, size; /* of the field in the scope's struct */
    const char *text;    /* one line for people */
};

/* All keys, in the order of keys.def. */
const struct settings_key *settings_keys(size_t *count);

/* The key NAME of SCOPE, or NULL. */
const struct settings_key *settings_key_find(enum settings_scope scope, const char *name);

/* The scope that knows a key NAME, SCOPE_COUNT if none does. */
enum settings_scope settings_key_scope(const char *name);

/* The word (key, section or include) allowed in SCOPE that NAME is most likely a slip of, or NULL. */
const char *settings_key_guess(enum settings_scope scope, const char *name);

bool settings_key_is_list(const struct settings_key *key);

/* "" at the top, else "listen" or "site". */
const char *settings_scope_name(enum settings_scope scope);

#endif
