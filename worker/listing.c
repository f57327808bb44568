/* listing.c — see listing.h. First the directory is read, then sorted, then written. */
#include "worker/listing.h"

#include "supervisor/inherit/check.h"
#include "supervisor/inherit/log.h"
#include "worker/html.h"
#include "worker/http_date.h"
#include "worker/path.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

struct listed {
    char *name; /* owned */
    bool is_directory;
    uint64_t bytes;
    time_t modified;
};

struct listing {
    struct listed *items;
    size_t count, room;
    bool is_cut; /* there are more */
};

/* ---- reading ---- */

static void listing_free(struct listing *listing)
{
    for (size_t i = 0; i < listing->count; i++) {
        free(listing->items[i].name);
    }
    free(listing->items);
}

/* False: no memory. */
static bool listing_grow(struct listing *listing)
{
    size_t room = listing->room ? listing->room * 2 : 64;
    struct listed *items = realloc(listing->items, room * sizeof *items);
    if (items != NULL) {
        listing->items = items;
        listing->room = room;
    }
    return items != NULL;
}

static bool listing_add(struct listing *listing, const char *name, const struct stat *facts)
{
    if (listing->count == listing->room && !listing_grow(listing)) {
        return false;
    }
    struct listed *item = &listing->items[listing->count++];
    *item = (struct listed){
        .name = strdup(name),
        .is_directory = S_ISDIR(facts->st_mode),
        .bytes = (uint64_t)facts->st_size,
        .modified = facts->st_mtime,
    };
    return item->name != NULL;
}

/* Is NAME in DIRECTORY something that we would serve? A link is judged by what it leads to, and only inside the root.
 */
static bool is_shown(int root, struct text path, int directory, const char *name, struct stat *facts)
{
    if (fstatat(directory, name, facts, AT_SYMLINK_NOFOLLOW)) {
        return false; /* gone again */
    }
    if (S_ISLNK(facts->st_mode)) {
        char target[PATH_BYTES_MAX];
        enum file_kind kind = path_join(path, name, target) ? file_look(root, target, facts) : FILE_ABSENT;
        return kind == FILE_REGULAR || kind == FILE_DIRECTORY;
    }
    return S_ISREG(facts->st_mode) || S_ISDIR(facts->st_mode);
}

static bool is_hidden(const char *name, bool dot_files)
{
    return name[0] == '.' && (!dot_files || strcmp(name, ".") == 0 || strcmp(name, "..") == 0);
}

static enum file_kind listing_read(struct listing *listing, int root, struct text path, bool dot_files)
{
    char name[PATH_BYTES_MAX];
    check(path.bytes < sizeof name);
    memcpy(name, path.at, path.bytes);
    name[path.bytes] = '\0';
    enum file_kind kind;
    int fd = directory_open(root, name, &kind);
    if (fd < 0) {
        return kind;
    }
    DIR *directory = fdopendir(fd);
    if (directory == NULL) {
        close(fd);
        return FILE_NO_DESCRIPTORS; /* no memory */
    }
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        struct stat facts;
        if (is_hidden(entry->d_name, dot_files) || !is_shown(root, path, fd, entry->d_name, &facts)) {
            continue;
        }
        if (listing->count == LISTING_ENTRIES_MAX) {
            listing->is_cut = true;
            break;
        }
        if (!listing_add(listing, entry->d_name, &facts)) {
            kind = FILE_NO_DESCRIPTORS;
            break;
        }
    }
    closedir(directory);
    return kind;
}

/* Directories first, then by name as people read it; names that differ only in case have an order too. */
static int listed_compare(const void *left, const void *right)
{
    const struct listed *a = left, *b = right;
    if (a->is_directory != b->is_directory) {
        return a->is_directory ? -1 : 1;
    }
    int order = strcasecmp(a->name, b->name);
    return order != 0 ? order : strcmp(a->name, b->name);
}

/* ---- writing ---- */

static const struct text page_front = TEXT("<!DOCTYPE html>\n"
                                           "<html lang=\"en\">\n"
                                           "<meta charset=\"utf-8\">\n"
                                           "<meta name=\"viewport\" content=\"width=device-width\">\n"
                                           "<title>Index of ");
static const struct text page_style =
    TEXT("</title>\n"
         "<style>\n"
         ":root{color-scheme:light dark}\n"
         "body{font:1rem/1.5 system-ui,sans-serif;max-width:56rem;margin:2rem auto;padding:0 1rem}\n"
         "h1{font-size:1.3rem;font-weight:600;overflow-wrap:anywhere}\n"
         "table{width:100%;border-collapse:collapse}\n"
         "th{text-align:left;font-weight:600;opacity:.6}\n"
         "th,td{padding:.25rem .5rem;border-bottom:1px solid #8883}\n"
         "td:first-child{overflow-wrap:anywhere}\n"
         "th+th,td+td{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}\n"
         "tbody tr:hover{background:#8882}\n"
         "a{text-decoration:none}a:hover{text-decoration:underline}\n"
         "footer{margin:1rem .5rem;opacity:.6}\n"
         "@media(max-width:36rem){th:last-child,td:last-child{display:none}}\n"
         "</style>\n");
static const struct text table_front = TEXT("<table>\n<thead><tr><th>Name</th><th>Size</th><th>Modified (UTC)</th></tr>"
                                            "</thead>\n<tbody>\n");
static const struct text row_up = TEXT("<tr><td><a href=\"../\">../</a></td><td></td><td></td></tr>\n");

/* "/a/b/", every part of it a way there. The links are relative: they hold behind a proxy that adds a prefix, too. */
static void add_crumbs(struct html *html, struct text path)
{
    size_t depth = path.bytes > 0;
    for (size_t i = 0; i < path.bytes; i++) {
        depth += path.at[i] == '/';
    }
    html_add(html, TEXT("<h1>Index of "));
    for (struct text segment = TEXT("");; depth--) {
        html_add(html, TEXT("<a href=\"./"));
        for (size_t i = 0; i < depth; i++) {
            html_add(html, TEXT("../"));
        }
        html_add(html, TEXT("\">"));
        html_add_escaped(html, segment);
        html_add(html, TEXT("/</a>"));
        if (depth == 0) {
            break;
        }
        const char *slash = memchr(path.at, '/', path.bytes);
        segment = (struct text){path.at, slash ? (size_t)(slash - path.at) : path.bytes};
        path.at += segment.bytes + (slash != NULL);
        path.bytes -= segment.bytes + (slash != NULL);
    }
    html_add(html, TEXT("</h1>\n"));
}

/* "512 B", "1.5 KiB", "23 MiB". */
static void add_size(struct html *html, uint64_t bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    size_t unit = 0;
    double size = (double)bytes;
    for (; size >= 1024 && unit < sizeof units / sizeof units[0] - 1; unit++) {
        size /= 1024;
    }
    char text[32];
    int count = snprintf(text, sizeof text, unit > 0 && size < 10 ? "%.1f %s" : "%.0f %s", size, units[unit]);
    html_add(html, (struct text){text, (size_t)count});
}

static void add_time(struct html *html, time_t seconds)
{
    struct civil civil = civil_from(seconds);
    char text[96];
    int count = snprintf(text, sizeof text, "%04d-%02d-%02d %02d:%02d", civil.year, civil.month, civil.day, civil.hour,
                         civil.minute);
    html_add(html, (struct text){text, (size_t)count});
}

static void add_row(struct html *html, const struct listed *item)
{
    struct text name = {item->name, strlen(item->name)};
    struct text slash = item->is_directory ? TEXT("/") : TEXT("");
    html_add(html, TEXT("<tr><td><a href=\"./"));
    html_add_segment(html, name);
    html_add(html, slash);
    html_add(html, TEXT("\">"));
    html_add_escaped(html, name);
    html_add(html, slash);
    html_add(html, TEXT("</a></td><td>"));
    if (!item->is_directory) {
        add_size(html, item->bytes);
    }
    html_add(html, TEXT("</td><td>"));
    add_time(html, item->modified);
    html_add(html, TEXT("</td></tr>\n"));
}

static void add_count(struct html *html, uint64_t count, struct text one, struct text many)
{
    html_add_number(html, count);
    html_add(html, count == 1 ? one : many);
}

static void add_summary(struct html *html, const struct listing *listing)
{
    uint64_t directories = 0, bytes = 0;
    for (size_t i = 0; i < listing->count; i++) {
        directories += listing->items[i].is_directory;
        bytes += listing->items[i].is_directory ? 0 : listing->items[i].bytes;
    }
    html_add(html, TEXT("<footer>"));
    add_count(html, directories, TEXT(" directory, "), TEXT(" directories, "));
    add_count(html, listing->count - directories, TEXT(" file, "), TEXT(" files, "));
    add_size(html, bytes);
    if (listing->is_cut) {
        html_add(html, TEXT("; there are more, which are not shown"));
    }
    html_add(html, TEXT("</footer>\n"));
}

static void page_write(struct html *html, struct text path, const struct listing *listing)
{
    html_add(html, page_front);
    html_add(html, TEXT("/"));
    html_add_escaped(html, path);
    html_add(html, path.bytes > 0 ? TEXT("/") : TEXT(""));
    html_add(html, page_style);
    add_crumbs(html, path);
    html_add(html, table_front);
    if (path.bytes > 0) {
        html_add(html, row_up);
    }
    for (size_t i = 0; i < listing->count; i++) {
        add_row(html, &listing->items[i]);
    }
    html_add(html, TEXT("</tbody>\n</table>\n"));
    add_summary(html, listing);
}

/* ---- the memfd ---- */

static bool write_all(int fd, struct html page)
{
    for (size_t done = 0; done < page.used;) {
        ssize_t wrote = write(fd, page.at + done, page.used - done);
        if (wrote < 0 && errno != EINTR) {
            return false;
        }
        done += wrote > 0 ? (size_t)wrote : 0;
    }
    return true;
}

/* Without close-on-exec: an answer that is being sent from it must survive exec (DESIGN.md section 2). */
static enum file_kind page_store(struct html page, int *fd)
{
    *fd = memfd_create("perdure listing", 0);
    if (*fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM)) {
        return FILE_NO_DESCRIPTORS;
    }
    if (*fd >= 0 && write_all(*fd, page)) {
        return FILE_REGULAR;
    }
    log_warn("listing: %s", strerror(errno));
    if (*fd >= 0) {
        close(*fd);
    }
    *fd = -1;
    return FILE_TROUBLE;
}

enum file_kind listing_make(int root, struct text path, bool dot_files, int *fd, uint64_t *bytes)
{
    struct listing listing = {0};
    *fd = -1;
    enum file_kind kind = listing_read(&listing, root, path, dot_files);
    if (kind == FILE_DIRECTORY) {
        if (listing.count > 0) {
            qsort(listing.items, listing.count, sizeof listing.items[0], listed_compare);
        }
        struct html page = {0};
        page_write(&page, path, &listing);
        *bytes = page.used;
        kind = page.failed ? FILE_NO_DESCRIPTORS : page_store(page, fd);
        html_free(&page);
    }
    listing_free(&listing);
    return kind;
}
