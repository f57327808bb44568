/* file_cache.h — what was found lately under a path: the table of entries, which are let in, which must go.
 *
 * There are three shelves. On the first stand files that are kept open, each a descriptor, of which there are few; on
 * the second what needs none, small files whose bytes the entry itself has, and directories, of which there may be as
 * many as memory allows; on the third what cannot be read. None can push out what is on another.
 *
 * No system call but close(2) happens here and no clock is read, so all of it can be tested with made-up times.
 * file_find.h fills it. */
#ifndef PERDURE_WORKER_FILE_CACHE_H
#define PERDURE_WORKER_FILE_CACHE_H

#include "worker/file_head.h"
#include "worker/file_open.h"
#include "worker/open_file.h"
#include "worker/response.h"
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

enum file_shelf {
    SHELF_OPEN,   /* FILE_REGULAR with a descriptor */
    SHELF_PLAIN,  /* FILE_REGULAR with a copy of its bytes; FILE_DIRECTORY */
    SHELF_BARREN, /* nothing can be read there */
};
enum { FILE_SHELVES = SHELF_BARREN + 1 };

/* What was found under a key. */
struct file_entry {
    enum file_kind kind; /* FILE_REGULAR (a listing too), FILE_DIRECTORY, FILE_ABSENT, FILE_FORBIDDEN */
    unsigned siblings;   /* bit 1 << variant for each compressed sibling that may be served instead, as far as known */
    struct file_facts facts; /* of FILE_REGULAR */
    struct file_head head;   /* of FILE_REGULAR: owned by the entry, given by file_cache_describe */
    struct open_file *file;  /* of FILE_REGULAR on SHELF_OPEN: kept by the entry */
    const char *copy;        /* of FILE_REGULAR on SHELF_PLAIN: all its bytes; in the entry's own memory */
    uint64_t checked_ms;     /* when the file system last said so */
    uint64_t siblings_ms;    /* when siblings were looked for; 0: not yet */
    /* The table's own. */
    uint64_t hash;
    size_t place; /* on its shelf */
    size_t memory_bytes;
    struct file_entry *next; /* in the same bucket */
    uint32_t site;
    enum file_variant variant;
    enum file_shelf shelf;
    size_t path_bytes;
    char path[]; /* and a NUL; then the copy */
};

struct file_cache;

/* How many entries at most on each shelf. */
struct file_cache_limits {
    size_t open, plain, barren;
};

/* FILES is borrowed. NULL: no memory. */
struct file_cache *file_cache_make(struct file_cache_limits limits, struct open_files *files);
void file_cache_free(struct file_cache *cache);

/* The entry for KEY however old, or NULL. A pointer to an entry holds until the next call that puts or removes one. */
struct file_entry *file_cache_find(struct file_cache *cache, const struct file_key *key, uint64_t now_ms);

/* A new entry of KIND for KEY, which must have none; another may have to go for it. NULL if it is not let in, or if
 * there is no memory. Of FILE_REGULAR, COPY are the file's bytes, which are copied; if it is absent, the entry is to
 * keep the file open. */
struct file_entry *file_cache_put(struct file_cache *cache, const struct file_key *key, enum file_kind kind,
                                  struct text copy, uint64_t now_ms);

/* Was KEY asked for before, not too many others ago? It is now. What is asked for once, as most files of a large site
 * are, is not worth the memory, nor what would have to go for it. May be wrong, both ways, once in a while. */
bool file_cache_was_asked(struct file_cache *cache, const struct file_key *key);

/* An entry of FILE_REGULAR that is in no table: for one answer. COPY is at most FILE_COPY_BYTES_MAX. */
struct file_entry *file_cache_pass(struct file_cache *cache, const struct file_key *key, struct text copy,
                                   uint64_t now_ms);

/* Give HEAD to ENTRY, in place of the one it has. */
void file_cache_describe(struct file_cache *cache, struct file_entry *entry, struct file_head head);

void file_cache_remove(struct file_cache *cache, struct file_entry *entry);

/* Remove one that has not been asked for lately, from the shelf that has more memory. False if there is none at all. */
bool file_cache_evict(struct file_cache *cache);

/* Remove every entry of shelf WHICH that was not asked for since BEFORE_MS, and every one that says that nothing can be
 * read there and was not checked since; but not too many at once. Returns how many. */
size_t file_cache_remove_older(struct file_cache *cache, enum file_shelf which, uint64_t before_ms);

/* Remove every entry whose file nobody borrows. Returns how many descriptors that closed. */
unsigned file_cache_remove_unborrowed(struct file_cache *cache);

size_t file_cache_count(const struct file_cache *cache);

/* Memory of all entries, and of the open files' bytes, lent ones too. */
size_t file_cache_memory(const struct file_cache *cache);

#endif
