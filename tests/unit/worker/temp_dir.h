/* temp_dir.h — a directory of a test's own, with files in it, gone when the test is. */
#ifndef PERDURE_TESTS_TEMP_DIR_H
#define PERDURE_TESTS_TEMP_DIR_H

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct temp_dir {
    char path[64];
    int fd; /* O_PATH */
};

static inline struct temp_dir temp_dir_make(void)
{
    struct temp_dir dir = {.path = "/tmp/perdure-unit-XXXXXX"};
    if (!mkdtemp(dir.path)) {
        abort();
    }
    dir.fd = open(dir.path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return dir;
}

static inline int temp_dir_unlink(const char *path, const struct stat *facts, int type, struct FTW *ftw)
{
    (void)facts, (void)type, (void)ftw;
    return remove(path);
}

static inline void temp_dir_remove(struct temp_dir *dir)
{
    close(dir->fd);
    nftw(dir->path, temp_dir_unlink, 16, FTW_DEPTH | FTW_PHYS);
}

static inline void temp_dir_mkdir(const struct temp_dir *dir, const char *name)
{
    if (mkdirat(dir->fd, name, 0755)) {
        abort();
    }
}

/* Write BYTES into NAME, in place if it is there. */
static inline void temp_dir_write_bytes(const struct temp_dir *dir, const char *name, const void *bytes, size_t count)
{
    int fd = openat(dir->fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0 || write(fd, bytes, count) != (ssize_t)count) {
        abort();
    }
    close(fd);
}

static inline void temp_dir_write(const struct temp_dir *dir, const char *name, const char *text)
{
    temp_dir_write_bytes(dir, name, text, strlen(text));
}

/* Put a new file of that name in the old one's place, as editors do. */
static inline void temp_dir_replace(const struct temp_dir *dir, const char *name, const char *text)
{
    temp_dir_write(dir, "temp-dir-new", text);
    if (renameat(dir->fd, "temp-dir-new", dir->fd, name)) {
        abort();
    }
}

static inline void temp_dir_link(const struct temp_dir *dir, const char *target, const char *name)
{
    if (symlinkat(target, dir->fd, name)) {
        abort();
    }
}

/* Set the time of the last change to SECONDS since the epoch. */
static inline void temp_dir_date(const struct temp_dir *dir, const char *name, time_t seconds)
{
    struct timespec times[2] = {{.tv_sec = seconds}, {.tv_sec = seconds}};
    if (utimensat(dir->fd, name, times, 0)) {
        abort();
    }
}

#endif
