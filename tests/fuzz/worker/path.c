/* path.c — fuzzes the decoding of paths: none leaves its root, or has two names, or shows what is hidden.
 *
 * Input: a byte, whose lowest bit is the setting dot_files, then the path of a request target. */
#include "worker/path.h"

#include "tests/fuzz/target.h"
#include <ctype.h>

static bool is_name(struct text segment, bool dot_files)
{
    if (segment.bytes == 0 || text_is(segment, TEXT(".")) || text_is(segment, TEXT(".."))) {
        return false;
    }
    return segment.at[0] != '.' || dot_files || text_is(segment, TEXT(".well-known"));
}

/* Below the root whatever is there: names alone, with one slash between two of them. */
static void check_name(const struct path *path, bool dot_files)
{
    const char *at = path->name, *end = path->name + path->bytes;
    check(path->bytes < PATH_BYTES_MAX && strlen(path->name) == path->bytes);
    check(path->bytes > 0 || path->is_directory);
    while (at < end) {
        const char *slash = memchr(at, '/', (size_t)(end - at));
        const char *stop = slash != NULL ? slash : end;
        check(is_name((struct text){at, (size_t)(stop - at)}, dot_files));
        check(slash == NULL || slash + 1 < end);
        at = slash != NULL ? slash + 1 : end;
    }
}

/* A name that is encoded and decoded again is the same name: links of listings and redirects rest on it. */
static void check_round_trip(const struct path *path, bool dot_files)
{
    static char encoded[3 * PATH_BYTES_MAX + 2];
    static struct path again;
    encoded[0] = '/';
    size_t bytes = 1 + path_encode((struct text){path->name, path->bytes}, encoded + 1, sizeof encoded - 2);
    check(path->bytes == 0 || bytes > path->bytes);
    if (path->is_directory && path->bytes > 0) {
        encoded[bytes++] = '/';
    }
    for (size_t i = 0; i < bytes; i++) {
        check(encoded[i] > ' ' && encoded[i] < 0x7f && strchr("\"<>&'\\", encoded[i]) == NULL);
    }
    char *copy = exact_copy(encoded, bytes);
    check(path_decode((struct text){copy, bytes}, dot_files, &again) == PATH_GOOD);
    check(strcmp(again.name, path->name) == 0 && again.is_directory == path->is_directory);
    free(copy);
}

/* Too small a place for it is noticed, and not written behind. */
static void check_small_places(const struct path *path)
{
    for (size_t room = 0; room < 8; room++) {
        char *place = malloc(room + 1);
        check(place != NULL);
        check(path_encode((struct text){path->name, path->bytes}, place, room) <= room);
        free(place);
    }
}

static void check_join(const struct path *path)
{
    static char joined[PATH_BYTES_MAX];
    static const struct text directory = TEXT("a/b");
    bool fits = path_join(directory, path->name, joined);
    check(fits == (directory.bytes + 1 + path->bytes < PATH_BYTES_MAX));
    check(!fits || (memcmp(joined, "a/b/", 4) == 0 && strcmp(joined + 4, path->name) == 0));
    check(path_join((struct text){"", 0}, path->name, joined) && strcmp(joined, path->name) == 0);
}

/* ---- a second, slow way to the same name: decode it all, then take it apart ---- */

struct slow {
    unsigned char octets[4 * PATH_BYTES_MAX];
    size_t count;
    bool has_slash; /* one that was encoded */
};

static bool decode_slowly(struct text encoded, struct slow *slow)
{
    slow->count = 0;
    slow->has_slash = false;
    for (size_t i = 0; i < encoded.bytes; i++) {
        unsigned octet = (unsigned char)encoded.at[i];
        char hex[3] = "";
        if (octet == '%') {
            memcpy(hex, encoded.at + i + 1, encoded.bytes - i - 1 < 2 ? encoded.bytes - i - 1 : 2);
            if (!isxdigit((unsigned char)hex[0]) || !isxdigit((unsigned char)hex[1])) {
                return false;
            }
            octet = (unsigned)strtoul(hex, NULL, 16);
            slow->has_slash = slow->has_slash || octet == '/';
            i += 2;
        }
        slow->octets[slow->count++] = (unsigned char)octet;
    }
    return memchr(slow->octets, '\0', slow->count) == NULL;
}

/* True if the segments of PATH, one by one, never go above the root. */
static bool stays_below(char *path)
{
    int depth = 0;
    for (char *rest = path, *segment; depth >= 0 && (segment = strsep(&rest, "/")) != NULL;) {
        bool is_name = segment[0] != '\0' && strcmp(segment, ".") != 0;
        depth += strcmp(segment, "..") == 0 ? -1 : is_name;
    }
    return depth >= 0;
}

/* What was taken could be taken; what has no fault and hides nothing was taken. */
static void check_verdict(struct text encoded, enum path_verdict verdict)
{
    static struct slow slow;
    bool is_decoded = decode_slowly(encoded, &slow);
    slow.octets[slow.count] = '\0';
    bool is_good =
        is_decoded && slow.count > 0 && slow.octets[0] == '/' && !slow.has_slash && stays_below((char *)slow.octets);
    check(is_good || verdict != PATH_GOOD);
    check(!is_good || verdict != PATH_MALFORMED);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    static struct path path, shown;
    struct input input = {bytes, count};
    bool dot_files = (input_number(&input, 1) & 1) != 0;
    char *copy = exact_copy(input.at, input.left);
    struct text encoded = {copy, input.left};
    memset(path.name, 'x', sizeof path.name);
    enum path_verdict verdict = path_decode(encoded, dot_files, &path);
    if (verdict == PATH_GOOD) {
        check_name(&path, dot_files);
        check_round_trip(&path, dot_files);
        check_small_places(&path);
        check_join(&path);
        /* What is not hidden has the same name where nothing is. */
        check(path_decode(encoded, true, &shown) == PATH_GOOD && strcmp(shown.name, path.name) == 0);
    }
    if (encoded.bytes < PATH_BYTES_MAX) {
        check_verdict(encoded, verdict);
    }
    free(copy);
    return 0;
}
