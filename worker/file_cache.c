/* file_cache.c — see file_cache.h. */
#include "worker/file_cache.h"

#include "supervisor/inherit/check.h"

#include <stdlib.h>
#include <sys/auxv.h>

/* How many entries eviction looks at to find one that was not asked for lately: as good as a true LRU list here, and a
 * hit costs one store (Redis does the same). */
enum { EVICT_SAMPLE = 8 };

/* How many entries are removed at once at most: that must not keep clients waiting. */
enum { REMOVE_MOST = 8192 };

enum { BUCKETS_LEAST = 1024, PLACES_LEAST = 64 };

/* What malloc(3) takes beside what it gives. */
enum { MALLOC_BYTES = 16 };

/* When an entry was asked for stands here and not in it: who evicts looks at several, and in a large cache each would
 * be a miss of the processor's cache. */
struct place {
    struct file_entry *entry;
    uint64_t asked_ms;
};

struct shelf {
    size_t entries_max, count, room, hand; /* places[0 … count-1] are in use; hand is where eviction looks next */
    struct place *places;
};

struct file_cache {
    struct open_files *files;
    uint64_t seed;        /* so that nobody outside can choose paths that share a bucket */
    size_t buckets_count; /* a power of two */
    struct file_entry **buckets;
    struct shelf shelves[FILE_SHELVES];
    size_t memory_bytes;        /* of all entries */
    struct file_entry *passing; /* the one that is in no table */
    uint16_t *asked;    /* a piece of the hash of what was asked for, where the rest of it says; NULL: not yet */
    size_t asked_count; /* as many as there may be entries without a descriptor */
};

/* The kernel gives every program 16 random bytes; reading them costs no system call. */
static uint64_t seed_take(void)
{
    uint64_t seed = 0;
    const void *random = (const void *)getauxval(AT_RANDOM);
    if (random) {
        memcpy(&seed, random, sizeof seed);
    }
    return seed | 1;
}

struct file_cache *file_cache_make(struct file_cache_limits limits, struct open_files *files)
{
    struct file_cache *cache = calloc(1, sizeof *cache);
    if (cache == NULL) {
        return NULL;
    }
    cache->buckets_count = BUCKETS_LEAST;
    cache->buckets = calloc(cache->buckets_count, sizeof(struct file_entry *));
    cache->shelves[SHELF_OPEN].entries_max = limits.open;
    cache->shelves[SHELF_PLAIN].entries_max = limits.plain;
    cache->shelves[SHELF_BARREN].entries_max = limits.barren;
    cache->files = files;
    cache->seed = seed_take();
    cache->passing = calloc(1, sizeof(struct file_entry) + 1 + FILE_COPY_BYTES_MAX);
    cache->asked_count = limits.plain;
    if (cache->buckets == NULL || cache->passing == NULL) {
        file_cache_free(cache);
        return NULL;
    }
    cache->passing->kind = FILE_REGULAR;
    return cache;
}

void file_cache_free(struct file_cache *cache)
{
    for (int i = 0; i < FILE_SHELVES; i++) {
        struct shelf *shelf = &cache->shelves[i];
        while (shelf->count > 0) {
            file_cache_remove(cache, shelf->places[shelf->count - 1].entry);
        }
        free(shelf->places);
    }
    if (cache->passing != NULL) {
        file_head_free(&cache->passing->head);
    }
    free(cache->passing);
    free(cache->asked);
    free(cache->buckets);
    free(cache);
}

static uint64_t mix(uint64_t hash, uint64_t word)
{
    __extension__ unsigned __int128 product = (unsigned __int128)(hash ^ word) * 0x9E3779B97F4A7C15u;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t key_hash(const struct file_cache *cache, const struct file_key *key)
{
    uint64_t hash = mix(cache->seed, (uint64_t)key->site << 32 | (uint64_t)key->variant << 16 | key->path.bytes);
    const char *at = key->path.at;
    size_t left = key->path.bytes;
    for (; left >= 8; at += 8, left -= 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        hash = mix(hash, word);
    }
    uint64_t word = 0;
    memcpy(&word, at, left);
    return mix(hash ^ cache->seed, word);
}

static bool entry_has_key(const struct file_entry *entry, uint64_t hash, const struct file_key *key)
{
    return entry->hash == hash && entry->site == key->site && entry->variant == key->variant &&
           text_is((struct text){entry->path, entry->path_bytes}, key->path);
}

static struct file_entry **bucket_of(const struct file_cache *cache, uint64_t hash)
{
    return &cache->buckets[hash & (cache->buckets_count - 1)];
}

struct file_entry *file_cache_find(struct file_cache *cache, const struct file_key *key, uint64_t now_ms)
{
    uint64_t hash = key_hash(cache, key);
    struct file_entry *entry = *bucket_of(cache, hash);
    while (entry && !entry_has_key(entry, hash, key)) {
        entry = entry->next;
    }
    if (entry) {
        cache->shelves[entry->shelf].places[entry->place].asked_ms = now_ms;
    }
    return entry;
}

/* ---- room for more, or for fewer ---- */

static size_t entries_count(const struct file_cache *cache)
{
    size_t count = 0;
    for (int i = 0; i < FILE_SHELVES; i++) {
        count += cache->shelves[i].count;
    }
    return count;
}

/* Without memory for that it stays as it is, which is right, too, and slower. */
static void rehash(struct file_cache *cache, size_t buckets_count)
{
    struct file_entry **buckets = calloc(buckets_count, sizeof(struct file_entry *));
    if (buckets == NULL) {
        return;
    }
    free(cache->buckets);
    cache->buckets = buckets;
    cache->buckets_count = buckets_count;
    for (int i = 0; i < FILE_SHELVES; i++) {
        for (size_t at = 0; at < cache->shelves[i].count; at++) {
            struct file_entry *entry = cache->shelves[i].places[at].entry;
            struct file_entry **bucket = bucket_of(cache, entry->hash);
            entry->next = *bucket;
            *bucket = entry;
        }
    }
}

/* False, and nothing done, if there is no memory. */
static bool shelf_resize(struct shelf *shelf, size_t room)
{
    struct place *places = realloc(shelf->places, room * sizeof *places);
    if (places == NULL) {
        return false;
    }
    shelf->places = places;
    shelf->room = room;
    return true;
}

/* The tables grow to twice their size: over many entries that is little for each. There are two buckets for each entry,
 * for most of what is asked for on a large site is not here, and an entry that is looked at for nothing is far away.
 * False: no memory. */
static bool grow(struct file_cache *cache, struct shelf *shelf)
{
    if (shelf->count == shelf->room && !shelf_resize(shelf, shelf->room ? shelf->room * 2 : PLACES_LEAST)) {
        return false;
    }
    if (entries_count(cache) * 2 >= cache->buckets_count) {
        rehash(cache, cache->buckets_count * 2);
    }
    return true;
}

/* A server that rests again has no more memory than before. */
static void shrink(struct file_cache *cache)
{
    for (int i = 0; i < FILE_SHELVES; i++) {
        struct shelf *shelf = &cache->shelves[i];
        if (shelf->room > PLACES_LEAST && shelf->count < shelf->room / 8) {
            shelf_resize(shelf, shelf->count * 2 < PLACES_LEAST ? PLACES_LEAST : shelf->count * 2);
        }
    }
    size_t buckets = cache->buckets_count;
    while (buckets > BUCKETS_LEAST && entries_count(cache) < buckets / 16) {
        buckets /= 2;
    }
    if (buckets < cache->buckets_count) {
        rehash(cache, buckets);
    }
}

/* ---- in and out ---- */

static enum file_shelf shelf_for(enum file_kind kind, bool is_copied)
{
    if (kind != FILE_REGULAR && kind != FILE_DIRECTORY) {
        return SHELF_BARREN;
    }
    return kind == FILE_REGULAR && !is_copied ? SHELF_OPEN : SHELF_PLAIN;
}

/* Remove the one of SHELF that was asked for longest ago, of some. */
static bool shelf_evict(struct file_cache *cache, struct shelf *shelf)
{
    const struct place *oldest = NULL;
    for (size_t i = 0; i < EVICT_SAMPLE && i < shelf->count; i++) {
        shelf->hand = shelf->hand + 1 < shelf->count ? shelf->hand + 1 : 0;
        const struct place *place = &shelf->places[shelf->hand];
        if (!oldest || place->asked_ms < oldest->asked_ms) {
            oldest = place;
        }
    }
    if (oldest) {
        file_cache_remove(cache, oldest->entry);
    }
    return oldest != NULL;
}

/* Is there room for one more on SHELF, if need be by sending another away? A guess sends no other one away: who guesses
 * many names is not helped by our remembering the last of them. */
static bool let_in(struct file_cache *cache, enum file_shelf which)
{
    struct shelf *shelf = &cache->shelves[which];
    return shelf->count < shelf->entries_max || (which != SHELF_BARREN && shelf_evict(cache, shelf));
}

/* NULL: no memory. */
static struct file_entry *entry_make(const struct file_key *key, struct text copy)
{
    size_t bytes = sizeof(struct file_entry) + key->path.bytes + 1 + copy.bytes;
    struct file_entry *entry = malloc(bytes);
    if (entry == NULL) {
        return NULL;
    }
    *entry = (struct file_entry){
        .site = key->site,
        .variant = key->variant,
        .path_bytes = key->path.bytes,
        .memory_bytes = bytes + MALLOC_BYTES,
    };
    memcpy(entry->path, key->path.at, key->path.bytes);
    entry->path[key->path.bytes] = '\0';
    if (copy.at) {
        entry->copy = memcpy(entry->path + key->path.bytes + 1, copy.at, copy.bytes);
    }
    return entry;
}

static void enter(struct file_cache *cache, struct file_entry *entry, uint64_t now_ms)
{
    struct shelf *shelf = &cache->shelves[entry->shelf];
    struct file_entry **bucket = bucket_of(cache, entry->hash);
    entry->next = *bucket;
    *bucket = entry;
    entry->place = shelf->count++;
    shelf->places[entry->place] = (struct place){entry, now_ms};
    cache->memory_bytes += entry->memory_bytes;
}

struct file_entry *file_cache_put(struct file_cache *cache, const struct file_key *key, enum file_kind kind,
                                  struct text copy, uint64_t now_ms)
{
    enum file_shelf shelf = shelf_for(kind, copy.at != NULL);
    if (!let_in(cache, shelf) || !grow(cache, &cache->shelves[shelf])) {
        return NULL;
    }
    struct file_entry *entry = entry_make(key, copy);
    if (entry == NULL) {
        return NULL;
    }
    entry->kind = kind;
    entry->shelf = shelf;
    entry->hash = key_hash(cache, key);
    entry->checked_ms = now_ms;
    enter(cache, entry, now_ms);
    return entry;
}

bool file_cache_was_asked(struct file_cache *cache, const struct file_key *key)
{
    if (cache->asked == NULL && (cache->asked = calloc(cache->asked_count, sizeof *cache->asked)) == NULL) {
        return false;
    }
    uint64_t hash = key_hash(cache, key);
    uint16_t *asked = &cache->asked[hash % cache->asked_count], piece = (uint16_t)(hash >> 48);
    bool was = *asked == piece;
    *asked = piece;
    return was;
}

struct file_entry *file_cache_pass(struct file_cache *cache, const struct file_key *key, struct text copy,
                                   uint64_t now_ms)
{
    check(copy.bytes <= FILE_COPY_BYTES_MAX);
    struct file_entry *entry = cache->passing;
    file_cache_describe(cache, entry, (struct file_head){0});
    *entry = (struct file_entry){
        .kind = FILE_REGULAR,
        .shelf = SHELF_PLAIN,
        .variant = key->variant,
        .checked_ms = now_ms,
        .copy = memcpy(entry->path, copy.at, copy.bytes),
    };
    return entry;
}

static size_t head_bytes(const struct file_head *head)
{
    return head->text ? head->whole_bytes + MALLOC_BYTES : 0;
}

void file_cache_describe(struct file_cache *cache, struct file_entry *entry, struct file_head head)
{
    size_t before = head_bytes(&entry->head), after = head_bytes(&head);
    file_head_free(&entry->head);
    entry->head = head;
    entry->memory_bytes += after - before;
    cache->memory_bytes += after - before;
}

static void unlink_entry(struct file_cache *cache, const struct file_entry *entry)
{
    struct file_entry **link = bucket_of(cache, entry->hash);
    while (*link != entry) {
        check(*link);
        link = &(*link)->next;
    }
    *link = entry->next;
}

void file_cache_remove(struct file_cache *cache, struct file_entry *entry)
{
    struct shelf *shelf = &cache->shelves[entry->shelf];
    unlink_entry(cache, entry);
    shelf->places[entry->place] = shelf->places[--shelf->count];
    shelf->places[entry->place].entry->place = entry->place;
    cache->memory_bytes -= entry->memory_bytes;
    if (entry->file) {
        open_files_drop(cache->files, entry->file);
    }
    file_head_free(&entry->head);
    free(entry);
}

/* ---- which must go ---- */

bool file_cache_evict(struct file_cache *cache)
{
    struct shelf *open = &cache->shelves[SHELF_OPEN], *plain = &cache->shelves[SHELF_PLAIN];
    bool open_first = plain->count == 0 || open_files_memory(cache->files) > cache->memory_bytes;
    return shelf_evict(cache, open_first && open->count > 0 ? open : plain);
}

static bool is_older(enum file_shelf shelf, const struct place *place, uint64_t before_ms)
{
    return place->asked_ms < before_ms || (shelf == SHELF_BARREN && place->entry->checked_ms < before_ms);
}

/* Backwards: removal moves the last entry, which was looked at already, into the gap. */
size_t file_cache_remove_older(struct file_cache *cache, enum file_shelf which, uint64_t before_ms)
{
    const struct shelf *shelf = &cache->shelves[which];
    size_t before = shelf->count;
    for (size_t at = before; at-- > 0 && before - shelf->count < REMOVE_MOST;) {
        if (is_older(which, &shelf->places[at], before_ms)) {
            file_cache_remove(cache, shelf->places[at].entry);
        }
    }
    size_t removed = before - shelf->count;
    if (removed > 0) {
        shrink(cache);
    }
    return removed;
}

unsigned file_cache_remove_unborrowed(struct file_cache *cache)
{
    const struct shelf *open = &cache->shelves[SHELF_OPEN];
    unsigned closed = 0;
    for (size_t i = open->count; i-- > 0;) {
        struct file_entry *entry = open->places[i].entry;
        if (entry->file && entry->file->borrowers == 0) {
            file_cache_remove(cache, entry);
            closed++;
        }
    }
    return closed;
}

size_t file_cache_count(const struct file_cache *cache)
{
    return entries_count(cache);
}

size_t file_cache_memory(const struct file_cache *cache)
{
    return cache->memory_bytes + open_files_memory(cache->files);
}
