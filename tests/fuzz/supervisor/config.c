/* config.c — fuzzes the configuration loader: a refusal says where and why in one line, and what is taken comes out of
 * its snapshot as the same settings.
 *
 * Input: the text of a configuration; behind each NUL, that of the next file it includes. */
#include "supervisor/inherit/config_scan.h"
#include "supervisor/inherit/settings_load.h"
#include "supervisor/inherit/snapshot_files.h"
#include "supervisor/settings_diff.h"
#include "tests/fuzz/target.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

static struct input included; /* the texts that were not asked for yet */

/* The next text of the input, up to its NUL. */
static bool add_next(struct snapshot_files *files, const char *name)
{
    const uint8_t *end = included.left > 0 ? memchr(included.at, '\0', included.left) : NULL;
    size_t bytes = end != NULL ? (size_t)(end - included.at) : included.left;
    const uint8_t *text = input_take(&included, &bytes);
    (void)input_number(&included, 1);
    return snapshot_files_add(files, name, "/etc/x", (const char *)text, bytes) != NULL;
}

static bool fetch(struct snapshot_files *files, size_t number, const struct snapshot_file *includer, const char *path,
                  const char *name, char why[256])
{
    (void)includer;
    (void)path;
    check(number == files->count);
    snprintf(why, 256, "there is no more; make one");
    return included.left > 0 && add_next(files, name);
}

/* No control character. */
static void check_line(const char *text)
{
    for (; *text != '\0'; text++) {
        check((unsigned char)*text >= ' ' && *text != 0x7f);
    }
}

static void check_refusal(const char *error)
{
    check(error[0] != '\0' && strnlen(error, SETTINGS_ERROR_BYTES) < SETTINGS_ERROR_BYTES);
    check_line(error);
}

static void check_bounds(const struct settings *settings)
{
    check(settings->listeners_count > 0 && settings->listeners_count <= SETTINGS_LISTENERS_MAX);
    check(settings->run_dir != NULL && settings->run_dir[0] == '/' && settings->connections > 0);
    check(settings->head_limit > 0 && settings->target_limit > 0 && settings->target_limit <= settings->head_limit);
    for (size_t i = 0; i < settings->sites_count; i++) {
        const struct site_setting *site = &settings->sites[i];
        check(site->names_count > 0 && site->root != NULL && site->root[0] == '/');
        check_line(site->names[0]);
        check_line(site->root);
        for (size_t j = 0; j < site->headers_count; j++) {
            check(site->headers[j].name[0] != '\0' && strpbrk(site->headers[j].name, " :\r\n") == NULL);
            check_line(site->headers[j].value); /* it goes out as it stands here */
        }
    }
}

/* Supervisor and workers read the snapshot, and must read the same. */
static void check_snapshot(const struct snapshot_files *files, const struct settings *settings)
{
    char error[SETTINGS_ERROR_BYTES], difference[1024];
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    check(fd >= 0 && snapshot_files_write(files, fd));
    struct settings *again = settings_parse(fd, error);
    check(again != NULL);
    check(settings_diff(settings, again, difference, sizeof difference) == 0);
    settings_free(again);
    close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    static struct snapshot_files files;
    struct config_scan scan = {0};
    struct settings *settings = NULL;
    char error[SETTINGS_ERROR_BYTES] = "";
    included = (struct input){bytes, count};
    files = (struct snapshot_files){.as_root = true, .run_dir = strdup("/run/x")};
    check(files.run_dir != NULL && add_next(&files, "x.conf"));
    if (config_scan(&scan, &files, fetch, error)) {
        settings = settings_load(&scan, &files, error);
    }
    if (settings == NULL) {
        check_refusal(error);
    } else {
        check_bounds(settings);
        check_snapshot(&files, settings);
    }
    settings_free(settings);
    config_scan_free(&scan);
    snapshot_files_free(&files);
    return 0;
}
