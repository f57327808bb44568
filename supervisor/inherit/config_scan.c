/* config_scan.c — see config_scan.h. Recursive descent: file, statement, value. */
#include "supervisor/inherit/config_scan.h"

#include "supervisor/inherit/config_lexer.h"
#include "supervisor/inherit/settings_error.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One file being read. */
struct reader {
    struct config_scan *scan;
    struct snapshot_files *files;
    config_fetch *fetch;
    char *error;
    const struct snapshot_file *file;
    unsigned depth;
    /* The section that the statement stands in. */
    enum settings_scope scope;
    size_t ordinal;
    unsigned value_line;       /* of the last KEY = VALUE */
    struct config_lexer lexer; /* of FILE */
};
enum { INHERITED_BYTES = offsetof(struct reader, lexer) }; /* by the reader of an included file */

static bool read_statements(struct reader *reader, bool in_section, unsigned begin_line);

#define refuse(reader, line, ...) settings_error((reader)->error, (reader)->file->name, line, __VA_ARGS__)

static bool refuse_memory(struct reader *reader)
{
    return refuse(reader, reader->lexer.token_line, "out of memory; free some, or write a shorter configuration");
}

/* Make room for one more ITEM_BYTES-sized thing behind COUNT. Returns the array, moved or not, or NULL. */
static void *grow(void *array, size_t count, size_t *room, size_t item_bytes)
{
    if (count < *room) {
        return array;
    }
    size_t wanted = *room * 2 + 64;
    void *moved = reallocarray(array, wanted, item_bytes);
    if (moved != NULL) {
        *room = wanted;
    }
    return moved;
}

/* ---- what comes out ---- */

static bool put_byte(struct config_scan *scan, char byte)
{
    char *moved = grow(scan->text, scan->text_bytes + 1, &scan->text_room, 1);
    if (moved == NULL) {
        return false;
    }
    scan->text = moved;
    scan->text[scan->text_bytes++] = byte;
    scan->text[scan->text_bytes] = '\0';
    return true;
}

/* The token in hand, at its place: a new line of text for each new line of a file. Words are quoted, so that
 * libconfuse takes them as they are. */
static bool put_token(struct reader *reader)
{
    struct config_scan *scan = reader->scan;
    const struct config_lexer *lexer = &reader->lexer;
    struct config_place place = {.file = reader->file, .line = lexer->token_line};
    const struct config_place *last = scan->lines_count > 0 ? &scan->lines[scan->lines_count - 1] : NULL;
    bool good = true;
    if (last == NULL || last->file != place.file || last->line != place.line) {
        struct config_place *moved = grow(scan->lines, scan->lines_count, &scan->lines_room, sizeof *moved);
        if (moved == NULL) {
            return refuse_memory(reader);
        }
        scan->lines = moved;
        good = last == NULL || put_byte(scan, '\n');
        scan->lines[scan->lines_count++] = place;
    }
    bool word = lexer->token == TOKEN_WORD;
    good = good && put_byte(scan, word ? '"' : ' ');
    for (const char *byte = lexer->word; good && *byte != '\0'; byte++) {
        bool escape = word && strchr("\"\\$", *byte) != NULL;
        good = (!escape || put_byte(scan, '\\')) && put_byte(scan, *byte);
    }
    good = good && put_byte(scan, word ? '"' : ' ');
    return good || refuse_memory(reader);
}

/* Note where KEY of the reader's section, or the section itself, with TITLE, was said. */
static bool put_mark(struct reader *reader, const struct settings_key *key, const char *title)
{
    struct config_scan *scan = reader->scan;
    struct config_mark *moved = grow(scan->marks, scan->marks_count, &scan->marks_room, sizeof *moved);
    if (moved == NULL) {
        return refuse_memory(reader);
    }
    scan->marks = moved;
    scan->marks[scan->marks_count++] = (struct config_mark){
        .scope = reader->scope,
        .ordinal = reader->ordinal,
        .key = key,
        .title = title != NULL ? strdup(title) : NULL,
        .place = {.file = reader->file, .line = reader->lexer.token_line},
    };
    return true;
}

struct config_place config_scan_place(const struct config_scan *scan, enum settings_scope scope, size_t ordinal,
                                      const struct settings_key *key)
{
    for (size_t i = scan->marks_count; i > 0; i--) { /* from the end: the section being read is the last one */
        const struct config_mark *mark = &scan->marks[i - 1];
        if (mark->scope == scope && mark->ordinal == ordinal && mark->key == key) {
            return mark->place;
        }
    }
    return (struct config_place){.file = NULL};
}

size_t config_scan_sections(const struct config_scan *scan, enum settings_scope scope)
{
    size_t count = 0;
    for (size_t i = 0; i < scan->marks_count; i++) {
        count += scan->marks[i].scope == scope && scan->marks[i].key == NULL;
    }
    return count;
}

/* ---- what goes in ---- */

/* Read the next token; false if it is bad. */
static bool next(struct reader *reader)
{
    struct config_lexer *lexer = &reader->lexer;
    return config_lexer_next(lexer) != TOKEN_BAD || refuse(reader, lexer->token_line, "%s", lexer->why);
}

/* How a message calls the token in hand. */
static const char *token_text(const struct reader *reader)
{
    return reader->lexer.token == TOKEN_END ? "the end of the file" : reader->lexer.word;
}

/* Read the next token, which must be TOKEN; INSTEAD says what to write otherwise. */
static bool expect(struct reader *reader, enum config_token token, const char *after, const char *instead)
{
    unsigned line = reader->lexer.token_line;
    char before[80];
    snprintf(before, sizeof before, "%s", after); /* it may be the word in hand */
    return next(reader) &&
           (reader->lexer.token == token ||
            refuse(reader, line, "after '%s' comes '%.80s'; write %.200s", before, token_text(reader), instead));
}

/* An unquoted value that ends with a semicolon is a habit from elsewhere. */
static bool check_semicolon(struct reader *reader)
{
    const struct config_lexer *lexer = &reader->lexer;
    size_t length = lexer->word_bytes;
    if (!lexer->quoted && length > 0 && lexer->word[length - 1] == ';') {
        return refuse(reader, lexer->token_line,
                      "'%.80s' ends with a semicolon; leave it out: statements end by themselves", lexer->word);
    }
    return true;
}

/* The = after KEY, which is the token in hand. */
static bool read_equals(struct reader *reader, const struct settings_key *key, const char *instead)
{
    unsigned line = reader->lexer.token_line;
    if (!next(reader)) {
        return false;
    }
    if (reader->lexer.token == TOKEN_WORD && reader->lexer.token_line == line) {
        return refuse(reader, line, "there is no = between '%s' and '%.80s'; write %s = %.80s", key->name,
                      reader->lexer.word, key->name, reader->lexer.word);
    }
    return reader->lexer.token == TOKEN_EQUALS ||
           refuse(reader, line, "after '%s' comes '%.80s'; write %.200s", key->name, token_text(reader), instead);
}

/* KEY = VALUE; the key is the token in hand. The value must stand in the line of its =, or a forgotten value would eat
 * the next statement. */
static bool read_scalar(struct reader *reader, const struct settings_key *key)
{
    char instead[128];
    snprintf(instead, sizeof instead, "%s = %s", key->name, key->initial != NULL ? key->initial : "\"...\"");
    if (!read_equals(reader, key, instead) || !put_token(reader)) {
        return false;
    }
    unsigned line = reader->lexer.token_line;
    if (!next(reader)) {
        return false;
    }
    if (reader->lexer.token == TOKEN_OPEN) {
        return refuse(reader, line, "%s takes one value, not a list; write %.200s", key->name, instead);
    }
    if (reader->lexer.token != TOKEN_WORD || reader->lexer.token_line != line) {
        return refuse(reader, line, "there is no value after '%s ='; write %.200s", key->name, instead);
    }
    reader->value_line = line;
    return check_semicolon(reader) && put_token(reader);
}

/* VALUE, VALUE, … }; the { is the token in hand. */
static bool read_elements(struct reader *reader, const struct settings_key *key, const char *instead)
{
    unsigned begin = reader->lexer.token_line;
    enum config_token wanted = TOKEN_WORD;
    while (put_token(reader) && next(reader)) {
        if (reader->lexer.token == TOKEN_CLOSE) {
            return put_token(reader);
        }
        if (reader->lexer.token != wanted) {
            return refuse(reader, begin, "in the list of %s comes '%.80s'; write %s", key->name, token_text(reader),
                          instead);
        }
        wanted = wanted == TOKEN_WORD ? TOKEN_COMMA : TOKEN_WORD;
    }
    return false;
}

/* KEY = { VALUES }, KEY += { VALUES }, or one value without braces; the key is the token in hand. */
static bool read_list(struct reader *reader, const struct settings_key *key)
{
    char instead[128];
    unsigned line = reader->lexer.token_line;
    snprintf(instead, sizeof instead, "%s = { \"...\", \"...\" }", key->name);
    if (!next(reader)) {
        return false;
    }
    if (reader->lexer.token != TOKEN_EQUALS && reader->lexer.token != TOKEN_APPEND) {
        return refuse(reader, line, "after '%s' comes '%.80s'; write %s", key->name, token_text(reader), instead);
    }
    if (!put_token(reader) || !next(reader)) {
        return false;
    }
    if (reader->lexer.token == TOKEN_WORD) {
        return check_semicolon(reader) && put_token(reader);
    }
    if (reader->lexer.token != TOKEN_OPEN) {
        return refuse(reader, line, "after '=' comes '%.80s'; write %s", token_text(reader), instead);
    }
    return read_elements(reader, key, instead);
}

/* True if the statement that the key in hand begins is an addition, KEY += …. */
static bool is_append(const struct reader *reader)
{
    struct config_lexer ahead = reader->lexer;
    return config_lexer_next(&ahead) == TOKEN_APPEND;
}

static bool read_key(struct reader *reader, const struct settings_key *key)
{
    bool list = settings_key_is_list(key);
    struct config_place first = config_scan_place(reader->scan, reader->scope, reader->ordinal, key);
    if (first.file != NULL && !(list && is_append(reader))) {
        return refuse(reader, reader->lexer.token_line, "%s was given already at %.200s:%u; keep one of the two%s",
                      key->name, first.file->name, first.line, list ? ", or add to the list with +=" : "");
    }
    return put_mark(reader, key, NULL) && put_token(reader) &&
           (list ? read_list(reader, key) : read_scalar(reader, key));
}

/* The section of SCOPE that has TITLE already. */
static const struct config_mark *find_section(const struct config_scan *scan, enum settings_scope scope,
                                              const char *title)
{
    for (size_t i = 0; i < scan->marks_count; i++) {
        const struct config_mark *mark = &scan->marks[i];
        if (mark->scope == scope && mark->key == NULL && mark->title != NULL && strcmp(mark->title, title) == 0) {
            return mark;
        }
    }
    return NULL;
}

/* listen "TITLE" { … } or site "TITLE" { … }; the first word is the token in hand. */
static bool read_section(struct reader *reader, enum settings_scope scope)
{
    const char *name = settings_scope_name(scope);
    const char *instead = scope == SCOPE_LISTEN ? "listen \"0.0.0.0:8000\" { }" : "site \"*\" { root = \"/srv/www\" }";
    size_t most = scope == SCOPE_LISTEN ? SETTINGS_LISTENERS_MAX : CONFIG_SITES_MAX;
    unsigned begin = reader->lexer.token_line;
    if (!put_token(reader) || !expect(reader, TOKEN_WORD, name, instead)) {
        return false;
    }
    const struct config_mark *same = find_section(reader->scan, scope, reader->lexer.word);
    if (same != NULL) {
        return refuse(reader, reader->lexer.token_line,
                      "%s \"%.200s\" was given already at %.200s:%u; put both into one", name, same->title,
                      same->place.file->name, same->place.line);
    }
    reader->scope = scope;
    reader->ordinal = config_scan_sections(reader->scan, scope);
    if (reader->ordinal == most) {
        return refuse(reader, begin, "there are more than %zu %s sections; take some out", most, name);
    }
    bool good = put_mark(reader, NULL, reader->lexer.word) && put_token(reader) &&
                expect(reader, TOKEN_OPEN, reader->lexer.word, instead) && put_token(reader) &&
                read_statements(reader, true, begin) && put_token(reader);
    reader->scope = SCOPE_TOP;
    reader->ordinal = 0;
    return good;
}

/* A file of its own, in the place of the include. */
static bool read_file(const struct reader *parent, const struct snapshot_file *file)
{
    struct reader *reader = malloc(sizeof *reader); /* not on the stack: 8 KiB each, for the word in hand */
    if (reader == NULL) {
        return settings_error(parent->error, file->name, 1, "out of memory; free some");
    }
    memcpy(reader, parent, INHERITED_BYTES);
    reader->file = file;
    reader->depth++;
    config_lexer_begin(&reader->lexer, file->text, file->length);
    bool good = read_statements(reader, false, 0);
    if (reader->depth == 1) {
        bool newline = file->length > 0 && file->text[file->length - 1] == '\n';
        reader->scan->last_line = reader->lexer.line - (newline ? 1 : 0);
    }
    free(reader);
    return good;
}

/* include("PATH"); the first word is the token in hand. It leaves no trace in the text. */
static bool read_include(struct reader *reader)
{
    static const char instead[] = "include(\"FILE\")";
    unsigned line = reader->lexer.token_line;
    char path[1024], why[256] = "";
    if (!expect(reader, TOKEN_PAREN_OPEN, "include", instead) || !expect(reader, TOKEN_WORD, "(", instead)) {
        return false;
    }
    if (reader->lexer.word_bytes == 0 || reader->lexer.word_bytes >= sizeof path) {
        return refuse(reader, line, "include needs a file's name of 1 to %zu bytes; write %s", sizeof path - 1,
                      instead);
    }
    memcpy(path, reader->lexer.word, reader->lexer.word_bytes + 1);
    if (!expect(reader, TOKEN_PAREN_CLOSE, path, instead)) {
        return false;
    }
    if (reader->depth >= CONFIG_DEPTH_MAX) {
        return refuse(reader, line, "include(\"%.200s\") is more than %d deep; does a file include itself?", path,
                      CONFIG_DEPTH_MAX);
    }
    size_t number = reader->scan->files_met++;
    char *directory = path_directory(reader->file->name);
    char *name = directory != NULL ? join_path(directory, path) : NULL;
    bool good = name != NULL && reader->fetch(reader->files, number, reader->file, path, name, why);
    good = good ? read_file(reader, &reader->files->file[number])
                : refuse(reader, line, "include(\"%.200s\"): %s", path, why[0] != '\0' ? why : "out of memory");
    free(directory);
    free(name);
    return good;
}

/* A word that is no key here: a slip, or a key of another place. */
static bool refuse_word(struct reader *reader)
{
    const char *word = reader->lexer.word;
    unsigned line = reader->lexer.token_line;
    const char *guess = settings_key_guess(reader->scope, word);
    enum settings_scope scope = settings_key_scope(word);
    bool section = strcmp(word, "listen") == 0 || strcmp(word, "site") == 0;
    if (section || scope == SCOPE_TOP) {
        struct config_place begin = config_scan_place(reader->scan, reader->scope, reader->ordinal, NULL);
        return refuse(reader, line,
                      "'%s' cannot stand inside the %s section begun at %.200s:%u; close that with } first", word,
                      settings_scope_name(reader->scope), begin.file->name, begin.line);
    }
    if (scope < SCOPE_COUNT) {
        return refuse(reader, line, "'%s' belongs inside a section; write it between the braces of %s \"...\" { }",
                      word, settings_scope_name(scope));
    }
    if (guess != NULL) {
        return refuse(reader, line, "unknown key '%.80s'; did you mean '%s'?", word, guess);
    }
    if (line == reader->value_line) {
        return refuse(reader, line, "'%.80s' stands behind a value and is no key; put a value with spaces in quotes",
                      word);
    }
    return refuse(reader, line, "unknown key '%.80s'; see perdure.conf(5) for the keys", word);
}

/* The statement that the word in hand begins. */
static bool read_statement(struct reader *reader)
{
    const char *word = reader->lexer.word;
    const struct settings_key *key = settings_key_find(reader->scope, word);
    if (key != NULL) {
        return read_key(reader, key);
    }
    if (strcmp(word, "include") == 0) {
        return read_include(reader);
    }
    for (enum settings_scope scope = SCOPE_LISTEN; reader->scope == SCOPE_TOP && scope < SCOPE_COUNT; scope++) {
        if (strcmp(word, settings_scope_name(scope)) == 0) {
            return read_section(reader, scope);
        }
    }
    return refuse_word(reader);
}

/* Statements up to the end of the file, or, IN_SECTION, to the brace that closes the section begun at BEGIN_LINE. */
static bool read_statements(struct reader *reader, bool in_section, unsigned begin_line)
{
    while (next(reader)) {
        switch (reader->lexer.token) {
        case TOKEN_END:
            return !in_section ||
                   refuse(reader, begin_line, "the %s section that begins here has no end; close it with }",
                          settings_scope_name(reader->scope));
        case TOKEN_CLOSE:
            return in_section ||
                   refuse(reader, reader->lexer.token_line, "this } closes nothing that this file opened; take it out");
        case TOKEN_WORD:
            if (!read_statement(reader)) {
                return false;
            }
            break;
        case TOKEN_OPEN:
        case TOKEN_PAREN_OPEN:
        case TOKEN_PAREN_CLOSE:
        case TOKEN_EQUALS:
        case TOKEN_APPEND:
        case TOKEN_COMMA:
        case TOKEN_BAD:
            return refuse(reader, reader->lexer.token_line, "'%s' where a key should be; write KEY = VALUE",
                          reader->lexer.word);
        }
    }
    return false;
}

bool config_scan(struct config_scan *scan, struct snapshot_files *files, config_fetch *fetch,
                 char error[SETTINGS_ERROR_BYTES])
{
    memset(scan, 0, sizeof *scan);
    scan->files_met = 1;
    struct reader *root = malloc(sizeof *root);
    if (root == NULL) {
        return settings_error(error, files->file[0].name, 1, "out of memory; free some");
    }
    memset(root, 0, INHERITED_BYTES);
    root->scan = scan;
    root->files = files;
    root->fetch = fetch;
    root->error = error;
    root->scope = SCOPE_TOP;
    bool good = read_file(root, &files->file[0]) && put_byte(scan, '\n');
    free(root);
    return good || settings_error(error, files->file[0].name, 1, "out of memory; free some");
}

void config_scan_free(struct config_scan *scan)
{
    for (size_t i = 0; i < scan->marks_count; i++) {
        free(scan->marks[i].title);
    }
    free(scan->text);
    free(scan->lines);
    free(scan->marks);
    memset(scan, 0, sizeof *scan);
}
