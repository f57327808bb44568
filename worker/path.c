/* path.c — see path.h. Nothing here looks at the file system: what the text alone can rule out ends here. */
#include "worker/path.h"

#include <stdint.h>

static int hex_value(char digit)
{
    if (digit >= '0' && digit <= '9') {
        return digit - '0';
    }
    digit |= 0x20;
    return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

/* The octet that stands at *AT, which moves behind it; -1 if it is no whole percent-encoding. */
static int octet_decode(const char **at, const char *end)
{
    const char *here = *at;
    if (*here != '%') {
        *at = here + 1;
        return (unsigned char)*here;
    }
    if (end - here < 3) {
        return -1;
    }
    int high = hex_value(here[1]), low = hex_value(here[2]);
    *at = here + 3;
    return high < 0 || low < 0 ? -1 : high << 4 | low;
}

/* Append the segment at *AT up to the next slash. 0 <= path->bytes < PATH_BYTES_MAX throughout. */
static enum path_verdict segment_decode(const char **at, const char *end, struct path *path)
{
    while (*at < end && **at != '/') {
        int octet = octet_decode(at, end);
        if (octet <= 0) {
            return PATH_MALFORMED;
        }
        if (octet == '/') {
            return PATH_ABSENT;
        }
        if (path->bytes >= PATH_BYTES_MAX - 1) {
            return PATH_TOO_LONG;
        }
        path->name[path->bytes++] = (char)octet;
    }
    return PATH_GOOD;
}

/* Drop the last segment of the COUNT bytes of name: the length that is left. */
static size_t segment_pop(const char *name, size_t count)
{
    const char *slash = memrchr(name, '/', count);
    return slash ? (size_t)(slash - name) : 0;
}

/* The segment that was just appended begins at START, behind a slash unless that is 0; the path before it was BEFORE
 * bytes. Take it back if it is "", "." or "..". */
static enum path_verdict segment_settle(struct path *path, size_t before, size_t start, bool dot_files)
{
    struct text segment = {path->name + start, path->bytes - start};
    path->is_directory = false;
    if (segment.bytes == 0 || text_is(segment, TEXT("."))) {
        path->is_directory = true;
        path->bytes = before;
        return PATH_GOOD;
    }
    if (text_is(segment, TEXT(".."))) {
        path->is_directory = true;
        path->bytes = segment_pop(path->name, before);
        return before == 0 ? PATH_MALFORMED : PATH_GOOD;
    }
    if (segment.at[0] == '.' && !dot_files && !text_is(segment, TEXT(".well-known"))) {
        return PATH_ABSENT;
    }
    return PATH_GOOD;
}

enum path_verdict path_decode(struct text encoded, bool dot_files, struct path *path)
{
    const char *at = encoded.at, *end = encoded.at + encoded.bytes;
    path->bytes = 0;
    path->is_directory = true;
    if (encoded.bytes == 0 || *at != '/') {
        return PATH_MALFORMED;
    }
    while (at < end) {
        at++; /* the slash */
        size_t before = path->bytes;
        if (before > 0) {
            if (before >= PATH_BYTES_MAX - 1) {
                return PATH_TOO_LONG;
            }
            path->name[path->bytes++] = '/';
        }
        size_t start = path->bytes;
        enum path_verdict verdict = segment_decode(&at, end, path);
        if (verdict == PATH_GOOD) {
            verdict = segment_settle(path, before, start, dot_files);
        }
        if (verdict != PATH_GOOD) {
            return verdict;
        }
    }
    path->name[path->bytes] = '\0';
    return PATH_GOOD;
}

static bool is_plain(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
           c == '_' || c == '~' || c == '/';
}

size_t path_encode(struct text name, char *out, size_t out_bytes)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t used = 0;
    for (size_t i = 0; i < name.bytes; i++) {
        unsigned char c = (unsigned char)name.at[i];
        size_t needed = is_plain(c) ? 1 : 3;
        if (out_bytes - used < needed) {
            return 0;
        }
        if (needed == 1) {
            out[used++] = (char)c;
        } else {
            out[used++] = '%';
            out[used++] = digits[c >> 4];
            out[used++] = digits[c & 15];
        }
    }
    return used;
}

bool path_join(struct text directory, const char *name, char out[PATH_BYTES_MAX])
{
    size_t name_bytes = strlen(name), slash = directory.bytes > 0;
    if (directory.bytes + slash + name_bytes >= PATH_BYTES_MAX) {
        return false;
    }
    if (slash) {
        memcpy(out, directory.at, directory.bytes);
        out[directory.bytes] = '/';
    }
    memcpy(out + directory.bytes + slash, name, name_bytes + 1);
    return true;
}
