/* responder.c — making and unmaking what all answers are made from; and the file cache's doors for the rest of the
 * worker (response.h). */
#include "worker/responder.h"

#include "supervisor/inherit/check.h"
#include "worker/file_open.h"
#include "worker/response.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <unistd.h>

enum {
    CACHE_OPEN_MAX = 1024,
    CACHE_BARREN_MAX = 256,
    CACHE_PLAIN_LEAST = 1024,
    CACHE_PLAIN_BYTES = 1024,    /* there is room for so many entries without a descriptor as if each took that */
    CACHE_TRIM_MEMORY = 1024,    /* when so many entries go at once, their memory goes back to the system */
    CACHE_SETTLE_MS = 50,        /* file times advance by the tick, of 10 ms at the most */
    CACHE_IDLE_MS = 10000,       /* a descriptor, or that there is nothing, is kept for that long unasked */
    CACHE_PLAIN_IDLE_MS = 60000, /* what is nothing but memory */
};

/* ---- opening ---- */

/* "FILE:LINE: " and what FORMAT says. */
static bool __attribute__((format(printf, 3, 4)))
refuse(char error[SETTINGS_ERROR_BYTES], const struct site_setting *setting, const char *format, ...)
{
    int used = 0;
    if (setting->file) {
        used = snprintf(error, SETTINGS_ERROR_BYTES, "%s:%u: ", setting->file, setting->line);
    }
    if (used >= 0 && used < SETTINGS_ERROR_BYTES) {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(error + used, SETTINGS_ERROR_BYTES - (size_t)used, format, arguments);
        va_end(arguments);
    }
    return false;
}

static bool root_open(struct site *site, char error[SETTINGS_ERROR_BYTES])
{
    const char *root = site->setting->root;
    site->root = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (site->root < 0) {
        return refuse(error, site->setting, "root %s: %s; %s", root, strerror(errno),
                      errno == ENOENT    ? "create the directory, or name another"
                      : errno == ENOTDIR ? "name a directory"
                                         : "let the workers' user pass through every directory above it");
    }
    if (faccessat(site->root, ".", X_OK, AT_EACCESS)) {
        return refuse(error, site->setting, "root %s: %s; let the workers' user read it", root, strerror(errno));
    }
    return true;
}

static bool is_about_caching(const char *name)
{
    return strcasecmp(name, "Cache-Control") == 0 || strcasecmp(name, "Expires") == 0;
}

/* The site's own headers as lines. False if they are too long. */
static bool headers_build(const struct site_setting *setting, bool with_caching, struct text *built)
{
    char memory[SITE_HEADERS_BYTES_MAX];
    struct head head = head_in(memory, sizeof memory);
    for (size_t i = 0; i < setting->headers_count; i++) {
        const struct header_setting *header = &setting->headers[i];
        if (with_caching || !is_about_caching(header->name)) {
            head_add(&head, (struct text){header->name, strlen(header->name)});
            head_add(&head, TEXT(": "));
            head_add(&head, (struct text){header->value, strlen(header->value)});
            head_add(&head, TEXT("\r\n"));
        }
    }
    if (head.full) {
        return false;
    }
    char *text = malloc(head.used + 1);
    if (text != NULL) {
        memcpy(text, memory, head.used);
    }
    *built = (struct text){text, head.used};
    return true;
}

static bool site_open(struct site *site, const struct site_setting *setting, char error[SETTINGS_ERROR_BYTES])
{
    site->setting = setting;
    if (!root_open(site, error)) {
        return false;
    }
    if (!headers_build(setting, true, &site->headers) || !headers_build(setting, false, &site->listing_headers)) {
        return refuse(error, setting, "the site's headers take more than %d bytes; shorten them",
                      SITE_HEADERS_BYTES_MAX);
    }
    if (site->headers.at == NULL || site->listing_headers.at == NULL) {
        return refuse(error, setting, "no memory for the site's headers");
    }
    if (!file_open_works(site->root)) {
        return refuse(error, setting, "openat2: %s; Linux 5.6 or later is needed, and a filter that allows it",
                      strerror(errno));
    }
    return true;
}

static bool sites_open(struct responder *responder, char error[SETTINGS_ERROR_BYTES])
{
    const struct settings *settings = responder->settings;
    responder->sites = calloc(settings->sites_count, sizeof *responder->sites);
    if (responder->sites == NULL) {
        snprintf(error, SETTINGS_ERROR_BYTES, "no memory for the sites");
        return false;
    }
    for (size_t i = 0; i < settings->sites_count; i++) {
        responder->sites[i].root = -1;
        responder->sites_count++;
        if (!site_open(&responder->sites[i], &settings->sites[i], error)) {
            return false;
        }
    }
    return true;
}

static uint64_t random_start(void)
{
    uint64_t start = 0;
    const char *random = (const char *)getauxval(AT_RANDOM); /* 16 random bytes; the cache uses the first 8 */
    if (random) {
        memcpy(&start, random + 8, sizeof start);
    }
    return start ^ (uint64_t)getpid();
}

static struct file_cache_limits cache_limits(const struct settings *settings)
{
    size_t plain = settings->file_cache_memory / CACHE_PLAIN_BYTES;
    return (struct file_cache_limits){
        .open = CACHE_OPEN_MAX,
        .plain = plain < CACHE_PLAIN_LEAST ? CACHE_PLAIN_LEAST : plain,
        .barren = CACHE_BARREN_MAX,
    };
}

struct responder *responder_open(const struct settings *settings, char error[SETTINGS_ERROR_BYTES])
{
    check(settings->sites_count > 0);
    struct responder *responder = calloc(1, sizeof *responder);
    if (responder == NULL) {
        snprintf(error, SETTINGS_ERROR_BYTES, "no memory");
        return NULL;
    }
    responder->settings = settings;
    responder->route = route_make(settings);
    responder->mime = mime_open(settings->mime_types);
    responder->files = open_files_make();
    responder->cache = responder->files != NULL ? file_cache_make(cache_limits(settings), responder->files) : NULL;
    responder->memory_max = settings->file_cache_memory;
    responder->settle_ms = CACHE_SETTLE_MS;
    responder->boundaries = random_start();
    responder->stamp.keep_alive_s = keep_alive_seconds(settings->idle_timeout_ms);
    bool has_all = responder->route != NULL && responder->mime != NULL && responder->cache != NULL;
    if (!has_all) {
        snprintf(error, SETTINGS_ERROR_BYTES, "no memory for the file cache, the routes or the media types");
    }
    if (!has_all || !sites_open(responder, error)) {
        responder_close(responder);
        return NULL;
    }
    return responder;
}

static void site_close(struct site *site)
{
    if (site->root >= 0) {
        close(site->root);
    }
    free((char *)site->headers.at);
    free((char *)site->listing_headers.at);
}

void responder_close(struct responder *responder)
{
    for (size_t i = 0; i < responder->sites_count; i++) {
        site_close(&responder->sites[i]);
    }
    free(responder->sites);
    if (responder->cache != NULL) {
        file_cache_free(responder->cache);
    }
    if (responder->files != NULL) {
        open_files_free(responder->files);
    }
    if (responder->mime != NULL) {
        mime_close(responder->mime);
    }
    route_free(responder->route);
    free(responder);
}

/* ---- the file cache's doors ---- */

void file_cache_release(struct responder *responder, int fd)
{
    open_files_return(responder->files, fd);
}

bool file_cache_is_borrowed(const struct responder *responder, int fd)
{
    return open_files_is_borrowed(responder->files, fd);
}

bool file_cache_adopt(struct responder *responder, int fd)
{
    return open_files_adopt(responder->files, fd);
}

void file_cache_trim(struct responder *responder, uint64_t now_ms)
{
    static const uint64_t idle_ms[FILE_SHELVES] = {
        [SHELF_OPEN] = CACHE_IDLE_MS, [SHELF_PLAIN] = CACHE_PLAIN_IDLE_MS, [SHELF_BARREN] = CACHE_IDLE_MS};
    size_t removed = 0;
    for (int i = 0; i < FILE_SHELVES; i++) {
        uint64_t valid_ms = responder->settings->file_cache_valid_ms;
        uint64_t keep_ms = valid_ms < idle_ms[i] ? idle_ms[i] : valid_ms;
        removed += file_cache_remove_older(responder->cache, i, now_ms > keep_ms ? now_ms - keep_ms : 0);
    }
    if (removed >= CACHE_TRIM_MEMORY) {
        malloc_trim(0);
    }
}

unsigned file_cache_shed(struct responder *responder)
{
    return file_cache_remove_unborrowed(responder->cache);
}
