/* open_file.h — descriptors of files, found by number, and how many answers each is lent to.
 *
 * A file may have a keeper (the cache's entry) and any number of borrowers (answers being sent). It is closed when it
 * has neither. */
#ifndef PERDURE_WORKER_OPEN_FILE_H
#define PERDURE_WORKER_OPEN_FILE_H

#include <stdbool.h>
#include <stddef.h>

struct open_file {
    int fd;
    char *memory;        /* the whole file's bytes, or NULL */
    size_t memory_bytes; /* 0 without memory */
    unsigned borrowers;
    bool is_kept; /* is_kept or borrowers > 0, always */
};

struct open_files;

/* NULL: no memory. */
struct open_files *open_files_make(void);

/* Closes them all, borrowed or not. */
void open_files_free(struct open_files *files);

/* Take over FD and MEMORY (from malloc, or NULL); the caller is the keeper. NULL: no memory, and nothing is taken. */
struct open_file *open_files_keep(struct open_files *files, int fd, char *memory, size_t memory_bytes);

/* The keeper lets go. FILE is gone unless somebody borrows it. */
void open_files_drop(struct open_files *files, struct open_file *file);

void open_file_borrow(struct open_file *file);

/* A descriptor that was borrowed in an earlier life: no keeper, one borrower more. False: no memory. */
bool open_files_adopt(struct open_files *files, int fd);

/* A borrower of FD is done with it. */
void open_files_return(struct open_files *files, int fd);

/* True if somebody borrows FD. */
bool open_files_is_borrowed(const struct open_files *files, int fd);

/* Memory of all of them together, in bytes. */
size_t open_files_memory(const struct open_files *files);

#endif
