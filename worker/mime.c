/* mime.c — see mime.h. */
#include "worker/mime.h"

#include "supervisor/inherit/check.h"
#include "supervisor/inherit/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    TABLE_BYTES_MAX = 1 << 20,
    INDEX_SLOTS = 4096,
    INDEX_USED_MAX = 3072, /* Debian 12's table has 1,500 extensions */
    TYPE_BYTES_MAX = 127,
    EXTENSION_BYTES_MAX = 32,
};

/* Offsets into the table's text. No extension: extension_bytes is 0. */
struct index_slot {
    uint32_t extension_at, type_at;
    uint8_t extension_bytes, type_bytes;
};

struct mime {
    int fd;      /* of the table, until it is read; else -1 */
    char *table; /* what the file held; NULL: there is none, or it is not read yet */
    size_t table_bytes;
    struct index_slot *index; /* open addressing; as long as there is a table */
    size_t index_used;
};

/* ---- the built-in types ---- */

struct default_type {
    struct text extension, type;
};

static const struct default_type default_types[] = {
    {TEXT("html"), TEXT("text/html")},
    {TEXT("htm"), TEXT("text/html")},
    {TEXT("css"), TEXT("text/css")},
    {TEXT("js"), TEXT("text/javascript")},
    {TEXT("mjs"), TEXT("text/javascript")},
    {TEXT("json"), TEXT("application/json")},
    {TEXT("map"), TEXT("application/json")},
    {TEXT("webmanifest"), TEXT("application/manifest+json")},
    {TEXT("wasm"), TEXT("application/wasm")},
    {TEXT("xml"), TEXT("application/xml")},
    {TEXT("xhtml"), TEXT("application/xhtml+xml")},
    {TEXT("rss"), TEXT("application/rss+xml")},
    {TEXT("atom"), TEXT("application/atom+xml")},
    {TEXT("txt"), TEXT("text/plain")},
    {TEXT("md"), TEXT("text/markdown")},
    {TEXT("csv"), TEXT("text/csv")},
    {TEXT("ics"), TEXT("text/calendar")},
    {TEXT("vtt"), TEXT("text/vtt")},
    {TEXT("svg"), TEXT("image/svg+xml")},
    {TEXT("png"), TEXT("image/png")},
    {TEXT("jpg"), TEXT("image/jpeg")},
    {TEXT("jpeg"), TEXT("image/jpeg")},
    {TEXT("gif"), TEXT("image/gif")},
    {TEXT("webp"), TEXT("image/webp")},
    {TEXT("avif"), TEXT("image/avif")},
    {TEXT("ico"), TEXT("image/vnd.microsoft.icon")},
    {TEXT("woff"), TEXT("font/woff")},
    {TEXT("woff2"), TEXT("font/woff2")},
    {TEXT("ttf"), TEXT("font/ttf")},
    {TEXT("otf"), TEXT("font/otf")},
    {TEXT("mp3"), TEXT("audio/mpeg")},
    {TEXT("ogg"), TEXT("audio/ogg")},
    {TEXT("opus"), TEXT("audio/ogg")},
    {TEXT("flac"), TEXT("audio/flac")},
    {TEXT("m4a"), TEXT("audio/mp4")},
    {TEXT("wav"), TEXT("audio/x-wav")},
    {TEXT("mp4"), TEXT("video/mp4")},
    {TEXT("webm"), TEXT("video/webm")},
    {TEXT("mkv"), TEXT("video/x-matroska")},
    {TEXT("pdf"), TEXT("application/pdf")},
    {TEXT("zip"), TEXT("application/zip")},
    {TEXT("gz"), TEXT("application/gzip")},
    {TEXT("zst"), TEXT("application/zstd")},
    {TEXT("xz"), TEXT("application/x-xz")},
    {TEXT("tar"), TEXT("application/x-tar")},
};

static struct text default_find(struct text extension)
{
    for (size_t i = 0; i < sizeof default_types / sizeof default_types[0]; i++) {
        if (text_is_nocase(default_types[i].extension, extension)) {
            return default_types[i].type;
        }
    }
    return TEXT("application/octet-stream");
}

/* ---- the table ---- */

static size_t read_all(int fd, char *out, size_t out_bytes)
{
    size_t used = 0;
    while (used < out_bytes) {
        ssize_t got = TEMP_FAILURE_RETRY(read(fd, out + used, out_bytes - used));
        if (got <= 0) {
            break;
        }
        used += (size_t)got;
    }
    return used;
}

/* -1: it is done without. */
static int table_open(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 && (errno != ENOENT || strcmp(path, "/etc/mime.types") != 0)) {
        log_warn("mime_types %s: %s; the built-in types serve", path, strerror(errno));
    }
    return fd;
}

/* False: there is no memory, and no table yet. */
static bool table_read(struct mime *mime)
{
    off_t end = lseek(mime->fd, 0, SEEK_END);
    size_t bytes = end < 0 ? 0 : end > TABLE_BYTES_MAX ? TABLE_BYTES_MAX : (size_t)end;
    mime->table = malloc(bytes + 1);
    mime->index = calloc(INDEX_SLOTS, sizeof *mime->index);
    if (mime->table == NULL || mime->index == NULL) {
        free(mime->table);
        free(mime->index);
        mime->table = NULL;
        mime->index = NULL;
        return false;
    }
    mime->table_bytes = lseek(mime->fd, 0, SEEK_SET) == 0 ? read_all(mime->fd, mime->table, bytes) : 0;
    close(mime->fd);
    mime->fd = -1;
    return true;
}

struct mime *mime_open(const char *path)
{
    struct mime *mime = calloc(1, sizeof *mime);
    if (mime != NULL) {
        mime->fd = path != NULL ? table_open(path) : -1;
    }
    return mime;
}

void mime_close(struct mime *mime)
{
    if (mime->fd >= 0) {
        close(mime->fd);
    }
    free(mime->table);
    free(mime->index);
    free(mime);
}

/* ---- the index ---- */

/* The slot that holds EXTENSION, or the free one where it belongs. At least one slot is always free. */
static const struct index_slot *index_slot(const struct mime *mime, struct text extension)
{
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < extension.bytes; i++) {
        hash = (hash ^ ((unsigned char)extension.at[i] | 0x20u)) * 16777619u;
    }
    for (size_t at = (hash ^ hash >> 15) % INDEX_SLOTS;; at = (at + 1) % INDEX_SLOTS) {
        const struct index_slot *slot = &mime->index[at];
        struct text held = {mime->table + slot->extension_at, slot->extension_bytes};
        if (slot->extension_bytes == 0 || text_is_nocase(held, extension)) {
            return slot;
        }
    }
}

static void index_add(struct mime *mime, struct text type, struct text extension)
{
    if (extension.bytes > EXTENSION_BYTES_MAX || mime->index_used >= INDEX_USED_MAX) {
        return;
    }
    struct index_slot *slot = &mime->index[index_slot(mime, extension) - mime->index];
    mime->index_used += slot->extension_bytes == 0;
    *slot = (struct index_slot){
        .extension_at = (uint32_t)(extension.at - mime->table),
        .type_at = (uint32_t)(type.at - mime->table),
        .extension_bytes = (uint8_t)extension.bytes,
        .type_bytes = (uint8_t)type.bytes,
    };
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* The next word of *line, which moves behind it; empty at the line's end or before a comment. */
static struct text word_take(struct text *line)
{
    while (line->bytes > 0 && is_blank(*line->at)) {
        line->at++, line->bytes--;
    }
    struct text word = {line->at, 0};
    while (word.bytes < line->bytes && !is_blank(word.at[word.bytes])) {
        word.bytes++;
    }
    line->at += word.bytes;
    line->bytes -= word.bytes;
    if (word.bytes > 0 && *word.at == '#') {
        word.bytes = line->bytes = 0;
    }
    return word;
}

static void line_index(struct mime *mime, struct text line)
{
    struct text type = word_take(&line);
    struct text extension = word_take(&line);
    if (type.bytes > TYPE_BYTES_MAX) {
        return;
    }
    for (; extension.bytes > 0; extension = word_take(&line)) {
        index_add(mime, type, extension);
    }
}

static void index_make(struct mime *mime)
{
    const char *at = mime->table, *end = mime->table + mime->table_bytes;
    while (at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        const char *line_end = newline ? newline : end;
        size_t bytes = (size_t)(line_end - at);
        if (memchr(at, '\t', bytes) || memchr(at, ' ', bytes)) { /* most lines of Debian's table are a type alone */
            line_index(mime, (struct text){at, bytes});
        }
        at = line_end + 1;
    }
    if (mime->index_used >= INDEX_USED_MAX) {
        log_warn("mime_types: more than %d extensions; the rest is not used", INDEX_USED_MAX);
    }
}

/* ---- questions ---- */

static struct text extension_of(struct text name)
{
    const char *slash = memrchr(name.at, '/', name.bytes);
    const char *base = slash ? slash + 1 : name.at;
    size_t base_bytes = name.bytes - (size_t)(base - name.at);
    const char *dot = memrchr(base, '.', base_bytes);
    return dot ? (struct text){dot + 1, (size_t)(base + base_bytes - dot - 1)} : TEXT("");
}

/* "type/subtype", and nothing in it that could end a header's line. */
static bool type_is_sane(struct text type)
{
    if (!memchr(type.at, '/', type.bytes)) {
        return false;
    }
    for (size_t i = 0; i < type.bytes; i++) {
        if (type.at[i] <= ' ' || type.at[i] > '~') {
            return false;
        }
    }
    return true;
}

static struct text type_find(struct mime *mime, struct text extension)
{
    if (extension.bytes == 0 || extension.bytes > EXTENSION_BYTES_MAX) {
        return TEXT("application/octet-stream");
    }
    if (mime->fd >= 0 && table_read(mime)) {
        index_make(mime);
    }
    if (mime->table_bytes > 0) {
        const struct index_slot *slot = index_slot(mime, extension);
        struct text type = {mime->table + slot->type_at, slot->type_bytes};
        if (slot->extension_bytes > 0 && type_is_sane(type)) {
            return type;
        }
    }
    return default_find(extension);
}

static bool ends_in(struct text text, struct text ending)
{
    return text.bytes >= ending.bytes &&
           text_is_nocase((struct text){text.at + text.bytes - ending.bytes, ending.bytes}, ending);
}

/* Would a browser have to guess the character set? JSON is UTF-8 by definition, but people open it in browsers, which
 * take it for plain text. */
static bool type_is_text(struct text type)
{
    if (memchr(type.at, ';', type.bytes)) {
        return false; /* it has parameters: whoever wrote them knew */
    }
    return (type.bytes > 5 && text_is_nocase((struct text){type.at, 5}, TEXT("text/"))) ||
           ends_in(type, TEXT("/javascript")) || ends_in(type, TEXT("/json")) || ends_in(type, TEXT("/xml")) ||
           ends_in(type, TEXT("+json")) || ends_in(type, TEXT("+xml"));
}

struct text mime_type(struct mime *mime, struct text name, char out[MIME_TYPE_BYTES_MAX])
{
    static const struct text charset = TEXT("; charset=utf-8");
    struct text type = type_find(mime, extension_of(name));
    memcpy(out, type.at, type.bytes);
    size_t bytes = type.bytes;
    if (type_is_text(type)) {
        memcpy(out + bytes, charset.at, charset.bytes);
        bytes += charset.bytes;
    }
    return (struct text){out, bytes};
}
