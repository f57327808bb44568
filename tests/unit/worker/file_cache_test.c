/* file_cache_test.c — what is lent stays open, what is stale is looked at again, and nothing grows without bound. */
#include "worker/file_cache.h"
#include "worker/file_find.h"

#include "tests/unit/worker/cmocka_all.h"
#include "tests/unit/worker/site_dir.h"

#include <sys/resource.h>

static struct site_dir site;

static int set_up(void **state)
{
    (void)state;
    site_dir_make(&site);
    site.settings.file_cache_valid_ms = 1000;
    temp_dir_write(&site.dir, "a", "first");
    temp_dir_write(&site.dir, "b", "other");
    site_dir_open(&site);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    site_dir_close(&site);
    return 0;
}

static struct file_entry *find(const char *path, uint64_t now_ms)
{
    struct file_key key = {0, VARIANT_IDENTITY, {path, strlen(path)}};
    struct file_entry *entry;
    enum file_kind kind = file_find(site.responder, &key, now_ms, &entry);
    assert_int_equal(entry != NULL, kind == FILE_REGULAR);
    return entry;
}

static enum file_kind find_kind(const char *path, uint64_t now_ms)
{
    struct file_key key = {0, VARIANT_IDENTITY, {path, strlen(path)}};
    struct file_entry *entry;
    return file_find(site.responder, &key, now_ms, &entry);
}

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

static size_t cached(void)
{
    return file_cache_count(site.responder->cache);
}

static unsigned descriptors(void)
{
    unsigned count = 0;
    for (int fd = 0; fd < 256; fd++) {
        count += is_open(fd);
    }
    return count;
}

/* ---- freshness ---- */

static void a_fresh_file_is_not_looked_at_again(void **state)
{
    (void)state;
    struct file_entry *entry = find("a", 1000);
    int fd = entry->file->fd;
    temp_dir_replace(&site.dir, "a", "second");
    assert_ptr_equal(find("a", 1999), entry);
    assert_int_equal(entry->file->fd, fd);
    assert_int_equal(entry->facts.bytes, 5);
}

static void a_replaced_file_is_seen_when_the_time_is_over(void **state)
{
    (void)state;
    find("a", 1000);
    temp_dir_replace(&site.dir, "a", "second");
    struct file_entry *entry = find("a", 2000);
    assert_int_equal(entry->facts.bytes, 6);
    assert_memory_equal(entry->file->memory, "second", 6);
    assert_int_equal(cached(), 1);
}

static void a_file_changed_in_place_is_seen_when_the_time_is_over(void **state)
{
    (void)state;
    find("a", 1000);
    temp_dir_write(&site.dir, "a", "other");
    temp_dir_date(&site.dir, "a", 1234567890);
    struct file_entry *entry = find("a", 2000);
    assert_memory_equal(entry->file->memory, "other", 5);
    assert_int_equal(entry->head.modified, 1234567890);
}

static void an_unchanged_file_keeps_its_descriptor_and_bytes(void **state)
{
    (void)state;
    struct file_entry *entry = find("a", 1000);
    struct open_file *file = entry->file;
    char *memory = file->memory;
    unsigned before = descriptors();
    assert_ptr_equal(find("a", 5000), entry);
    assert_ptr_equal(entry->file, file);
    assert_ptr_equal(entry->file->memory, memory);
    assert_int_equal(entry->checked_ms, 5000);
    assert_int_equal(descriptors(), before);
}

static void a_removed_file_is_gone_when_the_time_is_over(void **state)
{
    (void)state;
    int fd = find("a", 1000)->file->fd;
    unlinkat(site.dir.fd, "a", 0);
    assert_int_equal(find_kind("a", 1999), FILE_REGULAR);
    assert_int_equal(find_kind("a", 2000), FILE_ABSENT);
    assert_false(is_open(fd));
}

static void an_absent_file_is_seen_when_the_time_is_over(void **state)
{
    (void)state;
    assert_int_equal(find_kind("new", 1000), FILE_ABSENT);
    temp_dir_write(&site.dir, "new", "x");
    assert_int_equal(find_kind("new", 1999), FILE_ABSENT);
    assert_int_equal(find_kind("new", 2000), FILE_REGULAR);
}

static void a_file_that_may_still_change_unseen_is_not_held_in_memory(void **state)
{
    (void)state;
    site.responder->settle_ms = 60000;
    assert_null(find("a", 1000)->file->memory);
    site.responder->settle_ms = 0; /* the minute is over */
    assert_non_null(find("a", 2000)->file->memory);
}

static void a_new_sibling_is_seen_when_the_time_is_over(void **state)
{
    (void)state;
    assert_int_equal(find("a", 1000)->siblings, 0);
    temp_dir_write(&site.dir, "a.gz", "zipped");
    assert_int_equal(find("a", 2000)->siblings, 1u << VARIANT_GZIP);
    temp_dir_date(&site.dir, "a.gz", 1000000000); /* older than the original */
    assert_int_equal(find("a", 3000)->siblings, 0);
}

/* ---- lending ---- */

static void an_evicted_file_stays_open_until_it_is_returned(void **state)
{
    (void)state;
    struct open_file *file = find("a", 1000)->file;
    int fd = file->fd;
    open_file_borrow(file);
    open_file_borrow(file);
    while (file_cache_evict(site.responder->cache)) {
    }
    assert_true(is_open(fd));
    assert_memory_equal(file->memory, "first", 5);
    file_cache_release(site.responder, fd);
    assert_true(is_open(fd));
    file_cache_release(site.responder, fd);
    assert_false(is_open(fd));
    assert_int_equal(open_files_memory(site.responder->files), 0);
}

static void a_replaced_file_stays_open_until_it_is_returned(void **state)
{
    (void)state;
    struct open_file *old = find("a", 1000)->file;
    int fd = old->fd;
    open_file_borrow(old);
    temp_dir_replace(&site.dir, "a", "second");
    assert_int_not_equal(find("a", 2000)->file->fd, fd);
    assert_memory_equal(old->memory, "first", 5);
    file_cache_release(site.responder, fd);
    assert_false(is_open(fd));
}

static void a_cached_file_stays_open_when_it_is_returned(void **state)
{
    (void)state;
    struct open_file *file = find("a", 1000)->file;
    open_file_borrow(file);
    file_cache_release(site.responder, file->fd);
    assert_true(is_open(file->fd));
}

static void an_adopted_descriptor_is_closed_with_its_last_slot(void **state)
{
    (void)state;
    char path[128];
    snprintf(path, sizeof path, "%s/a", site.dir.path);
    int fd = open(path, O_RDONLY);
    int high = fcntl(fd, F_DUPFD, 200);
    file_cache_adopt(site.responder, fd);
    file_cache_adopt(site.responder, fd);
    file_cache_adopt(site.responder, high);
    file_cache_release(site.responder, fd);
    assert_true(is_open(fd));
    file_cache_release(site.responder, fd);
    assert_false(is_open(fd));
    file_cache_release(site.responder, high);
    assert_false(is_open(high));
}

/* ---- bounds ---- */

static void shedding_closes_all_that_nobody_borrows(void **state)
{
    (void)state;
    int a = find("a", 1000)->file->fd;
    struct open_file *b = find("b", 1000)->file;
    open_file_borrow(b);
    assert_int_equal(file_cache_shed(site.responder), 1);
    assert_false(is_open(a));
    assert_true(is_open(b->fd));
    file_cache_release(site.responder, b->fd);
    assert_int_equal(file_cache_shed(site.responder), 1);
    assert_int_equal(file_cache_shed(site.responder), 0);
}

static void trimming_closes_what_nobody_asked_for_lately(void **state)
{
    (void)state;
    int a = find("a", 1000)->file->fd, b = find("b", 1000)->file->fd;
    find("a", 30000);
    file_cache_trim(site.responder, 30001);
    assert_true(is_open(a));
    assert_false(is_open(b));
    file_cache_trim(site.responder, 60000);
    assert_false(is_open(a));
    assert_int_equal(cached(), 0);
}

static void trimming_early_in_a_machines_life_closes_nothing(void **state)
{
    (void)state;
    int a = find("a", 5)->file->fd;
    file_cache_trim(site.responder, 10);
    assert_true(is_open(a));
}

static struct file_cache *small_cache(struct open_files *files)
{
    return file_cache_make(16, files);
}

static struct file_entry *put(struct file_cache *cache, unsigned number, enum file_kind kind, uint64_t now_ms)
{
    char path[32];
    int bytes = snprintf(path, sizeof path, "path/to/file-%u", number);
    struct file_key key = {0, VARIANT_IDENTITY, {path, (size_t)bytes}};
    return file_cache_put(cache, &key, kind, now_ms);
}

static struct file_entry *get(struct file_cache *cache, unsigned number, uint64_t now_ms)
{
    char path[32];
    int bytes = snprintf(path, sizeof path, "path/to/file-%u", number);
    struct file_key key = {0, VARIANT_IDENTITY, {path, (size_t)bytes}};
    return file_cache_find(cache, &key, now_ms);
}

static void the_table_is_bounded_and_keeps_what_is_asked_for(void **state)
{
    (void)state;
    struct open_files *files = open_files_make();
    struct file_cache *cache = small_cache(files);
    for (unsigned i = 0; i < 1000; i++) {
        assert_non_null(put(cache, i, FILE_DIRECTORY, 10 * i));
        assert_non_null(get(cache, i, 10 * i + 1));
        assert_non_null(get(cache, 0, 10 * i + 5)); /* is asked for all the time */
        assert_in_range(file_cache_count(cache), 1, 16);
    }
    file_cache_free(cache);
    open_files_free(files);
}

static void guessed_names_cannot_push_out_files(void **state)
{
    (void)state;
    struct open_files *files = open_files_make();
    struct file_cache *cache = small_cache(files);
    for (unsigned i = 0; i < 12; i++) {
        put(cache, i, FILE_DIRECTORY, 1);
    }
    for (unsigned i = 100; i < 200; i++) {
        assert_int_equal(put(cache, i, FILE_ABSENT, 1000) != NULL, i < 104);
    }
    for (unsigned i = 0; i < 12; i++) {
        assert_non_null(get(cache, i, 1000));
    }
    file_cache_remove_older(cache, 1001); /* the old guesses make room for new ones */
    assert_non_null(put(cache, 300, FILE_ABSENT, 2000));
    file_cache_free(cache);
    open_files_free(files);
}

static void keys_differ_by_site_and_variant(void **state)
{
    (void)state;
    struct open_files *files = open_files_make();
    struct file_cache *cache = small_cache(files);
    struct file_key key = {0, VARIANT_IDENTITY, TEXT("a")};
    struct file_key elsewhere = {1, VARIANT_IDENTITY, TEXT("a")}, zipped = {0, VARIANT_GZIP, TEXT("a")};
    struct file_entry *entry = file_cache_put(cache, &key, FILE_DIRECTORY, 1);
    assert_null(file_cache_find(cache, &elsewhere, 1));
    assert_null(file_cache_find(cache, &zipped, 1));
    assert_ptr_equal(file_cache_find(cache, &key, 1), entry);
    file_cache_remove(cache, entry);
    assert_null(file_cache_find(cache, &key, 1));
    file_cache_free(cache);
    open_files_free(files);
}

static void memory_is_bounded(void **state)
{
    (void)state;
    char *bytes = calloc(1, FILE_MEMORY_BYTES_MAX + 1);
    site.responder->memory_max = 3 * FILE_MEMORY_BYTES_MAX + 100;
    for (int i = 0; i < 8; i++) {
        char name[8];
        snprintf(name, sizeof name, "f%d", i);
        temp_dir_write_bytes(&site.dir, name, bytes, FILE_MEMORY_BYTES_MAX);
        assert_non_null(find(name, 1000 + (uint64_t)i)->file->memory);
        assert_true(open_files_memory(site.responder->files) <= site.responder->memory_max);
    }
    temp_dir_write_bytes(&site.dir, "large", bytes, FILE_MEMORY_BYTES_MAX + 1);
    assert_null(find("large", 1010)->file->memory);
    free(bytes);
}

static void memory_that_is_lent_counts_and_is_not_overrun(void **state)
{
    (void)state;
    site.responder->memory_max = 5;
    struct open_file *a = find("a", 1000)->file;
    assert_non_null(a->memory);
    open_file_borrow(a);
    struct file_entry *b = find("b", 1000);
    assert_null(b->file->memory); /* a has gone from the table, its bytes are still being sent */
    file_cache_release(site.responder, a->fd);
    assert_non_null(find("b", 2000)->file->memory);
}

static void a_thousand_files_leave_no_descriptor_behind(void **state)
{
    (void)state;
    unsigned before = descriptors();
    for (uint64_t i = 0; i < 500; i++) {
        temp_dir_replace(&site.dir, "a", i % 2 ? "odd" : "even");
        find("a", 1000 * i);
        find("b", 1000 * i);
        find_kind("none", 1000 * i);
        find_kind("", 1000 * i);
    }
    file_cache_shed(site.responder);
    assert_int_equal(descriptors(), before);
}

static void without_descriptors_what_is_known_goes_on(void **state)
{
    (void)state;
    struct file_entry *entry = find("a", 1000);
    struct rlimit old, none;
    getrlimit(RLIMIT_NOFILE, &old);
    none = (struct rlimit){0, old.rlim_max};
    setrlimit(RLIMIT_NOFILE, &none);
    struct file_key key = {0, VARIANT_IDENTITY, TEXT("a")}, unknown = {0, VARIANT_IDENTITY, TEXT("b")};
    struct file_entry *again = NULL, *other = NULL;
    enum file_kind kind = file_find(site.responder, &key, 9000, &again);
    enum file_kind other_kind = file_find(site.responder, &unknown, 9000, &other);
    setrlimit(RLIMIT_NOFILE, &old);
    assert_int_equal(kind, FILE_REGULAR);
    assert_ptr_equal(again, entry);
    assert_int_equal(other_kind, FILE_NO_DESCRIPTORS);
    assert_int_equal(find_kind("b", 9001), FILE_REGULAR); /* and it was not remembered */
}

int main(void)
{
#define EACH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        EACH(a_fresh_file_is_not_looked_at_again),
        EACH(a_replaced_file_is_seen_when_the_time_is_over),
        EACH(a_file_changed_in_place_is_seen_when_the_time_is_over),
        EACH(an_unchanged_file_keeps_its_descriptor_and_bytes),
        EACH(a_removed_file_is_gone_when_the_time_is_over),
        EACH(an_absent_file_is_seen_when_the_time_is_over),
        EACH(a_file_that_may_still_change_unseen_is_not_held_in_memory),
        EACH(a_new_sibling_is_seen_when_the_time_is_over),
        EACH(an_evicted_file_stays_open_until_it_is_returned),
        EACH(a_replaced_file_stays_open_until_it_is_returned),
        EACH(a_cached_file_stays_open_when_it_is_returned),
        EACH(an_adopted_descriptor_is_closed_with_its_last_slot),
        EACH(shedding_closes_all_that_nobody_borrows),
        EACH(trimming_closes_what_nobody_asked_for_lately),
        EACH(trimming_early_in_a_machines_life_closes_nothing),
        EACH(the_table_is_bounded_and_keeps_what_is_asked_for),
        EACH(guessed_names_cannot_push_out_files),
        EACH(keys_differ_by_site_and_variant),
        EACH(memory_is_bounded),
        EACH(memory_that_is_lent_counts_and_is_not_overrun),
        EACH(a_thousand_files_leave_no_descriptor_behind),
        EACH(without_descriptors_what_is_known_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
