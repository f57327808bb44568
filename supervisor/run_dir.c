/* run_dir.c — see run_dir.h. */
#include "supervisor/run_dir.h"

#include "supervisor/inherit/config_lexer.h"
#include "supervisor/inherit/settings.h"
#include "supervisor/inherit/snapshot.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LINE_BYTES = 8192 };

/* run_dir = "/path" on this line? Each line is read by itself, so what is broken elsewhere does not matter. */
static int scan_line(const char *line, size_t length, char path[PATH_MAX])
{
    struct config_lexer lexer;
    config_lexer_begin(&lexer, line, length);
    if (config_lexer_next(&lexer) != TOKEN_WORD || strcmp(lexer.word, "run_dir") != 0 ||
        config_lexer_next(&lexer) != TOKEN_EQUALS || config_lexer_next(&lexer) != TOKEN_WORD || lexer.word[0] != '/' ||
        strlen(lexer.word) >= PATH_MAX) {
        return -1;
    }
    memcpy(path, lexer.word, strlen(lexer.word) + 1);
    return 0;
}

int run_dir_scan(const char *text, char path[PATH_MAX])
{
    int found = -1;
    while (*text != '\0') {
        size_t length = strcspn(text, "\n");
        if (scan_line(text, length, path) == 0) {
            found = 0;
        }
        text += length + (text[length] == '\n');
    }
    return found;
}

static int scan_file(const char *config, char path[PATH_MAX])
{
    FILE *file = fopen(config, "re");
    if (file == NULL) {
        return -1;
    }
    char line[LINE_BYTES];
    char last[PATH_MAX];
    int found = -1;
    while (fgets(line, sizeof line, file) != NULL) {
        if (run_dir_scan(line, last) == 0) {
            snprintf(path, PATH_MAX, "%s", last);
            found = 0;
        }
    }
    fclose(file);
    return found;
}

/* From the settings, as it should be. Returns -1 with the reason in error. */
static int from_settings(const char *config, struct run_dir *found, char error[SETTINGS_ERROR_BYTES])
{
    int snapshot_fd = snapshot_take(config, NULL, error);
    if (snapshot_fd < 0) {
        return -1;
    }
    struct settings *settings = settings_parse(snapshot_fd, error);
    close(snapshot_fd);
    if (settings == NULL) {
        return -1;
    }
    snprintf(found->path, sizeof found->path, "%s", settings->run_dir);
    found->stop_timeout_ms = settings->stop_timeout_ms;
    settings_free(settings);
    return 0;
}

void run_dir_find(const char *config, struct run_dir *found)
{
    char error[SETTINGS_ERROR_BYTES];
    *found = (struct run_dir){0};
    if (from_settings(config, found, error) == 0) {
        return;
    }
    bool said = scan_file(config, found->path) == 0;
    if (!said) {
        char *fallback = snapshot_default_run_dir();
        snprintf(found->path, sizeof found->path, "%s", fallback != NULL ? fallback : "/run/perdure");
        free(fallback);
    }
    snprintf(found->warning, sizeof found->warning, "%s; looking in %s run_dir, %.200s", error,
             said ? "the file's" : "the default", found->path);
}
