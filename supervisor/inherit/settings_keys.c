/* settings_keys.c — the table of all keys, and guessing which one was meant. */
#include "supervisor/inherit/settings_keys.h"

#include <string.h>
#include <strings.h>

#define KILO   1024ULL
#define GIGA   (KILO * KILO * KILO)
#define MINUTE 60000ULL
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)

/* Names the scope by the struct that it fills. */
enum {
    SCOPE_OF_settings = SCOPE_TOP,
    SCOPE_OF_listen_setting = SCOPE_LISTEN,
    SCOPE_OF_site_setting = SCOPE_SITE,
};

static const struct settings_key table[] = {
#define KEY(structure, name_, field, kind_, initial_, low_, high_, text_)                                              \
    {.scope = (enum settings_scope)SCOPE_OF_##structure,                                                               \
     .name = #name_,                                                                                                   \
     .kind = KIND_##kind_,                                                                                             \
     .initial = initial_,                                                                                              \
     .low = low_,                                                                                                      \
     .high = high_,                                                                                                    \
     .offset = offsetof(struct structure, field),                                                                      \
     .size = sizeof(((struct structure *)NULL)->field),                                                                \
     .text = text_},
#include "supervisor/inherit/keys.def"
};

/* The words that are no keys: what each scope allows besides. */
static const char *const other_words[SCOPE_COUNT][4] = {
    [SCOPE_TOP] = {"listen", "site", "include"},
    [SCOPE_LISTEN] = {"include"},
    [SCOPE_SITE] = {"include"},
};

static const char *const scope_names[] = {[SCOPE_TOP] = "", [SCOPE_LISTEN] = "listen", [SCOPE_SITE] = "site"};

enum { GUESS_BYTES = 32 };

const struct settings_key *settings_keys(size_t *count)
{
    *count = sizeof table / sizeof table[0];
    return table;
}

const struct settings_key *settings_key_find(enum settings_scope scope, const char *name)
{
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (table[i].scope == scope && strcmp(table[i].name, name) == 0) {
            return &table[i];
        }
    }
    return NULL;
}

enum settings_scope settings_key_scope(const char *name)
{
    enum settings_scope scope = SCOPE_TOP;
    while (scope < SCOPE_COUNT && settings_key_find(scope, name) == NULL) {
        scope++;
    }
    return scope;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Edits that lead from A to B (insert, delete, replace, swap two neighbours), case ignored; both shorter than
 * GUESS_BYTES. The textbook's table: edits[i][j] is the distance of A's first i from B's first j letters. */
static size_t word_distance(const char *a, const char *b)
{
    size_t edits[GUESS_BYTES][GUESS_BYTES];
    size_t a_length = strlen(a), b_length = strlen(b);
    for (size_t i = 0; i <= a_length; i++) {
        for (size_t j = 0; j <= b_length; j++) {
            if (i == 0 || j == 0) {
                edits[i][j] = i + j;
                continue;
            }
            size_t differs = strncasecmp(a + i - 1, b + j - 1, 1) != 0;
            edits[i][j] = least(edits[i - 1][j - 1] + differs, least(edits[i - 1][j], edits[i][j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
                edits[i][j] = least(edits[i][j], edits[i - 2][j - 2] + 1);
            }
        }
    }
    return edits[a_length][b_length];
}

const char *settings_key_guess(enum settings_scope scope, const char *name)
{
    if (strlen(name) >= GUESS_BYTES) {
        return NULL;
    }
    /* A third of the letters may be wrong: more is another word. */
    size_t nearest = strlen(name) / 3 + 2;
    const char *guess = NULL;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        size_t distance = table[i].scope == scope ? word_distance(name, table[i].name) : nearest;
        if (distance < nearest) {
            nearest = distance;
            guess = table[i].name;
        }
    }
    for (const char *const *word = other_words[scope]; *word != NULL; word++) {
        size_t distance = word_distance(name, *word);
        if (distance < nearest) {
            nearest = distance;
            guess = *word;
        }
    }
    return guess;
}

bool settings_key_is_list(const struct settings_key *key)
{
    return key->kind == KIND_FILE_NAMES || key->kind == KIND_ALIASES || key->kind == KIND_NETWORKS ||
           key->kind == KIND_HEADERS;
}

const char *settings_scope_name(enum settings_scope scope)
{
    return scope_names[scope];
}
