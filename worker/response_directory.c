/* response_directory.c — see response_directory.h. */
#include "worker/response_directory.h"

#include "supervisor/inherit/check.h"
#include "worker/file_find.h"
#include "worker/listing.h"
#include "worker/path.h"
#include "worker/response_content.h"
#include "worker/response_error.h"
#include "worker/response_regular.h"

#include <unistd.h>

/* So that head and page still fit into RESPONSE_OUT_MIN. */
enum { LOCATION_BYTES_MAX = 6144 };

/* The query as it came; but what could not stand in a header's line is percent-encoded. */
static void add_query(struct head *head, struct text query)
{
    for (size_t i = 0; i < query.bytes; i++) {
        unsigned char c = (unsigned char)query.at[i];
        char encoded[3] = {'%', "0123456789ABCDEF"[c >> 4], "0123456789ABCDEF"[c & 15]};
        bool is_plain = c > ' ' && c < 0x7f;
        head_add(head, is_plain ? (struct text){query.at + i, 1} : (struct text){encoded, 3});
    }
}

void response_redirect(struct responder *responder, const struct request *request, struct text path,
                       struct response *response)
{
    char memory[LOCATION_BYTES_MAX];
    struct head extra = head_in(memory, sizeof memory);
    head_add(&extra, TEXT("Location: /"));
    size_t encoded = path_encode(path, extra.at + extra.used, extra.bytes - extra.used);
    extra.used += encoded;
    head_add(&extra, TEXT("/"));
    if (request->query.at) {
        head_add(&extra, TEXT("?"));
        add_query(&extra, request->query);
    }
    head_add(&extra, TEXT("\r\n"));
    if (extra.full || encoded == 0) {
        respond_error(responder, request, 414, response);
    } else {
        response_page(responder, request, 301, (struct text){extra.at, extra.used}, response);
    }
}

/* ---- the index ---- */

/* FILE_REGULAR: answered. FILE_ABSENT: there is none. */
static enum file_kind respond_index(struct responder *responder, const struct request *request, size_t site,
                                    struct text path, struct response *response)
{
    const struct site_setting *setting = responder->sites[site].setting;
    for (size_t i = 0; i < setting->index_count; i++) {
        char name[PATH_BYTES_MAX] SCRATCH;
        if (!path_join(path, setting->index[i], name)) {
            continue;
        }
        enum file_kind kind = response_regular(responder, request, site, (struct text){name, strlen(name)}, response);
        if (kind != FILE_ABSENT && kind != FILE_DIRECTORY) {
            return kind;
        }
    }
    return FILE_ABSENT;
}

/* ---- the listing ---- */

/* A page as an entry of the cache, so that a large directory is not read anew for every request. NULL: no memory. */
static struct file_entry *listing_keep(struct responder *responder, const struct file_key *key, int fd, uint64_t bytes,
                                       uint64_t now_ms)
{
    struct file_entry *entry = file_cache_put(responder->cache, key, FILE_REGULAR, (struct text){0}, now_ms);
    if (entry != NULL) {
        entry->facts.bytes = bytes;
        file_cache_describe(responder->cache, entry,
                            file_head_make_page(bytes, responder->sites[key->site].listing_headers));
        entry->file = entry->head.text != NULL ? open_files_keep(responder->files, fd, NULL, 0) : NULL;
    }
    if (entry != NULL && entry->file == NULL) {
        file_cache_remove(responder->cache, entry);
        entry = NULL;
    }
    if (entry == NULL) {
        close(fd);
    }
    return entry;
}

static enum file_kind listing_find(struct responder *responder, const struct file_key *key, uint64_t now_ms,
                                   struct file_entry **entry)
{
    const struct site *site = &responder->sites[key->site];
    *entry = file_cache_find(responder->cache, key, now_ms);
    if (*entry && file_entry_is_fresh(responder, *entry, now_ms)) {
        return FILE_REGULAR;
    }
    if (*entry) {
        file_cache_remove(responder->cache, *entry);
    }
    int fd;
    uint64_t bytes;
    enum file_kind kind = listing_make(site->root, key->path, site->setting->dot_files, &fd, &bytes);
    if (kind == FILE_NO_DESCRIPTORS && file_cache_shed(responder) > 0) {
        kind = listing_make(site->root, key->path, site->setting->dot_files, &fd, &bytes);
    }
    if (kind == FILE_REGULAR) {
        *entry = listing_keep(responder, key, fd, bytes, now_ms);
    }
    return kind == FILE_REGULAR && *entry == NULL ? FILE_NO_DESCRIPTORS : kind;
}

static enum file_kind respond_listing(struct responder *responder, const struct request *request, size_t site,
                                      struct text path, uint64_t now_ms, struct response *response)
{
    struct file_key key = {.site = (uint32_t)site, .variant = VARIANT_LISTING, .path = path};
    struct file_entry *entry;
    enum file_kind kind = listing_find(responder, &key, now_ms, &entry);
    if (kind == FILE_REGULAR) {
        response_whole(responder, request, entry, response);
    }
    return kind == FILE_REGULAR ? FILE_DIRECTORY : kind;
}

enum file_kind response_directory(struct responder *responder, const struct request *request, size_t site,
                                  struct text path, struct response *response)
{
    enum file_kind kind = respond_index(responder, request, site, path, response);
    if (kind != FILE_ABSENT) {
        return kind == FILE_REGULAR ? FILE_DIRECTORY : kind;
    }
    uint64_t now_ms = file_find_now_ms();
    struct file_key key = {.site = (uint32_t)site, .variant = VARIANT_IDENTITY, .path = path};
    struct file_entry *entry;
    kind = file_find(responder, &key, TEXT(""), now_ms, &entry);
    if (kind != FILE_DIRECTORY) {
        return kind == FILE_REGULAR ? FILE_ABSENT : kind;
    }
    if (responder->sites[site].setting->listing) {
        return respond_listing(responder, request, site, path, now_ms, response);
    }
    respond_error(responder, request, 403, response);
    return FILE_DIRECTORY;
}
