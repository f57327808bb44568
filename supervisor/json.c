/* json.c — see json.h. */
#include "supervisor/json.h"

#include <inttypes.h>
#include <string.h>

static void begin(struct json *json, const char *name)
{
    if (json->comma) {
        fputc(',', json->out);
    }
    json->comma = true;
    if (name != NULL) {
        fprintf(json->out, "\"%s\":", name);
    }
}

void json_open(struct json *json, const char *name, char bracket)
{
    begin(json, name);
    fputc(bracket, json->out);
    json->comma = false;
}

void json_close(struct json *json, char bracket)
{
    fputc(bracket, json->out);
    json->comma = true;
}

void json_number(struct json *json, const char *name, int64_t value)
{
    begin(json, name);
    fprintf(json->out, "%" PRId64, value);
}

void json_bool(struct json *json, const char *name, bool value)
{
    begin(json, name);
    fputs(value ? "true" : "false", json->out);
}

void json_null(struct json *json, const char *name)
{
    begin(json, name);
    fputs("null", json->out);
}

/* How many bytes the UTF-8 character at TEXT has (RFC 3629: no overlong forms, no surrogates); 0: it is none. */
static size_t utf8_bytes(const unsigned char *text, size_t left)
{
    static const struct {
        unsigned char first, last, second_low, second_high;
        size_t bytes;
    } forms[] = {
        {0x00, 0x7f, 0, 0, 1},       {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
        {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
        {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
    };
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        if (text[0] < forms[i].first || text[0] > forms[i].last || left < forms[i].bytes) {
            continue;
        }
        bool good = forms[i].bytes == 1 || (text[1] >= forms[i].second_low && text[1] <= forms[i].second_high);
        for (size_t at = 2; good && at < forms[i].bytes; at++) {
            good = (text[at] & 0xc0) == 0x80;
        }
        return good ? forms[i].bytes : 0;
    }
    return 0;
}

void json_string(struct json *json, const char *name, const char *text, size_t bytes)
{
    begin(json, name);
    fputc('"', json->out);
    size_t length = strnlen(text, bytes);
    for (size_t at = 0; at < length;) {
        const unsigned char *byte = (const unsigned char *)text + at;
        size_t count = utf8_bytes(byte, length - at);
        if (count == 0) {
            fputs("\\ufffd", json->out);
        } else if (*byte < 0x20 || *byte == 0x7f) {
            fprintf(json->out, "\\u%04x", *byte);
        } else {
            fprintf(json->out, "%s%.*s", *byte == '"' || *byte == '\\' ? "\\" : "", (int)count, (const char *)byte);
        }
        at += count > 0 ? count : 1;
    }
    fputc('"', json->out);
}
