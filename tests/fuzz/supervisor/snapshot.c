/* snapshot.c — fuzzes the reading of a snapshot: any bytes are settings or refused with a reason, and nothing else.
 *
 * Input: the bytes of the memfd that a worker is born with. */
#include "supervisor/inherit/settings.h"
#include "tests/fuzz/target.h"

#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    char error[SETTINGS_ERROR_BYTES] = "", place[256];
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    check(fd >= 0 && write(fd, bytes, count) == (ssize_t)count);
    struct settings *settings = settings_parse(fd, error);
    check(settings != NULL || error[0] != '\0');
    check(strnlen(error, sizeof error) < sizeof error);
    settings_place(fd, "workers", place, sizeof place);
    check(strnlen(place, sizeof place) < sizeof place);
    settings_free(settings);
    close(fd);
    return 0;
}
