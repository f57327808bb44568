/* file_find_test.c — bytes are held only if they are all of one state of the file. */
#include "worker/file_find.c"

#include "tests/unit/worker/cmocka_all.h"
#include "tests/unit/worker/temp_dir.h"

static struct temp_dir dir;
static int fd = -1;
static struct file_facts facts;

/* The file as it was when somebody looked at it. */
static int set_up(void **state)
{
    (void)state;
    dir = temp_dir_make();
    temp_dir_write(&dir, "f", "before");
    temp_dir_date(&dir, "f", 784111777);
    fd = openat(dir.fd, "f", O_RDONLY | O_CLOEXEC);
    struct stat stat;
    if (fstat(fd, &stat)) {
        return 1;
    }
    facts = facts_from(&stat);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    close(fd);
    temp_dir_remove(&dir);
    return 0;
}

static void an_unchanged_file_is_held(void **state)
{
    (void)state;
    char bytes[6];
    assert_true(bytes_read(fd, &facts, bytes));
    assert_memory_equal(bytes, "before", 6);
}

static void a_file_written_to_since_the_look_is_not_held(void **state)
{
    (void)state;
    char bytes[6];
    temp_dir_write(&dir, "f", "behind");
    assert_false(bytes_read(fd, &facts, bytes));
}

static void a_file_truncated_since_the_look_is_not_held(void **state)
{
    (void)state;
    char bytes[6];
    temp_dir_write(&dir, "f", "be");
    assert_false(bytes_read(fd, &facts, bytes));
    temp_dir_write(&dir, "f", "");
    assert_false(bytes_read(fd, &facts, bytes));
}

static void a_file_is_settled_once_its_times_would_show_a_change(void **state)
{
    (void)state;
    struct responder responder = {.settle_ms = 50};
    struct file_facts changed = {.bytes = 1};
    clock_gettime(CLOCK_REALTIME_COARSE, &changed.changed);
    changed.changed.tv_nsec = 1;
    changed.changed.tv_sec -= 1;
    assert_true(is_settled(&responder, &changed));
    changed.changed.tv_nsec = 0; /* whole seconds: two more */
    assert_false(is_settled(&responder, &changed));
    changed.changed.tv_sec -= 2;
    assert_true(is_settled(&responder, &changed));
    clock_gettime(CLOCK_REALTIME_COARSE, &changed.changed);
    changed.changed.tv_nsec |= 1;
    assert_false(is_settled(&responder, &changed));
    changed.changed.tv_sec += 3600; /* the clock was set back: no new change will have this time */
    assert_true(is_settled(&responder, &changed));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_unchanged_file_is_held, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_file_written_to_since_the_look_is_not_held, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_file_truncated_since_the_look_is_not_held, set_up, tear_down),
        cmocka_unit_test(a_file_is_settled_once_its_times_would_show_a_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
