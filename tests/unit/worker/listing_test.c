/* listing_test.c — a listing shows what is served, in order, and nothing in a name can do harm. */
#include "worker/listing.h"

#include "tests/unit/worker/cmocka_all.h"
#include "tests/unit/worker/temp_dir.h"

static struct temp_dir dir;
static int root;
static char *page;

static int set_up(void **state)
{
    (void)state;
    dir = temp_dir_make();
    temp_dir_mkdir(&dir, "root");
    temp_dir_mkdir(&dir, "root/d");
    root = openat(dir.fd, "root", O_PATH | O_CLOEXEC);
    return root < 0;
}

static int tear_down(void **state)
{
    (void)state;
    free(page);
    page = NULL;
    close(root);
    temp_dir_remove(&dir);
    return 0;
}

static void list(const char *path, bool dot_files)
{
    int fd;
    uint64_t bytes;
    assert_int_equal(listing_make(root, (struct text){path, strlen(path)}, dot_files, &fd, &bytes), FILE_REGULAR);
    assert_int_equal(fcntl(fd, F_GETFD), 0);
    free(page);
    page = calloc(1, bytes + 1);
    assert_int_equal(pread(fd, page, bytes + 1, 0), bytes);
    close(fd);
}

static bool shows(const char *text)
{
    return strstr(page, text) != NULL;
}

static void touch(const char *name)
{
    char path[300];
    snprintf(path, sizeof path, "root/d/%s", name);
    temp_dir_write(&dir, path, "");
}

/* Each of the texts stands behind the one before it. */
static void assert_order(const char *const *texts, size_t count)
{
    const char *at = page;
    for (size_t i = 0; i < count; i++) {
        const char *found = strstr(at, texts[i]);
        if (!found) {
            fail_msg("%s is not where it should be", texts[i]);
            return;
        }
        at = found + 1;
    }
}

static void directories_come_first_then_names_in_order(void **state)
{
    (void)state;
    touch("b.txt");
    touch("A.txt");
    touch("c.txt");
    temp_dir_mkdir(&dir, "root/d/zoo");
    temp_dir_mkdir(&dir, "root/d/Ape");
    list("d", false);
    static const char *const order[] = {"../</a>", ">Ape/</a>", ">zoo/</a>", ">A.txt</a>", ">b.txt</a>", ">c.txt</a>"};
    assert_order(order, 6);
    assert_true(shows("2 directories, 3 files, 0 B"));
}

static void names_can_do_no_harm_in_html(void **state)
{
    (void)state;
    touch("<script>alert(1)<");
    touch("\"onclick='x'&amp;");
    touch("a\nb\x01");
    list("d", false);
    assert_false(shows("<script>"));
    assert_true(shows(">&lt;script&gt;alert(1)&lt;</a>"));
    assert_true(shows("href=\"./%3Cscript%3Ealert%281%29%3C\""));
    assert_true(shows(">&quot;onclick=&#39;x&#39;&amp;amp;</a>"));
    assert_true(shows("href=\"./%22onclick%3D%27x%27%26amp%3B\""));
    assert_true(shows(">a\xEF\xBF\xBD"
                      "b\xEF\xBF\xBD</a>"));
}

static void names_can_do_no_harm_as_links(void **state)
{
    (void)state;
    touch("javascript:alert(1)");
    touch("a?b#c%20d");
    touch("\\\\evil.test");
    touch("caf\xC3\xA9");
    list("d", false);
    assert_true(shows("href=\"./javascript%3Aalert%281%29\""));
    assert_true(shows("href=\"./a%3Fb%23c%2520d\""));
    assert_true(shows("href=\"./%5C%5Cevil.test\""));
    assert_true(shows("href=\"./caf%C3%A9\">caf\xC3\xA9</a>"));
}

static void the_path_can_do_no_harm_either(void **state)
{
    (void)state;
    temp_dir_mkdir(&dir, "root/d/<b>&");
    temp_dir_mkdir(&dir, "root/d/<b>&/e");
    list("d/<b>&/e", false);
    assert_false(shows("<b>"));
    assert_true(shows("<title>Index of /d/&lt;b&gt;&amp;/e/</title>"));
    assert_true(shows("<a href=\"./../../../\">/</a><a href=\"./../../\">d/</a>"
                      "<a href=\"./../\">&lt;b&gt;&amp;/</a><a href=\"./\">e/</a></h1>"));
}

static void the_root_has_no_way_up(void **state)
{
    (void)state;
    list("", false);
    assert_true(shows("<title>Index of /</title>"));
    assert_false(shows("\"../\""));
    assert_true(shows("href=\"./d/\">d/</a>"));
    list("d", false);
    assert_true(shows("href=\"../\""));
}

static void dot_files_are_shown_only_where_they_are_served(void **state)
{
    (void)state;
    touch(".secret");
    list("d", false);
    assert_false(shows("secret"));
    list("d", true);
    assert_true(shows("href=\"./.secret\""));
    assert_false(shows("href=\"./.\""));
    assert_false(shows("href=\"./..\""));
}

static void links_are_shown_only_if_they_lead_to_something_inside(void **state)
{
    (void)state;
    touch("file");
    temp_dir_link(&dir, "file", "root/d/good-link");
    temp_dir_link(&dir, "..", "root/d/good-directory");
    temp_dir_link(&dir, "none", "root/d/dangling");
    temp_dir_link(&dir, "/etc/passwd", "root/d/absolute");
    temp_dir_link(&dir, "../../..", "root/d/above");
    temp_dir_link(&dir, "loop", "root/d/loop");
    list("d", false);
    assert_true(shows("\"./good-link\""));
    assert_true(shows("\"./good-directory/\""));
    assert_false(shows("dangling"));
    assert_false(shows("absolute"));
    assert_false(shows("above"));
    assert_false(shows("loop"));
}

static void what_is_not_served_is_not_shown(void **state)
{
    (void)state;
    mkfifoat(dir.fd, "root/d/fifo", 0644);
    temp_dir_link(&dir, "fifo", "root/d/link-to-it");
    list("d", false);
    assert_false(shows("fifo"));
    assert_false(shows("link-to-it"));
}

static void sizes_and_dates_are_for_people(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        off_t bytes;
        const char *shown;
    } sizes[] = {{"root/d/1", 0, "<td>0 B</td>"},           {"root/d/2", 1023, "<td>1023 B</td>"},
                 {"root/d/3", 1536, "<td>1.5 KiB</td>"},    {"root/d/4", 1 << 20, "<td>1.0 MiB</td>"},
                 {"root/d/5", 50 << 20, "<td>50 MiB</td>"}, {"root/d/6", (off_t)3 << 40, "<td>3.0 TiB</td>"}};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        char path[128];
        temp_dir_write(&dir, sizes[i].name, "");
        snprintf(path, sizeof path, "%s/%s", dir.path, sizes[i].name);
        assert_int_equal(truncate(path, sizes[i].bytes), 0);
    }
    temp_dir_date(&dir, "root/d/1", 784111777);
    list("d", false);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        assert_true(shows(sizes[i].shown));
    }
    assert_true(shows("<td>1994-11-06 08:49</td>"));
}

static void ten_thousand_entries_are_all_there(void **state)
{
    (void)state;
    char name[64];
    for (int i = 0; i < 10000; i++) {
        snprintf(name, sizeof name, "root/d/file-%05d", i);
        int fd = openat(dir.fd, name, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
        close(fd);
    }
    list("d", false);
    const char *at = page;
    for (int i = 0; i < 10000; i++) {
        snprintf(name, sizeof name, "\"./file-%05d\"", i);
        at = strstr(at, name);
        assert_non_null(at);
    }
    assert_true(shows("0 directories, 10000 files"));
}

static void what_is_no_directory_has_no_listing(void **state)
{
    (void)state;
    int fd;
    uint64_t bytes;
    touch("file");
    temp_dir_link(&dir, "/", "root/slash");
    assert_int_equal(listing_make(root, TEXT("d/file"), false, &fd, &bytes), FILE_ABSENT);
    assert_int_equal(fd, -1);
    assert_int_equal(listing_make(root, TEXT("none"), false, &fd, &bytes), FILE_ABSENT);
    assert_int_equal(listing_make(root, TEXT("slash"), false, &fd, &bytes), FILE_ABSENT);
}

int main(void)
{
#define EACH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        EACH(directories_come_first_then_names_in_order),
        EACH(names_can_do_no_harm_in_html),
        EACH(names_can_do_no_harm_as_links),
        EACH(the_path_can_do_no_harm_either),
        EACH(the_root_has_no_way_up),
        EACH(dot_files_are_shown_only_where_they_are_served),
        EACH(links_are_shown_only_if_they_lead_to_something_inside),
        EACH(what_is_not_served_is_not_shown),
        EACH(sizes_and_dates_are_for_people),
        EACH(ten_thousand_entries_are_all_there),
        EACH(what_is_no_directory_has_no_listing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
