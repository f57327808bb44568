/* door_test.c — who is behind a door is the last who listened on it; and one that nobody is behind is swept away. */
#include "supervisor/door.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char run_dir[64];

static int make_run_dir(void **state)
{
    (void)state;
    snprintf(run_dir, sizeof run_dir, "/tmp/perdure-door-XXXXXX");
    return mkdtemp(run_dir) != NULL ? 0 : -1;
}

static int remove_run_dir(void **state)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", run_dir);
    (void)state;
    return system(command);
}

static void count_door(uint32_t slot, void *context)
{
    ((size_t *)context)[slot < 4 ? slot : 3]++;
}

static void only_its_owner_may_knock(void **state)
{
    char path[96];
    struct stat facts;
    (void)state;
    int fd = door_make(run_dir, 1);
    assert_true(fd >= 0);
    snprintf(path, sizeof path, "%s/door.1", run_dir);
    assert_int_equal(stat(path, &facts), 0);
    assert_int_equal(facts.st_mode & ALLPERMS, 0600);
    close(fd);
}

/* A worker that hangs cannot say who it is. */
static void the_last_who_listened_is_named(void **state)
{
    pid_t pid;
    char byte;
    int turn[2];
    (void)state;
    int door = door_make(run_dir, 2);
    int caller = door_call(run_dir, 2, &pid);
    assert_true(caller >= 0);
    assert_int_equal(pid, getpid());
    close(caller);
    assert_int_equal(pipe(turn), 0);
    pid_t child = fork();
    if (child == 0) {
        _exit(listen(door, 1) == 0 && write(turn[1], "x", 1) == 1 && pause() != 0);
    }
    assert_int_equal(read(turn[0], &byte, 1), 1);
    caller = door_call(run_dir, 2, &pid);
    assert_int_equal(pid, child);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    close(caller);
    close(door);
    close(turn[0]);
    close(turn[1]);
}

static void a_door_is_made_in_the_place_of_one_that_was_left(void **state)
{
    pid_t pid;
    (void)state;
    close(door_make(run_dir, 0));
    assert_int_equal(door_call(run_dir, 0, &pid), -1);
    assert_int_equal(errno, ECONNREFUSED);
    int door = door_make(run_dir, 0);
    int caller = door_call(run_dir, 0, &pid);
    assert_true(door >= 0 && caller >= 0);
    close(caller);
    close(door);
}

static void only_doors_that_nobody_is_behind_are_swept_away(void **state)
{
    size_t doors[4] = {0};
    char other[96];
    (void)state;
    snprintf(other, sizeof other, "%s/door.01", run_dir);
    fclose(fopen(other, "we"));
    int open = door_make(run_dir, 1);
    close(door_make(run_dir, 2));
    door_sweep(run_dir);
    door_each(run_dir, count_door, doors);
    assert_int_equal(doors[0] + doors[2] + doors[3], 0);
    assert_int_equal(doors[1], 1);
    assert_int_equal(access(other, F_OK), 0);
    close(open);
}

static void a_long_path_is_no_obstacle(void **state)
{
    char long_dir[256];
    size_t doors[4] = {0};
    pid_t pid;
    (void)state;
    snprintf(long_dir, sizeof long_dir, "%s/%0120d", run_dir, 7);
    assert_int_equal(mkdir(long_dir, 0755), 0);
    int door = door_make(long_dir, 3);
    int caller = door_call(long_dir, 3, &pid);
    assert_true(door >= 0 && caller >= 0);
    door_each(long_dir, count_door, doors);
    assert_int_equal(doors[3], 1);
    close(caller);
    close(door);
    door_sweep(long_dir);
    assert_int_equal(rmdir(long_dir), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_its_owner_may_knock),
        cmocka_unit_test(the_last_who_listened_is_named),
        cmocka_unit_test(a_door_is_made_in_the_place_of_one_that_was_left),
        cmocka_unit_test(only_doors_that_nobody_is_behind_are_swept_away),
        cmocka_unit_test(a_long_path_is_no_obstacle),
    };
    return cmocka_run_group_tests(tests, make_run_dir, remove_run_dir);
}
