/* file_cache_test.c — what is lent stays open, what is stale is looked at again, and nothing grows without bound. */
#include "worker/file_cache.h"
#include "worker/file_find.h"

#include "tests/unit/worker/cmocka_all.h"
#include "tests/unit/worker/site_dir.h"

#include <sys/resource.h>

static struct site_dir site;

/* Too large to be copied: it is kept open. */
enum { LARGE_BYTES = FILE_COPY_BYTES_MAX + 1 };

static void write_large(const char *name)
{
    static char bytes[LARGE_BYTES];
    memset(bytes, name[0], sizeof bytes);
    temp_dir_write_bytes(&site.dir, name, bytes, sizeof bytes);
}

static int set_up(void **state)
{
    (void)state;
    site_dir_make(&site);
    site.settings.file_cache_valid_ms = 1000;
    temp_dir_write(&site.dir, "a", "first");
    temp_dir_write(&site.dir, "b", "other");
    write_large("A");
    write_large("B");
    site_dir_open(&site);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    site_dir_close(&site);
    return 0;
}

static struct file_entry *find_for(const char *path, const char *accept, uint64_t now_ms)
{
    struct file_key key = {0, VARIANT_IDENTITY, {path, strlen(path)}};
    struct file_entry *entry;
    enum file_kind kind = file_find(site.responder, &key, (struct text){accept, strlen(accept)}, now_ms, &entry);
    assert_int_equal(entry != NULL, kind == FILE_REGULAR);
    return entry;
}

static struct file_entry *find(const char *path, uint64_t now_ms)
{
    return find_for(path, "", now_ms);
}

static enum file_kind find_kind(const char *path, uint64_t now_ms)
{
    struct file_key key = {0, VARIANT_IDENTITY, {path, strlen(path)}};
    struct file_entry *entry;
    return file_find(site.responder, &key, TEXT(""), now_ms, &entry);
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
    struct file_entry *small = find("a", 1000), *large = find("A", 1000);
    int fd = large->file->fd;
    temp_dir_replace(&site.dir, "a", "second");
    temp_dir_replace(&site.dir, "A", "second");
    assert_ptr_equal(find("a", 1999), small);
    assert_int_equal(small->facts.bytes, 5);
    assert_ptr_equal(find("A", 1999), large);
    assert_int_equal(large->file->fd, fd);
    assert_int_equal(large->facts.bytes, LARGE_BYTES);
}

static void a_replaced_file_is_seen_when_the_time_is_over(void **state)
{
    (void)state;
    find("a", 1000);
    temp_dir_replace(&site.dir, "a", "second");
    struct file_entry *entry = find("a", 2000);
    assert_int_equal(entry->facts.bytes, 6);
    assert_memory_equal(entry->copy, "second", 6);
    assert_int_equal(cached(), 1);
}

static void a_file_changed_in_place_is_seen_when_the_time_is_over(void **state)
{
    (void)state;
    find("a", 1000);
    temp_dir_write(&site.dir, "a", "other");
    temp_dir_date(&site.dir, "a", 1234567890);
    struct file_entry *entry = find("a", 2000);
    assert_memory_equal(entry->copy, "other", 5);
    assert_int_equal(entry->head.modified, 1234567890);
}

static void an_unchanged_file_keeps_its_descriptor_and_bytes(void **state)
{
    (void)state;
    struct file_entry *small = find("a", 1000), *large = find("A", 1000);
    struct open_file *file = large->file;
    char *memory = file->memory;
    unsigned before = descriptors();
    for (uint64_t now_ms = 5000; now_ms < 30000; now_ms += 5000) {
        assert_ptr_equal(find("a", now_ms), small);
        assert_memory_equal(small->copy, "first", 5);
        assert_ptr_equal(find("A", now_ms), large);
        assert_ptr_equal(large->file, file);
        assert_ptr_equal(large->file->memory, memory);
        assert_int_equal(large->checked_ms, now_ms);
    }
    assert_int_equal(descriptors(), before);
}

static void a_small_file_needs_no_descriptor(void **state)
{
    (void)state;
    unsigned before = descriptors();
    struct file_entry *entry = find("a", 1000);
    assert_null(entry->file);
    assert_memory_equal(entry->copy, "first", 5);
    temp_dir_write(&site.dir, "empty", "");
    assert_int_equal(find("empty", 1000)->facts.bytes, 0);
    assert_int_equal(descriptors(), before);
}

static void a_file_moved_out_is_gone_though_a_link_leads_to_it(void **state)
{
    (void)state;
    char outside[96];
    snprintf(outside, sizeof outside, "%s-outside", site.dir.path);
    assert_non_null(find("a", 1000));
    assert_int_equal(renameat(site.dir.fd, "a", AT_FDCWD, outside), 0);
    temp_dir_link(&site.dir, outside, "a");
    enum file_kind kind = find_kind("a", 2000);
    unlink(outside);
    assert_int_equal(kind, FILE_ABSENT);
}

static void a_directory_moved_out_is_gone_though_a_link_leads_to_it(void **state)
{
    (void)state;
    char outside[96], inside[96];
    snprintf(outside, sizeof outside, "%s-outside", site.dir.path);
    snprintf(inside, sizeof inside, "%s/sub", site.dir.path);
    temp_dir_mkdir(&site.dir, "sub");
    temp_dir_write(&site.dir, "sub/f", "public");
    assert_non_null(find("sub/f", 1000));
    assert_int_equal(rename(inside, outside), 0);
    temp_dir_link(&site.dir, outside, "sub");
    enum file_kind kind = find_kind("sub/f", 2000);
    unlinkat(site.dir.fd, "sub", 0);
    rename(outside, inside);
    assert_int_equal(kind, FILE_ABSENT);
}

static void a_directory_that_may_not_be_passed_through_hides_its_files(void **state)
{
    (void)state;
    if (geteuid() == 0) {
        skip(); /* may pass through everything */
    }
    temp_dir_mkdir(&site.dir, "sub");
    temp_dir_write(&site.dir, "sub/f", "public");
    assert_non_null(find("sub/f", 1000));
    assert_int_equal(fchmodat(site.dir.fd, "sub", 0, 0), 0);
    enum file_kind kind = find_kind("sub/f", 2000);
    assert_int_equal(fchmodat(site.dir.fd, "sub", 0755, 0), 0);
    assert_int_equal(kind, FILE_FORBIDDEN);
}

static void a_removed_file_is_gone_when_the_time_is_over(void **state)
{
    (void)state;
    int fd = find("A", 1000)->file->fd;
    unlinkat(site.dir.fd, "A", 0);
    assert_int_equal(find_kind("A", 1999), FILE_REGULAR);
    assert_int_equal(find_kind("A", 2000), FILE_ABSENT);
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
    assert_null(find("a", 1000)->copy);
    assert_null(find("A", 1000)->file->memory);
    site.responder->settle_ms = 0; /* the minute is over */
    assert_non_null(find("a", 2000)->copy);
    assert_non_null(find("A", 2000)->file->memory);
}

static void a_new_sibling_is_seen_when_the_time_is_over(void **state)
{
    (void)state;
    assert_int_equal(find_for("a", "gzip", 1000)->siblings, 0);
    temp_dir_write(&site.dir, "a.gz", "zipped");
    assert_int_equal(find_for("a", "gzip", 1999)->siblings, 0);
    assert_int_equal(find_for("a", "gzip", 2000)->siblings, 1u << VARIANT_GZIP);
    temp_dir_date(&site.dir, "a.gz", 1000000000); /* older than the original */
    assert_int_equal(find_for("a", "gzip", 3000)->siblings, 0);
}

static void siblings_are_looked_for_when_somebody_would_take_one(void **state)
{
    (void)state;
    temp_dir_write(&site.dir, "a.gz", "zipped");
    assert_int_equal(find("a", 1000)->siblings, 0);
    assert_int_equal(find_for("a", "identity, gzip;q=0", 1001)->siblings, 0);
    assert_int_equal(find_for("a", "br", 1002)->siblings, 1u << VARIANT_GZIP); /* the file is fresh, this is not */
    assert_int_equal(find("a", 1003)->siblings, 1u << VARIANT_GZIP);
    assert_int_equal(cached(), 1);
}

/* ---- lending ---- */

static void an_evicted_file_stays_open_until_it_is_returned(void **state)
{
    (void)state;
    struct open_file *file = find("A", 1000)->file;
    int fd = file->fd;
    open_file_borrow(file);
    open_file_borrow(file);
    while (file_cache_evict(site.responder->cache)) {
    }
    assert_true(is_open(fd));
    assert_memory_equal(file->memory, "AAAA", 4);
    file_cache_release(site.responder, fd);
    assert_true(is_open(fd));
    file_cache_release(site.responder, fd);
    assert_false(is_open(fd));
    assert_int_equal(open_files_memory(site.responder->files), 0);
}

static void a_replaced_file_stays_open_until_it_is_returned(void **state)
{
    (void)state;
    struct open_file *old = find("A", 1000)->file;
    int fd = old->fd;
    open_file_borrow(old);
    temp_dir_replace(&site.dir, "A", "second");
    assert_non_null(find("A", 2000)->copy);
    assert_memory_equal(old->memory, "AAAA", 4);
    file_cache_release(site.responder, fd);
    assert_false(is_open(fd));
}

static void a_cached_file_stays_open_when_it_is_returned(void **state)
{
    (void)state;
    struct open_file *file = find("A", 1000)->file;
    open_file_borrow(file);
    file_cache_release(site.responder, file->fd);
    assert_true(is_open(file->fd));
}

static void an_adopted_descriptor_is_closed_with_its_last_slot(void **state)
{
    (void)state;
    char path[128];
    snprintf(path, sizeof path, "%s/A", site.dir.path);
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
    int a = find("A", 1000)->file->fd;
    struct open_file *b = find("B", 1000)->file;
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
    int a = find("A", 1000)->file->fd, b = find("B", 1000)->file->fd;
    find("A", 30000);
    file_cache_trim(site.responder, 30001);
    assert_true(is_open(a));
    assert_false(is_open(b));
    file_cache_trim(site.responder, 60000);
    assert_false(is_open(a));
    assert_int_equal(cached(), 0);
}

static void trimming_forgets_small_files_after_a_minute(void **state)
{
    (void)state;
    find("a", 1000);
    file_cache_trim(site.responder, 60000);
    assert_int_equal(cached(), 1);
    file_cache_trim(site.responder, 61001);
    assert_int_equal(cached(), 0);
}

static void trimming_early_in_a_machines_life_closes_nothing(void **state)
{
    (void)state;
    int a = find("A", 5)->file->fd;
    file_cache_trim(site.responder, 10);
    assert_true(is_open(a));
}

static struct file_cache *small_cache(struct open_files *files)
{
    return file_cache_make((struct file_cache_limits){.open = 16, .plain = 16, .barren = 4}, files);
}

static struct file_entry *put(struct file_cache *cache, unsigned number, enum file_kind kind, uint64_t now_ms)
{
    char path[32];
    int bytes = snprintf(path, sizeof path, "path/to/file-%u", number);
    struct file_key key = {0, VARIANT_IDENTITY, {path, (size_t)bytes}};
    return file_cache_put(cache, &key, kind, (struct text){0}, now_ms);
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
    file_cache_remove_older(cache, SHELF_BARREN, 1001); /* the old guesses make room for new ones */
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
    struct file_entry *entry = file_cache_put(cache, &key, FILE_DIRECTORY, (struct text){0}, 1);
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
    site.responder->memory_max = 4 * FILE_MEMORY_BYTES_MAX;
    for (int i = 0; i < 8; i++) {
        char name[8];
        snprintf(name, sizeof name, "f%d", i);
        temp_dir_write_bytes(&site.dir, name, bytes, FILE_MEMORY_BYTES_MAX);
        assert_non_null(find(name, 1000 + (uint64_t)i)->file->memory);
        assert_true(file_cache_memory(site.responder->cache) <= site.responder->memory_max);
    }
    temp_dir_write_bytes(&site.dir, "large", bytes, FILE_MEMORY_BYTES_MAX + 1);
    assert_null(find("large", 1010)->file->memory);
    free(bytes);
}

static void many_small_files_are_held_within_the_memory(void **state)
{
    (void)state;
    enum { FILES = 200, BYTES = 1000, MEMORY = 100000, FIT = MEMORY / (BYTES + 1000) };
    char bytes[BYTES] = "";
    site.responder->memory_max = MEMORY;
    for (int i = 0; i < FILES; i++) {
        char name[8];
        snprintf(name, sizeof name, "s%d", i);
        temp_dir_write_bytes(&site.dir, name, bytes, BYTES);
        assert_non_null(find(name, 1000 + (uint64_t)i)->copy);
        assert_non_null(find(name, 1000 + (uint64_t)i)->copy); /* now it is one that is asked for again */
        assert_true(file_cache_memory(site.responder->cache) <= MEMORY);
    }
    assert_in_range(cached(), FIT, MEMORY / BYTES);
    assert_int_equal(find("s199", 1200)->checked_ms, 1199);
}

static void what_is_asked_for_once_drives_nothing_away(void **state)
{
    (void)state;
    enum { MEMORY = 100000 };
    site.responder->memory_max = MEMORY;
    find("a", 1000);
    char bytes[1000], name[8];
    for (int i = 0; i < 200; i++) {
        memset(bytes, 'a' + i % 26, sizeof bytes);
        snprintf(name, sizeof name, "s%d", i);
        temp_dir_write_bytes(&site.dir, name, bytes, sizeof bytes);
        const struct file_entry *entry = find_for(name, "gzip", 1000);
        assert_memory_equal(entry->copy, bytes, sizeof bytes);
        assert_true(entry->head.etag.bytes > 0);
    }
    assert_true(file_cache_memory(site.responder->cache) < MEMORY / 3);
    struct file_entry *entry = find("a", 1000);
    assert_int_equal(entry->checked_ms, 1000);
    assert_ptr_equal(find("a", 1500), entry);
}

static void memory_that_is_lent_counts_and_is_not_overrun(void **state)
{
    (void)state;
    site.responder->memory_max = LARGE_BYTES + 1000;
    struct open_file *a = find("A", 1000)->file;
    assert_non_null(a->memory);
    open_file_borrow(a);
    struct file_entry *b = find("B", 1000);
    assert_null(b->file->memory); /* a has gone from the table, its bytes are still being sent */
    file_cache_release(site.responder, a->fd);
    assert_non_null(find("B", 2000)->file->memory);
}

static void what_was_large_for_a_while_grows_small_again(void **state)
{
    (void)state;
    struct open_files *files = open_files_make();
    struct file_cache *cache =
        file_cache_make((struct file_cache_limits){.open = 1, .plain = 20000, .barren = 1}, files);
    size_t empty = file_cache_memory(cache);
    for (unsigned i = 0; i < 20000; i++) {
        assert_non_null(put(cache, i, FILE_DIRECTORY, i < 10 ? 5000 : 1000));
    }
    for (unsigned i = 0; i < 20000; i++) {
        assert_non_null(get(cache, i, i < 10 ? 5000 : 1000));
    }
    size_t removed = 0, most = 0, now;
    while ((now = file_cache_remove_older(cache, SHELF_PLAIN, 2000)) > 0) {
        removed += now;
        most = now > most ? now : most;
    }
    assert_int_equal(removed, 19990);
    assert_true(most < 10000); /* not all at once */
    for (unsigned i = 0; i < 10; i++) {
        assert_non_null(get(cache, i, 6000));
    }
    assert_null(get(cache, 10, 6000));
    assert_int_equal(file_cache_remove_older(cache, SHELF_PLAIN, 7000), 10);
    assert_int_equal(file_cache_memory(cache), empty);
    file_cache_free(cache);
    open_files_free(files);
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
    struct file_entry *entry = find("A", 1000);
    struct rlimit old, none;
    getrlimit(RLIMIT_NOFILE, &old);
    none = (struct rlimit){0, old.rlim_max};
    setrlimit(RLIMIT_NOFILE, &none);
    struct file_key key = {0, VARIANT_IDENTITY, TEXT("A")}, unknown = {0, VARIANT_IDENTITY, TEXT("b")};
    struct file_entry *again = NULL, *other = NULL;
    enum file_kind kind = file_find(site.responder, &key, TEXT(""), 900000, &again);
    enum file_kind other_kind = file_find(site.responder, &unknown, TEXT(""), 900000, &other);
    setrlimit(RLIMIT_NOFILE, &old);
    assert_int_equal(kind, FILE_REGULAR);
    assert_ptr_equal(again, entry);
    assert_int_equal(other_kind, FILE_NO_DESCRIPTORS);
    assert_int_equal(find_kind("b", 900001), FILE_REGULAR); /* and it was not remembered */
}

int main(void)
{
#define EACH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        EACH(a_fresh_file_is_not_looked_at_again),
        EACH(a_replaced_file_is_seen_when_the_time_is_over),
        EACH(a_file_changed_in_place_is_seen_when_the_time_is_over),
        EACH(an_unchanged_file_keeps_its_descriptor_and_bytes),
        EACH(a_small_file_needs_no_descriptor),
        EACH(a_file_moved_out_is_gone_though_a_link_leads_to_it),
        EACH(a_directory_moved_out_is_gone_though_a_link_leads_to_it),
        EACH(a_directory_that_may_not_be_passed_through_hides_its_files),
        EACH(a_removed_file_is_gone_when_the_time_is_over),
        EACH(an_absent_file_is_seen_when_the_time_is_over),
        EACH(a_file_that_may_still_change_unseen_is_not_held_in_memory),
        EACH(a_new_sibling_is_seen_when_the_time_is_over),
        EACH(siblings_are_looked_for_when_somebody_would_take_one),
        EACH(an_evicted_file_stays_open_until_it_is_returned),
        EACH(a_replaced_file_stays_open_until_it_is_returned),
        EACH(a_cached_file_stays_open_when_it_is_returned),
        EACH(an_adopted_descriptor_is_closed_with_its_last_slot),
        EACH(shedding_closes_all_that_nobody_borrows),
        EACH(trimming_closes_what_nobody_asked_for_lately),
        EACH(trimming_forgets_small_files_after_a_minute),
        EACH(trimming_early_in_a_machines_life_closes_nothing),
        EACH(the_table_is_bounded_and_keeps_what_is_asked_for),
        EACH(guessed_names_cannot_push_out_files),
        EACH(keys_differ_by_site_and_variant),
        EACH(memory_is_bounded),
        EACH(many_small_files_are_held_within_the_memory),
        EACH(what_was_large_for_a_while_grows_small_again),
        EACH(what_is_asked_for_once_drives_nothing_away),
        EACH(memory_that_is_lent_counts_and_is_not_overrun),
        EACH(a_thousand_files_leave_no_descriptor_behind),
        EACH(without_descriptors_what_is_known_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
