/* file_open_test.c — nothing outside the root is ever opened, and nothing that is opened hangs. */
#include "worker/file_open.h"

#include "tests/unit/worker/cmocka_all.h"
#include "tests/unit/worker/temp_dir.h"

#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

static struct temp_dir dir;
static int root;

/* DIR/root is the root; DIR/secret lies beside it. */
static int set_up(void **state)
{
    (void)state;
    dir = temp_dir_make();
    temp_dir_mkdir(&dir, "root");
    temp_dir_mkdir(&dir, "root/sub");
    temp_dir_write(&dir, "secret", "secret");
    temp_dir_write(&dir, "root/file", "content");
    temp_dir_write(&dir, "root/sub/inner", "inner");
    root = openat(dir.fd, "root", O_PATH | O_CLOEXEC);
    return root < 0;
}

static int tear_down(void **state)
{
    (void)state;
    close(root);
    temp_dir_remove(&dir);
    return 0;
}

static enum file_kind kind_of(const char *path)
{
    int fd;
    struct stat facts;
    enum file_kind kind = file_open(root, path, &fd, &facts);
    assert_int_equal(fd >= 0, kind == FILE_REGULAR);
    if (fd >= 0) {
        close(fd);
    }
    return kind;
}

static void a_regular_file_is_opened_for_reading(void **state)
{
    (void)state;
    int fd;
    struct stat facts;
    char bytes[16] = {0};
    assert_int_equal(file_open(root, "sub/inner", &fd, &facts), FILE_REGULAR);
    assert_int_equal(facts.st_size, 5);
    assert_int_equal(read(fd, bytes, sizeof bytes), 5);
    assert_string_equal(bytes, "inner");
    assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
    close(fd);
}

static void directories_and_absent_names_are_told_apart(void **state)
{
    (void)state;
    assert_int_equal(kind_of(""), FILE_DIRECTORY);
    assert_int_equal(kind_of("sub"), FILE_DIRECTORY);
    assert_int_equal(kind_of("none"), FILE_ABSENT);
    assert_int_equal(kind_of("none/none"), FILE_ABSENT);
    assert_int_equal(kind_of("file/none"), FILE_ABSENT);
    char name[300];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    assert_int_equal(kind_of(name), FILE_ABSENT);
}

static void names_cannot_lead_out_of_the_root(void **state)
{
    (void)state;
    assert_int_equal(kind_of("../secret"), FILE_ABSENT);
    assert_int_equal(kind_of("sub/../../secret"), FILE_ABSENT);
    assert_int_equal(kind_of("/etc/passwd"), FILE_ABSENT);
    assert_int_equal(kind_of(".."), FILE_ABSENT);
}

static void links_cannot_lead_out_of_the_root(void **state)
{
    (void)state;
    char absolute[128];
    snprintf(absolute, sizeof absolute, "%s/secret", dir.path);
    temp_dir_link(&dir, "../secret", "root/out");
    temp_dir_link(&dir, absolute, "root/out-absolute");
    temp_dir_link(&dir, "..", "root/up");
    temp_dir_link(&dir, "out", "root/out-twice");
    temp_dir_link(&dir, "/proc/self/cwd", "root/magic");
    assert_int_equal(kind_of("out"), FILE_ABSENT);
    assert_int_equal(kind_of("out-absolute"), FILE_ABSENT);
    assert_int_equal(kind_of("up/secret"), FILE_ABSENT);
    assert_int_equal(kind_of("out-twice"), FILE_ABSENT);
    assert_int_equal(kind_of("magic"), FILE_ABSENT);
}

static void links_inside_the_root_are_followed(void **state)
{
    (void)state;
    temp_dir_link(&dir, "sub/inner", "root/in");
    temp_dir_link(&dir, "sub", "root/in-directory");
    temp_dir_link(&dir, "../file", "root/sub/in-up");
    assert_int_equal(kind_of("in"), FILE_REGULAR);
    assert_int_equal(kind_of("in-directory/inner"), FILE_REGULAR);
    assert_int_equal(kind_of("in-directory"), FILE_DIRECTORY);
    assert_int_equal(kind_of("sub/in-up"), FILE_REGULAR);
}

static void dangling_and_circular_links_are_absent(void **state)
{
    (void)state;
    temp_dir_link(&dir, "none", "root/dangling");
    temp_dir_link(&dir, "circle", "root/circle");
    assert_int_equal(kind_of("dangling"), FILE_ABSENT);
    assert_int_equal(kind_of("circle"), FILE_ABSENT);
}

static void a_fifo_is_forbidden_and_never_hangs(void **state)
{
    (void)state;
    alarm(10); /* without O_NONBLOCK open would wait for a writer for ever */
    assert_int_equal(mkfifoat(dir.fd, "root/fifo", 0644), 0);
    assert_int_equal(kind_of("fifo"), FILE_FORBIDDEN);
    alarm(0);
}

static void a_socket_and_a_device_are_forbidden(void **state)
{
    (void)state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s/root/socket", dir.path);
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(kind_of("socket"), FILE_FORBIDDEN);
    close(listener);
    int dev = open("/dev", O_PATH | O_CLOEXEC), fd;
    struct stat facts;
    assert_int_equal(file_open(dev, "null", &fd, &facts), FILE_FORBIDDEN);
    close(dev);
}

static void what_may_not_be_read_is_forbidden(void **state)
{
    (void)state;
    temp_dir_write(&dir, "root/locked", "x");
    temp_dir_mkdir(&dir, "root/passage");
    temp_dir_write(&dir, "root/passage/file", "x");
    assert_int_equal(fchmodat(dir.fd, "root/locked", 0, 0), 0);
    assert_int_equal(fchmodat(dir.fd, "root/passage", 0111, 0), 0);
    uid_t user = geteuid();
    assert_int_equal(user == 0 ? seteuid(65534) : 0, 0); /* root may read everything */
    enum file_kind locked = kind_of("locked"), passage = kind_of("passage"), file = kind_of("passage/file");
    assert_int_equal(user == 0 ? seteuid(0) : 0, 0);
    assert_int_equal(locked, FILE_FORBIDDEN);
    assert_int_equal(passage, FILE_DIRECTORY);
    assert_int_equal(file, FILE_REGULAR);
    assert_int_equal(fchmodat(dir.fd, "root/passage", 0755, 0), 0);
}

static void running_out_of_descriptors_is_told_from_the_file(void **state)
{
    (void)state;
    struct rlimit old, none;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    none = (struct rlimit){0, old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    enum file_kind kind = kind_of("file");
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    assert_int_equal(kind, FILE_NO_DESCRIPTORS);
}

static void looking_needs_no_permission_to_read_and_sees_the_same(void **state)
{
    (void)state;
    struct stat facts;
    temp_dir_link(&dir, "../secret", "root/look-out");
    assert_int_equal(mkfifoat(dir.fd, "root/look-fifo", 0644), 0);
    assert_int_equal(file_look(root, "file", &facts), FILE_REGULAR);
    assert_int_equal(facts.st_size, 7);
    assert_int_equal(file_look(root, "sub", &facts), FILE_DIRECTORY);
    assert_int_equal(file_look(root, "look-fifo", &facts), FILE_FORBIDDEN);
    assert_int_equal(file_look(root, "look-out", &facts), FILE_ABSENT);
    assert_int_equal(file_look(root, "none", &facts), FILE_ABSENT);
}

static void directories_below_the_root_can_be_read(void **state)
{
    (void)state;
    enum file_kind kind;
    int fd = directory_open(root, "sub", &kind);
    assert_true(fd >= 0);
    assert_int_not_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
    close(fd);
    assert_int_equal(directory_open(root, "..", &kind), -1);
    assert_int_equal(kind, FILE_ABSENT);
    assert_int_equal(directory_open(root, "file", &kind), -1);
    assert_int_equal(kind, FILE_ABSENT);
    assert_true(file_open_works(root));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_regular_file_is_opened_for_reading, set_up, tear_down),
        cmocka_unit_test_setup_teardown(directories_and_absent_names_are_told_apart, set_up, tear_down),
        cmocka_unit_test_setup_teardown(names_cannot_lead_out_of_the_root, set_up, tear_down),
        cmocka_unit_test_setup_teardown(links_cannot_lead_out_of_the_root, set_up, tear_down),
        cmocka_unit_test_setup_teardown(links_inside_the_root_are_followed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(dangling_and_circular_links_are_absent, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_fifo_is_forbidden_and_never_hangs, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_socket_and_a_device_are_forbidden, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_may_not_be_read_is_forbidden, set_up, tear_down),
        cmocka_unit_test_setup_teardown(running_out_of_descriptors_is_told_from_the_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(looking_needs_no_permission_to_read_and_sees_the_same, set_up, tear_down),
        cmocka_unit_test_setup_teardown(directories_below_the_root_can_be_read, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
