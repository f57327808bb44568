/* file_find.c — see file_find.h.
 *
 * What is stale is looked at again: opened, and compared. If nothing changed the old entry goes on, with its descriptor
 * and its bytes in memory; else a new one takes its place, and whoever is sending from the old one goes on with that.
 */
#include "worker/file_find.h"

#include "supervisor/inherit/check.h"
#include "supervisor/inherit/clock.h"
#include "worker/encoding.h"
#include "worker/path.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* How many other files may have to leave memory for one that comes in. */
enum { MEMORY_EVICTIONS_MAX = 16 };

/* What the file system says about a key. */
struct look {
    enum file_kind kind;
    int fd; /* of FILE_REGULAR; else -1 */
    struct file_facts facts;
    unsigned siblings;
};

uint64_t file_find_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

bool file_entry_is_fresh(const struct responder *responder, const struct file_entry *entry, uint64_t now_ms)
{
    return now_ms < entry->checked_ms + responder->settings->file_cache_valid_ms;
}

static struct file_facts facts_from(const struct stat *stat)
{
    return (struct file_facts){
        .device = stat->st_dev,
        .inode = stat->st_ino,
        .bytes = (uint64_t)stat->st_size,
        .modified = stat->st_mtim,
        .changed = stat->st_ctim,
    };
}

static bool time_is(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static bool facts_are(const struct file_facts *a, const struct file_facts *b)
{
    return a->device == b->device && a->inode == b->inode && a->bytes == b->bytes &&
           time_is(a->modified, b->modified) && time_is(a->changed, b->changed);
}

/* ---- looking ---- */

/* Which compressed siblings of NAME may be served: regular files, no older than the original. Whole seconds are
 * compared, since some compressors copy the time to the sibling without its fraction. */
static unsigned siblings_look(int root, const char *name, const struct file_facts *original)
{
    char sibling[PATH_BYTES_MAX];
    size_t bytes = strlen(name);
    unsigned found = 0;
    if (bytes + sizeof ".zst" > sizeof sibling) {
        return 0;
    }
    memcpy(sibling, name, bytes);
    for (enum file_variant v = VARIANT_BR; v <= VARIANT_GZIP; v++) {
        struct stat facts;
        const char *suffix = encoding_suffix(v);
        memcpy(sibling + bytes, suffix, strlen(suffix) + 1);
        if (file_look(root, sibling, &facts) == FILE_REGULAR && facts.st_mtim.tv_sec >= original->modified.tv_sec) {
            found |= 1u << v;
        }
    }
    return found;
}

static struct look look_at(const struct site *site, const struct file_key *key)
{
    struct look look = {.kind = FILE_ABSENT, .fd = -1};
    const char *suffix = encoding_suffix(key->variant);
    char name[PATH_BYTES_MAX];
    if (key->path.bytes + strlen(suffix) >= sizeof name) {
        return look;
    }
    memcpy(name, key->path.at, key->path.bytes);
    memcpy(name + key->path.bytes, suffix, strlen(suffix) + 1);
    struct stat facts;
    look.kind = file_open(site->root, name, &look.fd, &facts);
    if (look.kind == FILE_REGULAR) {
        look.facts = facts_from(&facts);
        look.siblings = key->variant == VARIANT_IDENTITY ? siblings_look(site->root, name, &look.facts) : 0;
    }
    return look;
}

/* ---- holding a file's bytes ---- */

/* May the bytes be copied now, and will the file's times show any later change? A change in the same tick of the clock
 * as the last one leaves the times as they are, so a file that was changed just now is not copied yet. (Git calls this
 * "racily clean".) A file system that counts whole seconds needs two. */
static bool is_settled(const struct responder *responder, const struct file_facts *facts)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    int64_t age_ms = (now.tv_sec - facts->changed.tv_sec) * 1000 + (now.tv_nsec - facts->changed.tv_nsec) / 1000000;
    int64_t settle_ms = (int64_t)responder->settle_ms;
    if (settle_ms > 0 && facts->changed.tv_nsec == 0) {
        settle_ms += 2000;
    }
    return age_ms >= settle_ms || age_ms < -settle_ms;
}

static bool wants_memory(const struct responder *responder, const struct file_facts *facts)
{
    return facts->bytes > 0 && facts->bytes <= FILE_MEMORY_BYTES_MAX && is_settled(responder, facts);
}

static bool make_room(struct responder *responder, uint64_t bytes)
{
    for (int i = 0; open_files_memory(responder->files) + bytes > responder->memory_max; i++) {
        if (i == MEMORY_EVICTIONS_MAX || !file_cache_evict(responder->cache)) {
            return false;
        }
    }
    return true;
}

/* The whole file, by read and not by mmap: touching a mapping behind the end of a file that was truncated meanwhile is
 * a SIGBUS. NULL if it is changing under our hands, or there is no memory: then it is sent from the file. */
static char *bytes_read(int fd, const struct file_facts *facts)
{
    char *bytes = malloc(facts->bytes);
    if (bytes == NULL) {
        return NULL;
    }
    size_t used = 0;
    while (used < facts->bytes) {
        ssize_t got = pread(fd, bytes + used, facts->bytes - used, (off_t)used);
        if (got <= 0 && !(got < 0 && errno == EINTR)) {
            break;
        }
        used += got > 0 ? (size_t)got : 0;
    }
    struct stat after;
    struct file_facts now = {0};
    if (fstat(fd, &after) == 0) {
        now = facts_from(&after);
    }
    if (used < facts->bytes || !facts_are(&now, facts)) {
        free(bytes);
        return NULL;
    }
    return bytes;
}

/* ---- entries ---- */

static struct file_head head_for(struct responder *responder, const struct file_key *key, const struct look *look)
{
    char type[MIME_TYPE_BYTES_MAX];
    return file_head_make(
        &(struct file_description){
            .bytes = look->facts.bytes,
            .inode = look->facts.inode,
            .modified = look->facts.modified,
            .content_type = mime_type(responder->mime, key->path, type),
            .content_encoding = encoding_name(key->variant),
            .varies = look->siblings != 0 || key->variant != VARIANT_IDENTITY,
            .site_headers = responder->sites[key->site].headers,
        },
        clock_wall_seconds());
}

/* ENTRY takes over what LOOK holds. False if there is no memory for that. */
static bool entry_fill(struct responder *responder, struct file_entry *entry, const struct file_key *key,
                       const struct look *look, bool with_bytes)
{
    entry->facts = look->facts;
    entry->siblings = look->siblings;
    entry->head = head_for(responder, key, look);
    if (entry->head.text == NULL) {
        return false;
    }
    char *memory = with_bytes ? bytes_read(look->fd, &look->facts) : NULL;
    entry->file = open_files_keep(responder->files, look->fd, memory, look->facts.bytes);
    if (entry->file == NULL) {
        free(memory);
    }
    return entry->file != NULL;
}

/* Take over what LOOK holds. NULL if an entry that says "nothing there" was not let in, or if there is no memory. */
static struct file_entry *entry_make(struct responder *responder, const struct file_key *key, const struct look *look,
                                     uint64_t now_ms)
{
    bool is_regular = look->kind == FILE_REGULAR;
    bool with_bytes = is_regular && wants_memory(responder, &look->facts) && make_room(responder, look->facts.bytes);
    struct file_entry *entry = file_cache_put(responder->cache, key, look->kind, now_ms);
    if (entry != NULL && is_regular && !entry_fill(responder, entry, key, look, with_bytes)) {
        file_cache_remove(responder->cache, entry);
        entry = NULL;
    }
    if (entry == NULL && look->fd >= 0) {
        close(look->fd);
    }
    return entry;
}

/* Is ENTRY what would be made of LOOK? Not if the bytes could be held by now and are not. */
static bool entry_is(const struct responder *responder, const struct file_entry *entry, const struct look *look)
{
    if (entry->kind != look->kind) {
        return false;
    }
    return look->kind != FILE_REGULAR || (facts_are(&entry->facts, &look->facts) && entry->siblings == look->siblings &&
                                          (entry->file->memory || !wants_memory(responder, &look->facts)));
}

/* The moment's trouble says nothing about the file: it is not remembered, and what is known stays. */
static bool is_passing(enum file_kind kind)
{
    return kind == FILE_NO_DESCRIPTORS || kind == FILE_TROUBLE;
}

static enum file_kind give(struct file_entry *found, enum file_kind kind, struct file_entry **entry)
{
    *entry = kind == FILE_REGULAR ? found : NULL;
    return kind;
}

enum file_kind file_find(struct responder *responder, const struct file_key *key, uint64_t now_ms,
                         struct file_entry **entry)
{
    check(key->variant != VARIANT_LISTING);
    struct file_entry *found = file_cache_find(responder->cache, key, now_ms);
    if (found && file_entry_is_fresh(responder, found, now_ms)) {
        return give(found, found->kind, entry);
    }
    struct look look = look_at(&responder->sites[key->site], key);
    if (found && look.kind == FILE_NO_DESCRIPTORS) {
        return give(found, found->kind, entry); /* a little stale, and better than a 503 */
    }
    if (is_passing(look.kind)) {
        return give(NULL, look.kind, entry);
    }
    if (found && entry_is(responder, found, &look)) {
        found->checked_ms = now_ms;
        if (look.fd >= 0) {
            close(look.fd);
        }
        return give(found, found->kind, entry);
    }
    if (found) {
        file_cache_remove(responder->cache, found);
    }
    found = entry_make(responder, key, &look, now_ms);
    return give(found, found == NULL && look.kind == FILE_REGULAR ? FILE_NO_DESCRIPTORS : look.kind, entry);
}
