/* snapshot_files.h — what a snapshot holds, in memory and as bytes: the files in the order met, the main file first.
 *
 * With them go the few facts about the starter that defaults depend on: supervisor and worker differ in user and
 * environment, and must not differ in what they read out of the same snapshot. */
#ifndef PERDURE_INHERIT_SNAPSHOT_FILES_H
#define PERDURE_INHERIT_SNAPSHOT_FILES_H

#include <stdbool.h>
#include <stddef.h>

enum { SNAPSHOT_FILES_MAX = 100, SNAPSHOT_FILE_BYTES = 1 << 20, SNAPSHOT_BYTES = 8 << 20 };

struct snapshot_file {
    char *name;      /* as messages call it */
    char *directory; /* absolute: what relative paths in the file start from */
    char *text;      /* ends with a NUL that length does not count */
    size_t length;
};

struct snapshot_files {
    bool as_root;  /* the starter's user was root */
    char *run_dir; /* the starter's default */
    struct snapshot_file file[SNAPSHOT_FILES_MAX];
    size_t count;
};

/* Add a file; all texts are copied. Returns it, or NULL if there is no room or no memory. */
struct snapshot_file *snapshot_files_add(struct snapshot_files *files, const char *name, const char *directory,
                                         const char *text, size_t length);
void snapshot_files_free(struct snapshot_files *files);

/* All of files into the empty memfd FD. Returns false with errno. */
bool snapshot_files_write(const struct snapshot_files *files, int fd);

/* Files out of FD, whatever bytes it holds; its offset is neither used nor moved. Returns false if they are not a
 * snapshot's; files can, and must, be freed in both cases. */
bool snapshot_files_read(struct snapshot_files *files, int fd);

/* PATH as seen from DIRECTORY: PATH itself if it is absolute or DIRECTORY is empty, else both joined. Caller frees;
 * NULL: no memory. */
char *join_path(const char *directory, const char *path);

/* What stands before PATH's last '/': "" if there is none, "/" for a file in the root. Caller frees; NULL: no memory.
 */
char *path_directory(const char *path);

#endif
