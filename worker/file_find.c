/* file_find.c — see file_find.h.
 *
 * What is stale is looked at again, and compared. If nothing changed the old entry goes on, with its descriptor and its
 * bytes in memory; else a new one takes its place, and whoever is sending from the old one goes on with that. */
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

/* The name of KEY in the file system. False if it is too long to be there. */
static bool name_of(const struct file_key *key, char name[PATH_BYTES_MAX])
{
    const char *suffix = encoding_suffix(key->variant);
    if (key->path.bytes + strlen(suffix) >= PATH_BYTES_MAX) {
        return false;
    }
    memcpy(name, key->path.at, key->path.bytes);
    memcpy(name + key->path.bytes, suffix, strlen(suffix) + 1);
    return true;
}

static struct look look_at(const struct site *site, const struct file_key *key)
{
    struct look look = {.kind = FILE_ABSENT, .fd = -1};
    char name[PATH_BYTES_MAX] SCRATCH;
    if (!name_of(key, name)) {
        return look;
    }
    struct stat facts;
    look.kind = file_open(site->root, name, &look.fd, &facts);
    if (look.kind == FILE_REGULAR) {
        look.facts = facts_from(&facts);
    }
    return look;
}

/* Is what ENTRY was made of still at KEY, unchanged? True only if that is certain without opening it.
 *
 * A glance follows links out of the root, so it is believed only below a directory that was opened below the root and
 * is fresh. Below it, the same state of the same file has the same bytes; a change of its own mode or owner is another
 * state. */
static bool is_there_still(const struct responder *responder, const struct file_entry *entry,
                           const struct file_key *key)
{
    char name[PATH_BYTES_MAX] SCRATCH;
    struct stat stat;
    if (!name_of(key, name) || !file_glance(responder->sites[key->site].root, name, &stat)) {
        return false;
    }
    struct file_facts facts = facts_from(&stat);
    return S_ISREG(stat.st_mode) && facts_are(&facts, &entry->facts);
}

/* ---- compressed siblings ---- */

/* Is there one under NAME? A regular file, no older than ORIGINAL. Whole seconds are compared, since some compressors
 * copy the time to the sibling without its fraction. */
static bool is_sibling(int root, const char *name, const struct file_facts *original)
{
    struct stat facts;
    return file_glance(root, name, &facts) && file_look(root, name, &facts) == FILE_REGULAR &&
           facts.st_mtim.tv_sec >= original->modified.tv_sec;
}

/* Which of them may be served instead of ENTRY, found under KEY. */
static unsigned siblings_look(int root, struct file_key key, const struct file_entry *entry)
{
    char name[PATH_BYTES_MAX] SCRATCH;
    unsigned found = 0;
    for (key.variant = VARIANT_BR; key.variant <= VARIANT_GZIP; key.variant++) {
        if (name_of(&key, name) && is_sibling(root, name, &entry->facts)) {
            found |= 1u << key.variant;
        }
    }
    return found;
}

/* Siblings are looked for on behalf of who would take one, and of nobody else: three calls that fail, for most files.
 *
 * Until then the file's answers do not say Vary. That is right for a cache between: such an answer is the file as it
 * is, and may be given to everybody, whatever they accept (RFC 9110 section 12.5.5: Vary says that another request may
 * have another answer, and SHOULD be sent where the origin wants it to be chosen by). What is encoded always says it.
 */
static bool siblings_are_due(const struct responder *responder, const struct file_entry *entry, struct text accept,
                             uint64_t now_ms)
{
    bool is_known = entry->siblings_ms != 0 && now_ms < entry->siblings_ms + responder->settings->file_cache_valid_ms;
    return !is_known && accept.bytes > 0 && entry->variant == VARIANT_IDENTITY &&
           encoding_choose(accept, VARIANTS_ENCODED) != VARIANT_IDENTITY;
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

static bool wants_copy(const struct responder *responder, const struct file_facts *facts)
{
    return facts->bytes <= FILE_COPY_BYTES_MAX && is_settled(responder, facts);
}

static bool wants_memory(const struct responder *responder, const struct file_facts *facts)
{
    return facts->bytes > FILE_COPY_BYTES_MAX && facts->bytes <= FILE_MEMORY_BYTES_MAX && is_settled(responder, facts);
}

static bool make_room(struct responder *responder, uint64_t bytes)
{
    for (int i = 0; file_cache_memory(responder->cache) + bytes > responder->memory_max; i++) {
        if (i == MEMORY_EVICTIONS_MAX || !file_cache_evict(responder->cache)) {
            return false;
        }
    }
    return true;
}

/* The whole file, by read and not by mmap: touching a mapping behind the end of a file that was truncated meanwhile is
 * a SIGBUS. False if it is changing under our hands. */
static bool bytes_read(int fd, const struct file_facts *facts, char *bytes)
{
    size_t used = 0;
    while (used < facts->bytes) {
        ssize_t got = pread(fd, bytes + used, facts->bytes - used, (off_t)used);
        if (got <= 0 && !(got < 0 && errno == EINTR)) {
            return false;
        }
        used += got > 0 ? (size_t)got : 0;
    }
    struct stat after;
    if (fstat(fd, &after)) {
        return false;
    }
    struct file_facts now = facts_from(&after);
    return facts_are(&now, facts);
}

/* Its bytes in memory of their own; NULL if they are not to be had: then it is sent from the file. */
static char *memory_make(struct responder *responder, const struct look *look)
{
    if (!wants_memory(responder, &look->facts) || !make_room(responder, look->facts.bytes)) {
        return NULL;
    }
    char *memory = malloc(look->facts.bytes);
    if (memory != NULL && !bytes_read(look->fd, &look->facts, memory)) {
        free(memory);
        return NULL;
    }
    return memory;
}

/* ---- entries ---- */

/* What is said of a file with FACTS and SIBLINGS. Its text is NULL: no memory. */
static struct file_head head_for(struct responder *responder, const struct file_key *key,
                                 const struct file_facts *facts, unsigned siblings)
{
    char type[MIME_TYPE_BYTES_MAX];
    struct file_description description = {
        .bytes = facts->bytes,
        .inode = facts->inode,
        .modified = facts->modified,
        .content_type = mime_type(responder->mime, key->path, type),
        .content_encoding = encoding_name(key->variant),
        .varies = siblings != 0 || key->variant != VARIANT_IDENTITY,
        .site_headers = responder->sites[key->site].headers,
    };
    return file_head_make(&description, clock_wall_seconds());
}

/* While there is much room, everything is kept; then, what is asked for a second time. */
static bool is_worth_keeping(struct responder *responder, const struct file_key *key)
{
    return file_cache_memory(responder->cache) < responder->memory_max / 4 ||
           file_cache_was_asked(responder->cache, key);
}

/* An entry that has all of a small file, which need not stay open. NULL if that cannot be. */
static struct file_entry *copy_make(struct responder *responder, const struct file_key *key, const struct look *look,
                                    uint64_t now_ms)
{
    char bytes[FILE_COPY_BYTES_MAX] SCRATCH;
    if (!wants_copy(responder, &look->facts) || !bytes_read(look->fd, &look->facts, bytes)) {
        return NULL;
    }
    struct text copy = {bytes, look->facts.bytes};
    if (!is_worth_keeping(responder, key)) {
        return file_cache_pass(responder->cache, key, copy, now_ms);
    }
    return make_room(responder, copy.bytes) ? file_cache_put(responder->cache, key, FILE_REGULAR, copy, now_ms) : NULL;
}

/* An entry that keeps the file open. NULL, and the descriptor is not taken over, if there is no memory. */
static struct file_entry *open_make(struct responder *responder, const struct file_key *key, const struct look *look,
                                    uint64_t now_ms)
{
    char *memory = memory_make(responder, look);
    struct file_entry *entry = file_cache_put(responder->cache, key, FILE_REGULAR, (struct text){0}, now_ms);
    if (entry != NULL) {
        entry->file = open_files_keep(responder->files, look->fd, memory, look->facts.bytes);
    }
    if (entry != NULL && entry->file == NULL) {
        file_cache_remove(responder->cache, entry);
        entry = NULL;
    }
    if (entry == NULL) {
        free(memory);
    }
    return entry;
}

/* An entry without a head yet; takes over what LOOK holds. */
static struct file_entry *content_make(struct responder *responder, const struct file_key *key, const struct look *look,
                                       uint64_t now_ms)
{
    struct file_entry *copied = copy_make(responder, key, look, now_ms);
    struct file_entry *entry = copied ? copied : open_make(responder, key, look, now_ms);
    if (copied || entry == NULL) {
        close(look->fd);
    }
    return entry;
}

static struct file_entry *regular_make(struct responder *responder, const struct file_key *key, const struct look *look,
                                       uint64_t now_ms)
{
    struct file_head head = head_for(responder, key, &look->facts, 0);
    if (head.text == NULL) {
        close(look->fd);
        return NULL;
    }
    struct file_entry *entry = content_make(responder, key, look, now_ms);
    if (entry == NULL) {
        file_head_free(&head);
        return NULL;
    }
    entry->facts = look->facts;
    file_cache_describe(responder->cache, entry, head);
    return entry;
}

/* Take over what LOOK holds. NULL if an entry that says "nothing there" was not let in, or if there is no memory. */
static struct file_entry *entry_make(struct responder *responder, const struct file_key *key, const struct look *look,
                                     uint64_t now_ms)
{
    if (look->kind == FILE_REGULAR) {
        return regular_make(responder, key, look, now_ms);
    }
    return file_cache_put(responder->cache, key, look->kind, (struct text){0}, now_ms);
}

/* Its bytes could be held by now and are not. */
static bool could_hold_more(const struct responder *responder, const struct file_entry *entry)
{
    return entry->kind == FILE_REGULAR && !entry->copy && !entry->file->memory &&
           (wants_copy(responder, &entry->facts) || wants_memory(responder, &entry->facts));
}

/* Is ENTRY what would be made of LOOK? */
static bool entry_is(const struct file_entry *entry, const struct look *look)
{
    return entry->kind == look->kind && (look->kind != FILE_REGULAR || facts_are(&entry->facts, &look->facts));
}

/* The moment's trouble says nothing about the file: it is not remembered, and what is known stays. */
static bool is_passing(enum file_kind kind)
{
    return kind == FILE_NO_DESCRIPTORS || kind == FILE_TROUBLE;
}

/* Is the directory that KEY lies in below the root, as of lately? All files in it share the look. */
static bool is_in_directory(struct responder *responder, struct file_key key, uint64_t now_ms)
{
    const char *slash = memrchr(key.path.at, '/', key.path.bytes);
    if (!slash) {
        return true; /* the root itself */
    }
    struct file_entry *none;
    key.path.bytes = (size_t)(slash - key.path.at);
    key.variant = VARIANT_IDENTITY;
    return responder->settings->file_cache_valid_ms > 0 &&
           file_find(responder, &key, TEXT(""), now_ms, &none) == FILE_DIRECTORY;
}

/* KEY is known, and the knowledge is stale: does a glance renew it? */
static struct file_entry *renew(struct responder *responder, const struct file_key *key, uint64_t now_ms)
{
    if (!is_in_directory(responder, *key, now_ms)) {
        return NULL;
    }
    struct file_entry *known = file_cache_find(responder->cache, key, now_ms); /* it may have gone for the directory */
    if (!known || known->kind != FILE_REGULAR || could_hold_more(responder, known) ||
        !is_there_still(responder, known, key)) {
        return NULL;
    }
    known->checked_ms = now_ms;
    return known;
}

/* Ask the file system about KEY. *entry is what is found. */
static enum file_kind look_again(struct responder *responder, const struct file_key *key, uint64_t now_ms,
                                 struct file_entry **entry)
{
    struct look look = look_at(&responder->sites[key->site], key);
    struct file_entry *known = file_cache_find(responder->cache, key, now_ms);
    *entry = known;
    if (known && look.kind == FILE_NO_DESCRIPTORS) {
        return known->kind; /* a little stale, and better than a 503 */
    }
    if (is_passing(look.kind)) {
        return look.kind;
    }
    if (known && entry_is(known, &look) && !could_hold_more(responder, known)) {
        known->checked_ms = now_ms;
        if (look.fd >= 0) {
            close(look.fd);
        }
        return known->kind;
    }
    if (known) {
        file_cache_remove(responder->cache, known);
    }
    *entry = entry_make(responder, key, &look, now_ms);
    return *entry == NULL && look.kind == FILE_REGULAR ? FILE_NO_DESCRIPTORS : look.kind;
}

/* Without memory for a head that says Vary, or says it no more, this answer goes out as if they had not been looked
 * for. */
static void look_for_siblings(struct responder *responder, const struct file_key *key, struct file_entry *entry,
                              uint64_t now_ms)
{
    unsigned found = siblings_look(responder->sites[key->site].root, *key, entry);
    if ((found != 0) != (entry->siblings != 0)) {
        struct file_head head = head_for(responder, key, &entry->facts, found);
        if (head.text == NULL) {
            return;
        }
        file_cache_describe(responder->cache, entry, head);
    }
    entry->siblings = found;
    entry->siblings_ms = now_ms;
}

enum file_kind file_find(struct responder *responder, const struct file_key *key, struct text accept, uint64_t now_ms,
                         struct file_entry **entry)
{
    check(key->variant != VARIANT_LISTING);
    struct file_entry *found = file_cache_find(responder->cache, key, now_ms);
    if (found && !file_entry_is_fresh(responder, found, now_ms)) {
        found = found->kind == FILE_REGULAR ? renew(responder, key, now_ms) : NULL;
    }
    enum file_kind kind = found ? found->kind : look_again(responder, key, now_ms, &found);
    *entry = kind == FILE_REGULAR ? found : NULL;
    if (kind == FILE_REGULAR) {
        check(found != NULL);
        if (siblings_are_due(responder, found, accept, now_ms)) {
            look_for_siblings(responder, key, found, now_ms);
        }
    }
    return kind;
}
