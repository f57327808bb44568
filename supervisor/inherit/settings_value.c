/* settings_value.c — see settings_value.h. */
#include "supervisor/inherit/settings_value.h"

#include "supervisor/inherit/network.h"

#include <confuse.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

struct unit {
    const char *name;
    uint64_t factor;
};

/* Largest first, for printing. */
static const struct unit duration_units[] = {{"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}, {NULL, 0}};
static const struct unit size_units[] = {{"g", 1 << 30}, {"m", 1 << 20}, {"k", 1 << 10}, {"", 1}, {NULL, 0}};
static const struct unit plain_units[] = {{"", 1}, {NULL, 0}};

/* Fields that frame the message or that perdure says itself: a second one would be a lie or a smuggling aid. */
static const char *const reserved_fields[] = {
    "Accept-Ranges",
    "Allow",
    "Connection",
    "Content-Encoding",
    "Content-Length",
    "Content-Range",
    "Content-Type",
    "Date",
    "ETag",
    "Keep-Alive",
    "Last-Modified",
    "Location",
    "TE",
    "Trailer",
    "Transfer-Encoding",
    "Upgrade",
};

enum { NAME_BYTES = 253, USER_BYTES = 32, PATH_BYTES = 4095, DIGITS = 19 };

static bool refuse(char why[VALUE_WHY_BYTES], const char *format, ...) __attribute__((format(printf, 2, 3)));

static bool refuse(char why[VALUE_WHY_BYTES], const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(why, VALUE_WHY_BYTES, format, arguments);
    va_end(arguments);
    return false;
}

static const struct unit *units_of(enum settings_kind kind)
{
    return kind == KIND_DURATION ? duration_units : kind == KIND_SIZE ? size_units : plain_units;
}

static void print_number(const struct unit *units, uint64_t number, char text[VALUE_TEXT_BYTES])
{
    if (number == 0) {
        snprintf(text, VALUE_TEXT_BYTES, "0%s", units == duration_units ? "s" : "");
        return;
    }
    while (number % units->factor != 0) {
        units++;
    }
    snprintf(text, VALUE_TEXT_BYTES, "%" PRIu64 "%s", number / units->factor, units->name);
}

/* "write a duration from 10ms to 24h" */
static void print_remedy(const struct settings_key *key, char text[VALUE_WHY_BYTES])
{
    char low[VALUE_TEXT_BYTES], high[VALUE_TEXT_BYTES];
    print_number(units_of(key->kind), key->low, low);
    print_number(units_of(key->kind), key->high, high);
    const char *noun = key->kind == KIND_DURATION  ? "a duration"
                       : key->kind == KIND_SIZE    ? "a size"
                       : key->kind == KIND_WORKERS ? "auto or a number"
                                                   : "a number";
    const char *units = key->kind == KIND_DURATION ? " (units: ms, s, m, h)"
                        : key->kind == KIND_SIZE   ? " (units: k, m, g)"
                                                   : "";
    snprintf(text, VALUE_WHY_BYTES, "write %s from %s to %s%s", noun, low, high, units);
}

static bool refuse_number(const struct settings_key *key, char why[VALUE_WHY_BYTES], const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* With what would be right. It is made for nobody else, for a successor reads sixty numbers while its clients wait. */
static bool refuse_number(const struct settings_key *key, char why[VALUE_WHY_BYTES], const char *format, ...)
{
    char what[VALUE_WHY_BYTES], remedy[VALUE_WHY_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    print_remedy(key, remedy);
    return refuse(why, "%s; %.400s", what, remedy);
}

/* Digits and a unit, nothing else. Stricter than strtol(3) on purpose: libconfuse's own integers take 010 for eight
 * and "" for zero. */
static bool parse_number(const struct settings_key *key, const char *text, uint64_t *number, char why[VALUE_WHY_BYTES])
{
    const struct unit *units = units_of(key->kind);
    size_t digits = strspn(text, "0123456789");
    const char *unit = text + digits;
    if (text[0] == '\0') {
        return refuse_number(key, why, "%s is empty", key->name);
    }
    if (text[0] == '-') {
        return refuse_number(key, why, "%s = %.40s is negative", key->name, text);
    }
    if (digits == 0) {
        return refuse_number(key, why, "%s = %.40s is not a number", key->name, text);
    }
    if (text[0] == '0' && digits > 1) {
        size_t zeros = strspn(text, "0");
        zeros -= zeros == digits;
        return refuse(why, "%s = %.40s begins with a zero, which some take for octal; write %.40s", key->name, text,
                      text + zeros);
    }
    if (*unit == '.') {
        return refuse(why, "%s = %.40s is a fraction; write a whole number in a smaller unit", key->name, text);
    }
    while (units->name != NULL && strcmp(units->name, unit) != 0) {
        units++;
    }
    if (units->name == NULL && *unit == '\0') {
        return refuse(why, "%s = %.40s has no unit; write %.40ss (units: ms, s, m, h)", key->name, text, text);
    }
    if (units->name == NULL) {
        return refuse_number(key, why, "%s = %.40s: '%.40s' is no unit", key->name, text, unit);
    }
    uint64_t value = 0;
    for (size_t i = 0; i < digits && digits <= DIGITS; i++) {
        value = value * 10 + (uint64_t)(text[i] - '0');
    }
    if (digits > DIGITS || value > key->high / units->factor || value * units->factor < key->low) {
        return refuse_number(key, why, "%s = %.40s is out of bounds", key->name, text);
    }
    *number = value * units->factor;
    return true;
}

static bool parse_workers(const struct settings_key *key, const char *text, uint64_t *number, char why[VALUE_WHY_BYTES])
{
    *number = 0;
    return strcmp(text, "auto") == 0 || parse_number(key, text, number, why);
}

static bool parse_bool(const struct settings_key *key, const char *text, uint64_t *number, char why[VALUE_WHY_BYTES])
{
    int value = cfg_parse_boolean(text);
    *number = value == 1;
    return value >= 0 || refuse(why, "%s = \"%.40s\" is neither true nor false; write one of them", key->name, text);
}

/* A path as it stands in a file; WORDS are what else may be written, or NULL. */
static bool check_path(const struct settings_key *key, const char *text, const char *words, char why[VALUE_WHY_BYTES])
{
    const char * or = words != NULL ? " or " : "";
    words = words != NULL ? words : "";
    if (text[0] != '/') {
        return refuse(why, "%s = \"%.200s\" is not an absolute path; write a path that begins with /%s%s", key->name,
                      text, or, words);
    }
    if (strlen(text) > PATH_BYTES) {
        return refuse(why, "%s is longer than %d bytes; write a shorter path", key->name, PATH_BYTES);
    }
    return true;
}

static bool check_directory(const struct settings_key *key, const char *text, char why[VALUE_WHY_BYTES])
{
    if (text[0] == '\0') {
        return refuse(why, "%s is empty; write the path of a directory", key->name);
    }
    return strlen(text) <= PATH_BYTES ||
           refuse(why, "%s is longer than %d bytes; write a shorter path", key->name, PATH_BYTES);
}

static bool check_user(const struct settings_key *key, const char *text, char why[VALUE_WHY_BYTES])
{
    if (text[0] == '\0' || strlen(text) > USER_BYTES) {
        return refuse(why, "%s = \"%.40s\" cannot be a user's name; write one of 1 to %d letters, as in getent passwd",
                      key->name, text, USER_BYTES);
    }
    return true;
}

static bool check_group(const struct settings_key *key, const char *text, char why[VALUE_WHY_BYTES])
{
    if (text[0] == '\0' || strlen(text) > USER_BYTES) {
        return refuse(why, "%s = \"%.40s\" cannot be a group's name; write one of 1 to %d letters, as in getent group",
                      key->name, text, USER_BYTES);
    }
    return true;
}

/* Three octal digits, as chmod(1) takes them; a zero may stand before them. */
static bool parse_mode(const struct settings_key *key, const char *text, uint64_t *number, char why[VALUE_WHY_BYTES])
{
    size_t length = strlen(text);
    if (strspn(text, "01234567") != length || length < 3 || length > 4 || (length == 4 && text[0] != '0')) {
        return refuse(why,
                      "%s = \"%.40s\" is not the permissions of a file; write three octal digits, such as \"0660\"",
                      key->name, text);
    }
    *number = 0;
    for (size_t i = 0; i < length; i++) {
        *number = *number * 8 + (uint64_t)(text[i] - '0');
    }
    return true;
}

static bool check_file_name(const struct settings_key *key, const char *text, char why[VALUE_WHY_BYTES])
{
    if (text[0] == '\0' || strcmp(text, ".") == 0 || strcmp(text, "..") == 0 || strchr(text, '/') != NULL ||
        strlen(text) > 255) {
        return refuse(why, "%s: \"%.200s\" is not a file's name; write a name without / such as \"index.html\"",
                      key->name, text);
    }
    return true;
}

/* True if the LENGTH bytes of NAME are a token (RFC 9110 section 5.6.2). */
static bool is_token(const char *name, size_t length)
{
    static const char letters[] = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    return length > 0 && strspn(name, letters) >= length;
}

static bool check_header(const struct settings_key *key, const char *text, char why[VALUE_WHY_BYTES])
{
    const char *colon = strchr(text, ':');
    if (colon == NULL || !is_token(text, (size_t)(colon - text))) {
        return refuse(why, "%s: \"%.200s\" is not a header field; write \"Name: value\"", key->name, text);
    }
    for (size_t i = 0; i < sizeof reserved_fields / sizeof reserved_fields[0]; i++) {
        const char *name = reserved_fields[i];
        if (strlen(name) == (size_t)(colon - text) && strncasecmp(name, text, strlen(name)) == 0) {
            return refuse(why, "%s: %s is said by perdure itself; take it out", key->name, name);
        }
    }
    for (const char *byte = text; *byte != '\0'; byte++) {
        if ((unsigned char)*byte < 0x20 || *byte == 0x7f) {
            return refuse(why, "%s: a control character in \"%.*s\"; take it out", key->name, (int)(colon - text),
                          text);
        }
    }
    if (colon[1 + strspn(colon + 1, " ")] == '\0') {
        return refuse(why, "%s: \"%.200s\" has no value; write \"Name: value\"", key->name, text);
    }
    return true;
}

static bool check_network(const struct settings_key *key, const char *text, char why[VALUE_WHY_BYTES])
{
    struct network network;
    return network_parse(text, &network) ||
           refuse(why,
                  "%s: \"%.60s\" is neither an address nor a network; write \"10.0.0.1\", \"10.0.0.0/8\" or another, "
                  "with nothing behind the prefix",
                  key->name, text);
}

bool value_is_site_name(const char *text, char why[VALUE_WHY_BYTES])
{
    static const char letters[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-._";
    size_t length = strlen(text), good = strspn(text, letters);
    if (strcmp(text, "*") == 0) {
        return true;
    }
    if (text[0] == '[' && length > 2 && length < 48 && strspn(text + 1, "0123456789abcdefABCDEF:.") == length - 2 &&
        text[length - 1] == ']') {
        return true;
    }
    if (length == 0 || length > NAME_BYTES) {
        return refuse(why,
                      "\"%.60s\" is not a host name of 1 to %d letters; write one such as \"example.org\", or \"*\"",
                      text, NAME_BYTES);
    }
    if (good > 0 && text[good] == ':') {
        return refuse(why, "\"%.253s\" has a port, but a site is chosen by its name alone; write \"%.*s\"", text,
                      (int)good, text);
    }
    if (text[0] == '*') {
        return refuse(why, "\"%.253s\": patterns are not known; write each name as an alias, or \"*\" for all", text);
    }
    if (good < length) {
        return refuse(why, "\"%.253s\": '%c' cannot stand in a host name; write one such as \"example.org\", or \"*\"",
                      text, text[good]);
    }
    if (text[0] == '.' || text[length - 1] == '.' || strstr(text, "..") != NULL) {
        return refuse(why, "\"%.253s\" has a dot with nothing beside it; write one such as \"example.org\"", text);
    }
    return true;
}

bool value_parse(const struct settings_key *key, const char *text, uint64_t *number, char why[VALUE_WHY_BYTES])
{
    *number = 0;
    switch (key->kind) {
    case KIND_USER:
        return check_user(key, text, why);
    case KIND_GROUP:
        return check_group(key, text, why);
    case KIND_MODE:
        return parse_mode(key, text, number, why);
    case KIND_WORKERS:
        return parse_workers(key, text, number, why);
    case KIND_COUNT:
    case KIND_DURATION:
    case KIND_SIZE:
        return parse_number(key, text, number, why);
    case KIND_PATH:
        return check_path(key, text, NULL, why);
    case KIND_PATH_OR_OFF:
        return strcmp(text, "off") == 0 || check_path(key, text, "off", why);
    case KIND_ERROR_LOG:
        return strcmp(text, "stderr") == 0 || strcmp(text, "syslog") == 0 ||
               check_path(key, text, "stderr or syslog", why);
    case KIND_DIRECTORY:
        return check_directory(key, text, why);
    case KIND_BOOL:
        return parse_bool(key, text, number, why);
    case KIND_FILE_NAMES:
        return check_file_name(key, text, why);
    case KIND_ALIASES:
        return value_is_site_name(text, why);
    case KIND_NETWORKS:
        return check_network(key, text, why);
    case KIND_HEADERS:
        return check_header(key, text, why);
    }
    return refuse(why, "%s: no such kind of value", key->name);
}

void value_print(const struct settings_key *key, uint64_t number, char text[VALUE_TEXT_BYTES])
{
    if (key->kind == KIND_BOOL) {
        snprintf(text, VALUE_TEXT_BYTES, "%s", number != 0 ? "true" : "false");
    } else if (key->kind == KIND_WORKERS && number == 0) {
        snprintf(text, VALUE_TEXT_BYTES, "auto");
    } else if (key->kind == KIND_MODE) {
        snprintf(text, VALUE_TEXT_BYTES, "%04" PRIo64, number);
    } else {
        print_number(units_of(key->kind), number, text);
    }
}
