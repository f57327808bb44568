/* file_cache.c — see file_cache.h. */
#include "worker/file_cache.h"

#include "supervisor/inherit/check.h"

#include <stdlib.h>
#include <sys/auxv.h>

/* How many entries eviction looks at to find one that was not asked for lately: as good as a true LRU list here, and a
 * hit costs one store (Redis does the same). */
enum { EVICT_SAMPLE = 8 };

struct file_cache {
    struct open_files *files;
    uint64_t seed; /* so that nobody outside can choose paths that share a bucket */
    size_t buckets_mask;
    struct file_entry **buckets;
    size_t entries_max, count, hand; /* entries[0 … count-1] are in use; hand is where eviction looks next */
    size_t barren, barren_max;       /* entries that are neither file nor directory */
    struct file_entry *entries[];
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

struct file_cache *file_cache_make(size_t entries_max, struct open_files *files)
{
    size_t buckets = 16;
    while (buckets < entries_max * 2) {
        buckets *= 2;
    }
    struct file_cache *cache = calloc(1, sizeof *cache + entries_max * sizeof cache->entries[0]);
    struct file_entry **all_buckets = calloc(buckets, sizeof *all_buckets);
    if (cache == NULL || all_buckets == NULL) {
        free(cache);
        free(all_buckets);
        return NULL;
    }
    cache->buckets = all_buckets;
    cache->buckets_mask = buckets - 1;
    cache->entries_max = entries_max;
    cache->barren_max = entries_max / 4;
    cache->files = files;
    cache->seed = seed_take();
    return cache;
}

void file_cache_free(struct file_cache *cache)
{
    while (cache->count > 0) {
        file_cache_remove(cache, cache->entries[cache->count - 1]);
    }
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

struct file_entry *file_cache_find(struct file_cache *cache, const struct file_key *key, uint64_t now_ms)
{
    uint64_t hash = key_hash(cache, key);
    struct file_entry *entry = cache->buckets[hash & cache->buckets_mask];
    while (entry && !entry_has_key(entry, hash, key)) {
        entry = entry->next;
    }
    if (entry) {
        entry->asked_ms = now_ms;
    }
    return entry;
}

static bool kind_is_barren(enum file_kind kind)
{
    return kind != FILE_REGULAR && kind != FILE_DIRECTORY;
}

/* Is there room for one more of KIND, if need be by sending another away? */
static bool let_in(struct file_cache *cache, enum file_kind kind)
{
    if (kind_is_barren(kind) && cache->barren >= cache->barren_max) {
        return false;
    }
    return cache->count < cache->entries_max || file_cache_evict(cache);
}

struct file_entry *file_cache_put(struct file_cache *cache, const struct file_key *key, enum file_kind kind,
                                  uint64_t now_ms)
{
    if (!let_in(cache, kind)) {
        return NULL;
    }
    struct file_entry *entry = calloc(1, sizeof *entry + key->path.bytes + 1);
    if (entry == NULL) {
        return NULL;
    }
    entry->kind = kind;
    entry->site = key->site;
    entry->variant = key->variant;
    entry->path_bytes = key->path.bytes;
    memcpy(entry->path, key->path.at, key->path.bytes);
    entry->checked_ms = entry->asked_ms = now_ms;
    entry->hash = key_hash(cache, key);
    struct file_entry **bucket = &cache->buckets[entry->hash & cache->buckets_mask];
    entry->next = *bucket;
    *bucket = entry;
    entry->slot = cache->count;
    cache->entries[cache->count++] = entry;
    cache->barren += kind_is_barren(kind);
    return entry;
}

void file_cache_remove(struct file_cache *cache, struct file_entry *entry)
{
    struct file_entry **link = &cache->buckets[entry->hash & cache->buckets_mask];
    while (*link != entry) {
        check(*link);
        link = &(*link)->next;
    }
    *link = entry->next;
    struct file_entry *last = cache->entries[--cache->count];
    cache->entries[entry->slot] = last;
    last->slot = entry->slot;
    cache->barren -= kind_is_barren(entry->kind);
    if (entry->file) {
        open_files_drop(cache->files, entry->file);
    }
    file_head_free(&entry->head);
    free(entry);
}

bool file_cache_evict(struct file_cache *cache)
{
    struct file_entry *oldest = NULL;
    for (size_t i = 0; i < EVICT_SAMPLE && i < cache->count; i++) {
        cache->hand = cache->hand + 1 < cache->count ? cache->hand + 1 : 0;
        struct file_entry *entry = cache->entries[cache->hand];
        if (!oldest || entry->asked_ms < oldest->asked_ms) {
            oldest = entry;
        }
    }
    if (oldest) {
        file_cache_remove(cache, oldest);
    }
    return oldest != NULL;
}

/* Backwards: removal moves the last entry, which was looked at already, into the gap. */
void file_cache_remove_older(struct file_cache *cache, uint64_t before_ms)
{
    for (size_t i = cache->count; i-- > 0;) {
        struct file_entry *entry = cache->entries[i];
        if (entry->asked_ms < before_ms || (kind_is_barren(entry->kind) && entry->checked_ms < before_ms)) {
            file_cache_remove(cache, entry);
        }
    }
}

unsigned file_cache_remove_unborrowed(struct file_cache *cache)
{
    unsigned closed = 0;
    for (size_t i = cache->count; i-- > 0;) {
        struct file_entry *entry = cache->entries[i];
        if (entry->file && entry->file->borrowers == 0) {
            file_cache_remove(cache, entry);
            closed++;
        }
    }
    return closed;
}

size_t file_cache_count(const struct file_cache *cache)
{
    return cache->count;
}
