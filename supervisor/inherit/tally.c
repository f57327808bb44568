/* tally.c — see tally.h. */
#include "supervisor/inherit/tally.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HEAD_BYTES = 4096, OWNER_ONLY = 0600 /* nobody opens it anew by way of /proc */ };
_Static_assert(sizeof(struct tally_row) % HEAD_BYTES == 0, "a row has pages of its own");

static size_t tally_bytes(void)
{
    return HEAD_BYTES + TALLY_ROWS * sizeof(struct tally_row);
}

int tally_create(void)
{
    struct tally_head head = {.rows = 0};
    int fd = memfd_create(TALLY_MEMFD, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0) {
        return -1;
    }
    if (getrandom(head.key, sizeof head.key, GRND_NONBLOCK) != (ssize_t)sizeof head.key ||
        fchmod(fd, OWNER_ONLY) != 0 || ftruncate(fd, (off_t)tally_bytes()) != 0 ||
        pwrite(fd, &head, sizeof head, 0) != (ssize_t)sizeof head ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
        int saved = errno;
        close(fd);
        errno = saved;
        return -1;
    }
    return fd;
}

void tally_forget(int fd, uint32_t number)
{
    if (fd >= 0 && number < TALLY_ROWS) {
        (void)fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                        HEAD_BYTES + (off_t)(number * sizeof(struct tally_row)), sizeof(struct tally_row));
    }
}

static bool is_tally(int fd)
{
    struct stat facts;
    int seals = fd >= 0 ? fcntl(fd, F_GET_SEALS) : -1;
    return seals >= 0 && (seals & F_SEAL_SHRINK) != 0 && fstat(fd, &facts) == 0 &&
           (uint64_t)facts.st_size == tally_bytes();
}

static void raise_rows(struct tally_head *head, uint32_t rows)
{
    uint32_t before = __atomic_load_n(&head->rows, __ATOMIC_RELAXED);
    while (before < rows &&
           !__atomic_compare_exchange_n(&head->rows, &before, rows, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
    }
}

bool tally_open(struct tally *tally, int fd, uint32_t own)
{
    *tally = (struct tally){.own = own};
    if (own >= TALLY_ROWS || !is_tally(fd)) {
        return false;
    }
    char *base = mmap(NULL, tally_bytes(), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
    if (base == MAP_FAILED) {
        return false;
    }
    tally->head = (struct tally_head *)(void *)base;
    tally->rows = (struct tally_row *)(void *)(base + HEAD_BYTES);
    tally_forget(fd, own);
    raise_rows(tally->head, own + 1);
    return true;
}

void tally_close(struct tally *tally)
{
    if (tally->head != NULL) {
        munmap(tally->head, tally_bytes());
    }
    *tally = (struct tally){0};
}

/* Where CLIENT counts in table NUMBER. */
static uint32_t place_of(const struct tally *tally, const struct client_address *client, unsigned number)
{
    uint64_t mix = client_address_group(client) ^ tally->head->key[number];
    mix = (mix ^ (mix >> 32)) * UINT64_C(0x9fb21c651e98df25);
    mix = (mix ^ (mix >> 29) ^ tally->head->key[TALLY_HASHES - 1 - number]) * UINT64_C(0xd6e8feb86659fd93);
    return (uint32_t)(mix >> 40) % TALLY_PLACES;
}

static uint32_t rows_in_use(const struct tally *tally)
{
    uint32_t rows = __atomic_load_n(&tally->head->rows, __ATOMIC_RELAXED);
    return rows < TALLY_ROWS ? rows : TALLY_ROWS;
}

static uint64_t least(uint64_t one, uint64_t other)
{
    return one < other ? one : other;
}

/* ---- connections ---- */

void tally_add_connection(struct tally *tally, const struct client_address *client)
{
    for (unsigned i = 0; i < TALLY_HASHES; i++) {
        uint32_t *count = &tally->rows[tally->own].connections[i][place_of(tally, client, i)];
        __atomic_store_n(count, *count + 1, __ATOMIC_RELAXED);
    }
}

void tally_drop_connection(struct tally *tally, const struct client_address *client)
{
    for (unsigned i = 0; i < TALLY_HASHES; i++) {
        uint32_t *count = &tally->rows[tally->own].connections[i][place_of(tally, client, i)];
        __atomic_store_n(count, *count > 0 ? *count - 1 : 0, __ATOMIC_RELAXED);
    }
}

uint64_t tally_connections(const struct tally *tally, const struct client_address *client)
{
    uint64_t count = UINT64_MAX;
    for (unsigned i = 0; i < TALLY_HASHES; i++) {
        uint64_t sum = 0;
        uint32_t place = place_of(tally, client, i);
        for (uint32_t row = 0; row < rows_in_use(tally); row++) {
            sum += __atomic_load_n(&tally->rows[row].connections[i][place], __ATOMIC_RELAXED);
        }
        count = least(count, sum);
    }
    return count;
}

/* ---- requests ---- */

/* Those within the second that ends NOW, if the second before was evenly used, in thousandths. */
static uint64_t pace_at(const struct tally_pace *pace, struct instant now)
{
    uint32_t second = (uint32_t)(now.ms / 1000), noted = __atomic_load_n(&pace->second, __ATOMIC_RELAXED);
    uint64_t latest = __atomic_load_n(&pace->now, __ATOMIC_RELAXED);
    uint64_t before = __atomic_load_n(&pace->before, __ATOMIC_RELAXED);
    uint64_t left = 1000 - now.ms % 1000; /* of the second before */
    if (noted == second) {
        return latest * 1000 + before * left;
    }
    return noted + 1 == second ? latest * left : 0;
}

static uint64_t requests(const struct tally *tally, const struct client_address *client, struct instant now)
{
    uint64_t count = UINT64_MAX;
    for (unsigned i = 0; i < TALLY_HASHES; i++) {
        uint64_t sum = 0;
        uint32_t place = place_of(tally, client, i);
        for (uint32_t row = 0; row < rows_in_use(tally); row++) {
            sum += pace_at(&tally->rows[row].pace[i][place], now);
        }
        count = least(count, sum);
    }
    return count;
}

static void pace_add(struct tally_pace *pace, struct instant now)
{
    uint32_t second = (uint32_t)(now.ms / 1000);
    if (pace->second != second) {
        uint32_t before = pace->second + 1 == second ? pace->now : 0;
        __atomic_store_n(&pace->before, before, __ATOMIC_RELAXED);
        __atomic_store_n(&pace->now, 0, __ATOMIC_RELAXED);
        __atomic_store_n(&pace->second, second, __ATOMIC_RELAXED);
    }
    __atomic_store_n(&pace->now, pace->now + 1, __ATOMIC_RELAXED);
}

bool tally_request(struct tally *tally, const struct client_address *client, uint32_t limit, struct instant now)
{
    if (requests(tally, client, now) > (uint64_t)(limit - 1) * 1000) {
        return false;
    }
    for (unsigned i = 0; i < TALLY_HASHES; i++) {
        pace_add(&tally->rows[tally->own].pace[i][place_of(tally, client, i)], now);
    }
    return true;
}
