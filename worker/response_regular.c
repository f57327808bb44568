/* response_regular.c — see response_regular.h. */
#include "worker/response_regular.h"

#include "worker/encoding.h"
#include "worker/file_find.h"
#include "worker/response_content.h"

/* Descriptors have run out: let the cache give back its own, and try once more. */
static enum file_kind find_twice(struct responder *responder, const struct request *request, const struct file_key *key,
                                 uint64_t now_ms, struct file_entry **entry)
{
    enum file_kind kind = file_find(responder, key, request->accept_encoding, now_ms, entry);
    if (kind == FILE_NO_DESCRIPTORS && file_cache_shed(responder) > 0) {
        kind = file_find(responder, key, request->accept_encoding, now_ms, entry);
    }
    return kind;
}

/* Into *ENTRY, found under KEY, its compressed sibling if the client would rather have that. */
static enum file_kind prefer_sibling(struct responder *responder, const struct request *request, struct file_key key,
                                     uint64_t now_ms, struct file_entry **entry)
{
    struct file_entry *sibling;
    enum file_variant variant = encoding_choose(request->accept_encoding, (*entry)->siblings);
    if (variant == VARIANT_IDENTITY) {
        return FILE_REGULAR;
    }
    key.variant = variant;
    if (file_find(responder, &key, TEXT(""), now_ms, &sibling) == FILE_REGULAR) {
        *entry = sibling;
        return FILE_REGULAR;
    }
    key.variant = VARIANT_IDENTITY; /* gone again, or unreadable; and *ENTRY may have been pushed out meanwhile */
    return find_twice(responder, request, &key, now_ms, entry);
}

enum file_kind response_regular(struct responder *responder, const struct request *request, size_t site,
                                struct text path, struct response *response)
{
    struct file_key key = {.site = (uint32_t)site, .variant = VARIANT_IDENTITY, .path = path};
    uint64_t now_ms = file_find_now_ms();
    struct file_entry *entry;
    enum file_kind kind = find_twice(responder, request, &key, now_ms, &entry);
    if (kind == FILE_REGULAR) {
        kind = prefer_sibling(responder, request, key, now_ms, &entry);
    }
    if (kind == FILE_REGULAR) {
        response_content(responder, request, entry, response);
    }
    return kind;
}
