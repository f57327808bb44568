/* snapshot_files.c — see snapshot_files.h.
 *
 * The bytes: "perdure-snapshot 1 ROOT RUN_DIR_BYTES\n" and the run directory, then for each file
 * "file NAME_BYTES DIRECTORY_BYTES TEXT_BYTES\n" and these three. */
#include "supervisor/inherit/snapshot_files.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LINE_BYTES = 96, STRING_BYTES = 8192 };

struct snapshot_file *snapshot_files_add(struct snapshot_files *files, const char *name, const char *directory,
                                         const char *text, size_t length)
{
    if (files->count == SNAPSHOT_FILES_MAX) {
        return NULL;
    }
    struct snapshot_file *file = &files->file[files->count];
    file->name = strdup(name);
    file->directory = strdup(directory);
    file->text = malloc(length + 1);
    file->length = length;
    files->count++; /* also when memory ran out: free() then finds what there is */
    if (file->name == NULL || file->directory == NULL || file->text == NULL) {
        return NULL;
    }
    memcpy(file->text, text, length);
    file->text[length] = '\0';
    return file;
}

void snapshot_files_free(struct snapshot_files *files)
{
    for (size_t i = 0; i < files->count; i++) {
        free(files->file[i].name);
        free(files->file[i].directory);
        free(files->file[i].text);
    }
    free(files->run_dir);
    memset(files, 0, sizeof *files);
}

static bool write_all(int fd, const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t written = write(fd, bytes, length);
        if (written < 0 && errno != EINTR) {
            return false;
        }
        if (written > 0) {
            bytes += written;
            length -= (size_t)written;
        }
    }
    return true;
}

bool snapshot_files_write(const struct snapshot_files *files, int fd)
{
    char line[LINE_BYTES];
    int length = snprintf(line, sizeof line, "perdure-snapshot 1 %d %zu\n", files->as_root, strlen(files->run_dir));
    bool good = write_all(fd, line, (size_t)length) && write_all(fd, files->run_dir, strlen(files->run_dir));
    for (size_t i = 0; good && i < files->count; i++) {
        const struct snapshot_file *file = &files->file[i];
        size_t name = strlen(file->name), directory = strlen(file->directory);
        length = snprintf(line, sizeof line, "file %zu %zu %zu\n", name, directory, file->length);
        good = write_all(fd, line, (size_t)length) && write_all(fd, file->name, name) &&
               write_all(fd, file->directory, directory) && write_all(fd, file->text, file->length);
    }
    return good;
}

/* The bytes not yet read. 0 <= at <= end */
struct rest {
    const char *at, *end;
};

/* The decimal number that REST begins with and the byte AFTER behind it; false if they are not there or it is more than
 * MOST. */
static bool take_number(struct rest *rest, char after, size_t most, size_t *number)
{
    *number = 0;
    const char *start = rest->at;
    while (rest->at < rest->end && *rest->at >= '0' && *rest->at <= '9' && *number <= most) {
        *number = *number * 10 + (size_t)(*rest->at++ - '0');
    }
    return rest->at > start && *number <= most && rest->at < rest->end && *rest->at++ == after;
}

static bool take_word(struct rest *rest, const char *word)
{
    size_t length = strlen(word);
    if ((size_t)(rest->end - rest->at) < length || memcmp(rest->at, word, length) != 0) {
        return false;
    }
    rest->at += length;
    return true;
}

/* LENGTH bytes without a NUL as a string that the caller frees, or NULL. */
static char *take_string(struct rest *rest, size_t length)
{
    if ((size_t)(rest->end - rest->at) < length || memchr(rest->at, '\0', length) != NULL) {
        return NULL;
    }
    rest->at += length;
    return strndup(rest->at - length, length);
}

static bool take_file(struct rest *rest, struct snapshot_files *files)
{
    size_t name_bytes, directory_bytes, text_bytes;
    if (!take_word(rest, "file ") || !take_number(rest, ' ', STRING_BYTES, &name_bytes) ||
        !take_number(rest, ' ', STRING_BYTES, &directory_bytes) ||
        !take_number(rest, '\n', SNAPSHOT_FILE_BYTES, &text_bytes)) {
        return false;
    }
    char *name = take_string(rest, name_bytes);
    char *directory = name != NULL ? take_string(rest, directory_bytes) : NULL;
    bool good = directory != NULL && (size_t)(rest->end - rest->at) >= text_bytes &&
                snapshot_files_add(files, name, directory, rest->at, text_bytes) != NULL;
    if (good) {
        rest->at += text_bytes;
    }
    free(name);
    free(directory);
    return good;
}

static bool take_all(struct rest *rest, struct snapshot_files *files)
{
    size_t as_root, run_dir_bytes;
    if (!take_word(rest, "perdure-snapshot 1 ") || !take_number(rest, ' ', 1, &as_root) ||
        !take_number(rest, '\n', STRING_BYTES, &run_dir_bytes)) {
        return false;
    }
    files->as_root = as_root == 1;
    files->run_dir = take_string(rest, run_dir_bytes);
    bool good = files->run_dir != NULL && files->run_dir[0] == '/';
    while (good && rest->at < rest->end) {
        good = take_file(rest, files);
    }
    return good && files->count > 0;
}

bool snapshot_files_read(struct snapshot_files *files, int fd)
{
    memset(files, 0, sizeof *files);
    struct stat status;
    /* Twice the limit of all texts: names and directories have room too. */
    if (fstat(fd, &status) != 0 || status.st_size <= 0 || status.st_size > 2 * SNAPSHOT_BYTES) {
        return false;
    }
    size_t size = (size_t)status.st_size, got = 0;
    char *bytes = malloc(size);
    ssize_t more = bytes != NULL ? 1 : 0;
    while (more > 0 && got < size) {
        more = pread(fd, bytes + got, size - got, (off_t)got);
        got += more > 0 ? (size_t)more : 0;
    }
    struct rest rest = {.at = bytes, .end = bytes + got};
    bool good = bytes != NULL && got == size && take_all(&rest, files);
    free(bytes);
    return good;
}

char *join_path(const char *directory, const char *path)
{
    char *joined = NULL;
    if (path[0] == '/' || directory[0] == '\0') {
        return strdup(path);
    }
    while (strncmp(path, "./", 2) == 0) {
        path += 2 + strspn(path + 2, "/");
    }
    bool slash = directory[strlen(directory) - 1] != '/';
    if (path[0] == '\0' || strcmp(path, ".") == 0) {
        return strdup(directory);
    }
    return asprintf(&joined, "%s%s%s", directory, slash ? "/" : "", path) < 0 ? NULL : joined;
}

char *path_directory(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL) {
        return strdup("");
    }
    return slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
}
