/* responder.h — what all answers are made from: sites, their roots, the cache of files, the media types. */
#ifndef PERDURE_WORKER_RESPONDER_H
#define PERDURE_WORKER_RESPONDER_H

#include "supervisor/inherit/settings.h"
#include "worker/file_cache.h"
#include "worker/mime.h"
#include "worker/open_file.h"
#include "worker/response_head.h"
#include "worker/route.h"

#include <stddef.h>
#include <stdint.h>

struct site {
    const struct site_setting *setting;
    int root;                    /* O_PATH, close-on-exec */
    struct text headers;         /* the site's own, as whole lines; owned */
    struct text listing_headers; /* the same without those that let a cache keep an answer; owned */
};

struct responder {
    const struct settings *settings;
    struct site *sites; /* in the order of settings->sites */
    size_t sites_count;
    struct route *route;
    struct mime *mime;
    struct open_files *files;
    struct file_cache *cache;
    size_t memory_max;   /* of what the cache holds, all together */
    uint64_t settle_ms;  /* a file that was changed later than this ago may change again unseen: see file_find.c */
    uint64_t boundaries; /* multipart boundaries drawn so far, from a random start */
    struct head_stamp stamp;
};

#endif
