/* open_file.c — see open_file.h. */
#include "worker/open_file.h"

#include "supervisor/inherit/check.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct open_files {
    struct open_file **by_fd; /* by_fd[i] is NULL or has fd == i */
    size_t count;             /* of by_fd */
    size_t memory_bytes;      /* the sum over all */
};

struct open_files *open_files_make(void)
{
    return calloc(1, sizeof(struct open_files));
}

static void forget(struct open_files *files, struct open_file *file)
{
    files->by_fd[file->fd] = NULL;
    files->memory_bytes -= file->memory_bytes;
    close(file->fd);
    free(file->memory);
    free(file);
}

void open_files_free(struct open_files *files)
{
    for (size_t i = 0; i < files->count; i++) {
        if (files->by_fd[i]) {
            forget(files, files->by_fd[i]);
        }
    }
    free(files->by_fd);
    free(files);
}

static bool make_room(struct open_files *files, size_t fd)
{
    if (fd < files->count) {
        return true;
    }
    size_t count = fd + 1 < 64 ? 64 : (fd + 1) * 2;
    struct open_file **by_fd = realloc(files->by_fd, count * sizeof *by_fd);
    if (by_fd == NULL) {
        return false;
    }
    memset(by_fd + files->count, 0, (count - files->count) * sizeof *by_fd);
    files->by_fd = by_fd;
    files->count = count;
    return true;
}

/* NULL: no memory. */
static struct open_file *add(struct open_files *files, int fd)
{
    check(fd >= 0);
    struct open_file *file = make_room(files, (size_t)fd) ? calloc(1, sizeof *file) : NULL;
    if (file == NULL) {
        return NULL;
    }
    check(!files->by_fd[fd]);
    file->fd = fd;
    files->by_fd[fd] = file;
    return file;
}

struct open_file *open_files_keep(struct open_files *files, int fd, char *memory, size_t memory_bytes)
{
    struct open_file *file = add(files, fd);
    if (file == NULL) {
        return NULL;
    }
    file->memory = memory;
    file->memory_bytes = memory ? memory_bytes : 0;
    file->is_kept = true;
    files->memory_bytes += file->memory_bytes;
    return file;
}

static void forget_if_unused(struct open_files *files, struct open_file *file)
{
    if (!file->is_kept && file->borrowers == 0) {
        forget(files, file);
    }
}

void open_files_drop(struct open_files *files, struct open_file *file)
{
    check(file->is_kept);
    file->is_kept = false;
    forget_if_unused(files, file);
}

void open_file_borrow(struct open_file *file)
{
    file->borrowers++;
}

bool open_files_adopt(struct open_files *files, int fd)
{
    bool known = (size_t)fd < files->count && files->by_fd[fd] != NULL;
    struct open_file *file = known ? files->by_fd[fd] : add(files, fd);
    if (file == NULL) {
        return false;
    }
    open_file_borrow(file);
    return true;
}

void open_files_return(struct open_files *files, int fd)
{
    check(fd >= 0 && (size_t)fd < files->count && files->by_fd[fd] && files->by_fd[fd]->borrowers > 0);
    files->by_fd[fd]->borrowers--;
    forget_if_unused(files, files->by_fd[fd]);
}

bool open_files_is_borrowed(const struct open_files *files, int fd)
{
    return fd >= 0 && (size_t)fd < files->count && files->by_fd[fd] != NULL && files->by_fd[fd]->borrowers > 0;
}

size_t open_files_memory(const struct open_files *files)
{
    return files->memory_bytes;
}
