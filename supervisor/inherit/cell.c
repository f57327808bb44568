/* cell.c — makes and maps a cell; what the supervisor may read of it. See cell.h. */
#include "supervisor/inherit/cell.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CELL_MAGIC = 0x70657264 /* "perd" */ };

const char *const stage_name[STAGES] = {
    [STAGE_FREE] = "free",
    [STAGE_IDLE] = "waiting for a request",
    [STAGE_HEAD] = "reading a request's head",
    [STAGE_CONTINUE] = "sending 100 Continue",
    [STAGE_BODY] = "reading a request's body",
    [STAGE_RESPOND] = "sending a response",
    [STAGE_PARTING] = "waiting for the client to close first",
    [STAGE_LINGER] = "waiting for the client to close, too",
    [STAGE_CLOSING] = "closing",
    [STAGE_GIVING] = "being handed over",
};

static size_t page_round(size_t bytes)
{
    return (bytes + 4095) & ~(size_t)4095;
}

static size_t slots_bytes(uint32_t slots)
{
    return page_round(slots * sizeof(struct slot));
}

/* A desk begins on a page of its own, so that a hole can be punched under it. */
size_t cell_desk_stride(void)
{
    return page_round(sizeof(struct desk));
}

static size_t desks_at(uint32_t slots)
{
    return CELL_HEADER_BYTES + slots_bytes(slots) + CELL_LOG_BYTES;
}

static size_t cell_bytes(uint32_t slots)
{
    return desks_at(slots) + slots * cell_desk_stride();
}

static void find_parts(struct cell *cell, char *base)
{
    cell->header = (struct cell_header *)base;
    cell->slots = (struct slot *)(base + CELL_HEADER_BYTES);
    cell->log = base + CELL_HEADER_BYTES + slots_bytes(cell->slots_count);
    cell->desks = base + desks_at(cell->slots_count);
}

/* Map the cell on FD, whose size must be that of one of SLOTS slots. */
static int map(struct cell *cell, int fd, uint32_t slots)
{
    struct stat facts;
    if (fstat(fd, &facts) != 0) {
        return -1;
    }
    if (slots == 0 || (uint64_t)facts.st_size != cell_bytes(slots)) {
        errno = EPROTO;
        return -1;
    }
    char *base = mmap(NULL, cell_bytes(slots), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
    if (base == MAP_FAILED) {
        return -1;
    }
    *cell = (struct cell){.fd = fd, .bytes = cell_bytes(slots), .slots_count = slots};
    find_parts(cell, base);
    return 0;
}

void cell_unmap(struct cell *cell)
{
    if (cell->header != NULL) {
        munmap(cell->header, cell->bytes);
    }
    *cell = (struct cell){.fd = -1};
}

int cell_create(uint32_t slots)
{
    struct cell_header face = {.magic = CELL_MAGIC, .slots = slots};
    int fd = memfd_create("perdure-cell", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0) {
        return -1;
    }
    /* A memfd is born with mode 0777: by /proc, another process of a worker's user could open it for writing. */
    if (fchmod(fd, S_IRUSR | S_IWUSR) != 0 || ftruncate(fd, CELL_HEADER_BYTES) != 0 ||
        pwrite(fd, &face, sizeof face, 0) != (ssize_t)sizeof face || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK) != 0) {
        int saved = errno;
        close(fd);
        errno = saved;
        return -1;
    }
    return fd;
}

int cell_look(struct cell *cell, int fd)
{
    struct stat facts;
    int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0 || (seals & F_SEAL_SHRINK) == 0 || fstat(fd, &facts) != 0 || facts.st_size < CELL_HEADER_BYTES) {
        errno = EPROTO;
        return -1;
    }
    void *base = mmap(NULL, CELL_HEADER_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (base == MAP_FAILED) {
        return -1;
    }
    *cell = (struct cell){.fd = fd, .bytes = CELL_HEADER_BYTES, .header = base};
    return 0;
}

/* What a header says of the cell's form. */
static void sign_header(struct cell_header *header, uint32_t slots)
{
    header->magic = CELL_MAGIC;
    header->layout = CELL_LAYOUT;
    header->slots = slots;
    header->slot_bytes = sizeof(struct slot);
    header->desk_bytes = (uint32_t)cell_desk_stride();
}

static bool is_signed(const struct cell_header *header, uint32_t slots)
{
    return header->magic == CELL_MAGIC && header->layout == CELL_LAYOUT && header->slots == slots &&
           header->slot_bytes == sizeof(struct slot) && header->desk_bytes == cell_desk_stride();
}

int cell_lay_out(struct cell *cell, int fd)
{
    struct cell_header face;
    if (pread(fd, &face, sizeof face, 0) != (ssize_t)sizeof face || face.magic != CELL_MAGIC || face.slots == 0) {
        errno = EPROTO;
        return -1;
    }
    if (ftruncate(fd, (off_t)cell_bytes(face.slots)) != 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SEAL) != 0 ||
        map(cell, fd, face.slots) != 0) {
        return -1;
    }
    sign_header(cell->header, face.slots);
    cell->header->in_hand = -1;
    for (size_t i = 0; i < CELL_TAKING_MAX; i++) {
        cell->header->taking[i] = -1;
    }
    return 0;
}

/* How many slots a cell of our layout and of that size has; 0: none has that size. What rounding up to pages adds is
 * less than a desk, so it is lost in the division. */
static uint32_t slots_by_size(uint64_t bytes)
{
    uint64_t least = desks_at(0);
    uint64_t count = bytes > least ? (bytes - least) / (cell_desk_stride() + sizeof(struct slot)) : 0;
    return count <= UINT32_MAX && cell_bytes((uint32_t)count) == bytes ? (uint32_t)count : 0;
}

/* True if the size is also that of the cell that the header tells of, and it tells of one with other slots or desks. */
static bool is_of_another_form(const struct cell_header *header, uint64_t bytes)
{
    uint64_t said = CELL_HEADER_BYTES + page_round((size_t)header->slots * header->slot_bytes) + CELL_LOG_BYTES +
                    (uint64_t)header->slots * header->desk_bytes;
    return said == bytes && (header->slot_bytes != sizeof(struct slot) || header->desk_bytes != cell_desk_stride());
}

int cell_adopt(struct cell *cell, int fd, bool *was_sick)
{
    struct stat facts;
    if (fstat(fd, &facts) != 0 || map(cell, fd, slots_by_size((uint64_t)facts.st_size)) != 0) {
        return -1;
    }
    if (is_of_another_form(cell->header, cell->bytes)) {
        cell_unmap(cell);
        errno = EPROTO;
        return -1;
    }
    *was_sick = !is_signed(cell->header, cell->slots_count);
    sign_header(cell->header, cell->slots_count);
    return 0;
}

struct desk *cell_desk(const struct cell *cell, int32_t number)
{
    if (number < 0 || (uint32_t)number >= cell->slots_count) {
        return NULL;
    }
    return (struct desk *)(void *)(cell->desks + (size_t)number * cell_desk_stride());
}

/* ---- for the supervisor: a worker may be writing, or may have been taken over; nothing here is trusted ---- */

uint32_t cell_layout(const struct cell *cell)
{
    return *(volatile const uint32_t *)&cell->header->layout;
}

uint64_t cell_beat_ms(const struct cell *cell)
{
    return *(volatile const uint64_t *)&cell->header->beat_ms;
}

uint32_t cell_connections(const struct cell *cell)
{
    return *(volatile const uint32_t *)&cell->header->connections;
}

uint32_t cell_last_words(const struct cell *cell)
{
    return *(volatile const uint32_t *)&cell->header->last_words;
}

struct cell_counters cell_counters(const struct cell *cell)
{
    return cell->header->counters;
}

/* The request line that begins at IN[FROM], or behind an empty line there, unprintable bytes as \xNN, into LINE. */
static void copy_line(const char *in, size_t from, size_t until, char *line, size_t bytes)
{
    size_t length = 0;
    line[0] = '\0';
    while (from < until && (in[from] == '\r' || in[from] == '\n')) {
        from++;
    }
    for (size_t at = from; at < until && in[at] != '\r' && in[at] != '\n' && length + 5 < bytes; at++) {
        unsigned char byte = (unsigned char)in[at];
        bool plain = byte >= 0x20 && byte < 0x7f;
        length += (size_t)snprintf(line + length, bytes - length, plain ? "%c" : "\\x%02x", byte);
    }
}

/* Read the record of SLOT that counts. */
static bool read_slot(int fd, int32_t slot, struct slot_record *record)
{
    struct slot copy;
    off_t at = CELL_HEADER_BYTES + (off_t)slot * (off_t)sizeof copy;
    if (pread(fd, &copy, sizeof copy, at) != (ssize_t)sizeof copy) {
        return false;
    }
    *record = copy.record[copy.current & 1];
    return true;
}

/* By pread, for to map gigabytes for one line takes longer than anything else here, and clients wait. */
bool cell_in_hand(const struct cell *cell, uint32_t slots, char *line, size_t bytes, int *fd)
{
    char in[1024];
    struct slot_record record;
    int32_t in_hand = *(volatile const int32_t *)&cell->header->in_hand;
    uint32_t from = *(volatile const uint32_t *)&cell->header->in_hand_at;
    if (cell_layout(cell) != CELL_LAYOUT || in_hand < 0 || (uint32_t)in_hand >= slots || from >= DESK_IN_BYTES ||
        !read_slot(cell->fd, in_hand, &record) || record.desk < 0 || (uint32_t)record.desk >= slots) {
        return false;
    }
    size_t until = DESK_IN_BYTES - from < sizeof in ? DESK_IN_BYTES - from : sizeof in;
    size_t desk_at = desks_at(slots) + (size_t)record.desk * cell_desk_stride();
    ssize_t got = pread(cell->fd, in, until, (off_t)(desk_at + offsetof(struct desk, in) + from));
    copy_line(in, 0, got > 0 ? (size_t)got : 0, line, bytes);
    *fd = in_hand;
    return line[0] != '\0';
}
