/* file_cache.h — what was found lately under a path: the table of entries, which are let in, which must go.
 *
 * No system call but close(2) happens here and no clock is read, so all of it can be tested with made-up times.
 * file_find.h fills it. */
#ifndef PERDURE_WORKER_FILE_CACHE_H
#define PERDURE_WORKER_FILE_CACHE_H

#include "worker/file_head.h"
#include "worker/file_open.h"
#include "worker/open_file.h"
#include "worker/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Which of the things that one path can mean. */
enum file_variant {
    VARIANT_IDENTITY, /* the file itself */
    VARIANT_BR,       /* the sibling "NAME.br", … */
    VARIANT_ZSTD,
    VARIANT_GZIP,
    VARIANT_LISTING, /* the page that was made for a directory */
};

struct file_key {
    uint32_t site; /* index in settings->sites */
    enum file_variant variant;
    struct text path; /* normal, as from path_decode */
};

/* What tells one state of a file from another. */
struct file_facts {
    uint64_t device, inode, bytes;
    struct timespec modified, changed;
};

/* What was found under a key. */
struct file_entry {
    enum file_kind kind;     /* FILE_REGULAR (a listing too), FILE_DIRECTORY, FILE_ABSENT, FILE_FORBIDDEN */
    unsigned siblings;       /* bit 1 << variant for each compressed sibling that may be served instead */
    struct file_facts facts; /* of FILE_REGULAR */
    struct file_head head;   /* of FILE_REGULAR: owned by the entry */
    struct open_file *file;  /* of FILE_REGULAR: kept by the entry */
    uint64_t checked_ms;     /* when the file system last said so */
    /* The table's own. */
    uint64_t asked_ms, hash;
    size_t slot;
    struct file_entry *next; /* in the same bucket */
    uint32_t site;
    enum file_variant variant;
    size_t path_bytes;
    char path[];
};

struct file_cache;

/* At most ENTRIES_MAX entries; at most a quarter of them may say that nothing can be read there, so that guessed names
 * cannot push out files. FILES is borrowed. NULL: no memory. */
struct file_cache *file_cache_make(size_t entries_max, struct open_files *files);
void file_cache_free(struct file_cache *cache);

/* The entry for KEY however old, or NULL. A pointer to an entry holds until the next call that puts or removes one. */
struct file_entry *file_cache_find(struct file_cache *cache, const struct file_key *key, uint64_t now_ms);

/* A new entry of KIND for KEY, which must have none; another may have to go for it. NULL if it is not let in,
 * or if there is no memory. */
struct file_entry *file_cache_put(struct file_cache *cache, const struct file_key *key, enum file_kind kind,
                                  uint64_t now_ms);

void file_cache_remove(struct file_cache *cache, struct file_entry *entry);

/* Remove one that has not been asked for lately. False if there is none at all. */
bool file_cache_evict(struct file_cache *cache);

/* Remove every entry that was not asked for since BEFORE_MS, and every one that says that nothing can be read there and
 * was not checked since. */
void file_cache_remove_older(struct file_cache *cache, uint64_t before_ms);

/* Remove every entry whose file nobody borrows. Returns how many descriptors that closed. */
unsigned file_cache_remove_unborrowed(struct file_cache *cache);

size_t file_cache_count(const struct file_cache *cache);

#endif
