/* file_open.h — opening what lies below a root, and nothing else. */
#ifndef PERDURE_WORKER_FILE_OPEN_H
#define PERDURE_WORKER_FILE_OPEN_H

#include <stdbool.h>
#include <sys/stat.h>

enum file_kind {
    FILE_REGULAR,
    FILE_DIRECTORY,
    FILE_ABSENT,         /* no such name, or a symbolic link that leads out of the root: a client is not told which */
    FILE_FORBIDDEN,      /* no permission, or a FIFO, socket or device */
    FILE_NO_DESCRIPTORS, /* EMFILE, ENFILE, ENOMEM: the moment's trouble, not the file's */
    FILE_TROUBLE,        /* anything else, EIO say; logged */
};

/* Open PATH (relative, "" for the root itself) below ROOT, a directory's descriptor, with openat2(2). Symbolic links
 * are followed while they stay inside; an absolute one never does, whatever it points to. Never blocks, becomes
 * nobody's terminal. For FILE_REGULAR *fd is open for reading, without close-on-exec, since an answer that is being
 * sent from it must survive exec (DESIGN.md section 2); for all else it is -1. *facts is set for FILE_REGULAR and
 * FILE_DIRECTORY. */
enum file_kind file_open(int root, const char *path, int *fd, struct stat *facts);

/* What file_open would find, as far as that can be seen without opening it: what is FILE_REGULAR here may still be
 * unreadable. */
enum file_kind file_look(int root, const char *path, struct stat *facts);

/* What is at PATH, without opening it; costs half as much. Not kept below ROOT, where a part of PATH is a symbolic
 * link; the last part is not followed. So it can tell that nothing is there, or that what was opened there is there
 * still; it never tells that something may be served. False if there is nothing, or it cannot be told. */
bool file_glance(int root, const char *path, struct stat *facts);

/* Open the directory PATH below ROOT for reading its entries, with close-on-exec. -1: see *kind. */
int directory_open(int root, const char *path, enum file_kind *kind);

/* Does this kernel, and any filter in force, know openat2(2)? If not, errno says why. */
bool file_open_works(int root);

#endif
