/* corpus.c — see corpus.h. */
#include "tests/judge/corpus.h"

#include "tests/judge/die.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { TARGET_BYTES = 4096 };

/* nftw(3) hands its callback no argument. */
static struct corpus *loading;
static size_t root_length;

/* PATH percent-encoded, malloc'ed. */
static char *target_of(const char *path)
{
    static const char unreserved[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/";
    char target[TARGET_BYTES];
    size_t at = 0;
    for (; *path != '\0' && at + 4 < sizeof target; path++) {
        if (strchr(unreserved, *path) != NULL) {
            target[at++] = *path;
        } else {
            at += (size_t)sprintf(target + at, "%%%02X", (unsigned char)*path);
        }
    }
    target[at] = '\0';
    return strdup(target);
}

static void add(const char *path, uint64_t bytes)
{
    struct file file = {.target = target_of(path + root_length), .bytes = bytes};
    if (bytes > 0) {
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        void *data = fd >= 0 ? mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;
        if (data == MAP_FAILED) {
            die("%s: %s", path, strerror(errno));
        }
        close(fd);
        file.data = data;
    }
    loading->files = realloc(loading->files, (loading->count + 1) * sizeof *loading->files);
    loading->files[loading->count++] = file;
}

static int visit(const char *path, const struct stat *facts, int kind, struct FTW *where)
{
    if (where->level > 0 && path[where->base] == '.') {
        return FTW_SKIP_SUBTREE;
    }
    if (kind == FTW_F && S_ISREG(facts->st_mode)) {
        add(path, (uint64_t)facts->st_size);
    }
    return FTW_CONTINUE;
}

static int by_size(const void *left, const void *right)
{
    const struct file *a = left, *b = right;
    return (a->bytes > b->bytes) - (a->bytes < b->bytes);
}

void corpus_load(struct corpus *corpus, const char *root, uint64_t small_bytes)
{
    *corpus = (struct corpus){0};
    loading = corpus;
    root_length = strlen(root);
    while (root_length > 1 && root[root_length - 1] == '/') {
        root_length--;
    }
    char *trimmed = strndup(root, root_length);
    if (nftw(trimmed, visit, 16, FTW_PHYS | FTW_ACTIONRETVAL) != 0) {
        die("%s: %s", root, strerror(errno));
    }
    free(trimmed);
    if (corpus->count == 0) {
        die("%s: no files there to ask for", root);
    }
    qsort(corpus->files, corpus->count, sizeof *corpus->files, by_size);
    while (corpus->small_count < corpus->count && corpus->files[corpus->small_count].bytes <= small_bytes) {
        corpus->small_count++;
    }
    if (corpus->small_count == 0) {
        corpus->small_count = corpus->count;
    }
    corpus->largest = &corpus->files[corpus->count - 1];
}
