/* date.c — fuzzes HTTP dates: what is read and written again is the same instant, and the same words if they were ours.
 *
 * Input: eight bytes for a time of any kind, then the text of a date. */
#include "tests/fuzz/target.h"
#include "worker/http_date.h"

enum { NOW = 1795000000, WEEKDAY_BYTES = 3 };

static time_t read_back(const char date[HTTP_DATE_BYTES])
{
    time_t seconds;
    check(http_date_read((struct text){date, HTTP_DATE_BYTES}, NOW, &seconds));
    return seconds;
}

/* Any time can be written, and those within four digits of a year come back. */
static void try_time(time_t seconds)
{
    static const time_t first = -62167219200, last = 253402300799;
    char date[HTTP_DATE_BYTES];
    http_date_write(seconds, date);
    check(read_back(date) == (seconds < first ? first : seconds > last ? last : seconds));
    if (seconds >= first && seconds <= last) {
        struct civil civil = civil_from(seconds);
        check(civil_seconds(&civil) == seconds && civil.weekday >= 0 && civil.weekday < 7);
    }
}

static void try_text(const char *text, size_t bytes)
{
    char date[HTTP_DATE_BYTES];
    time_t seconds;
    if (!http_date_read((struct text){text, bytes}, NOW, &seconds)) {
        return;
    }
    http_date_write(seconds, date);
    check(read_back(date) == seconds || seconds > 253402300799); /* a leap second at the end of the year 9999 */
    if (bytes == HTTP_DATE_BYTES && text[3] == ',') {
        bool leaps = memcmp(text + 23, "60", 2) == 0;
        check(leaps || memcmp(date + WEEKDAY_BYTES, text + WEEKDAY_BYTES, HTTP_DATE_BYTES - WEEKDAY_BYTES) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    struct input input = {bytes, count};
    try_time((time_t)input_number(&input, 8));
    char *text = exact_copy(input.at, input.left);
    try_text(text, input.left);
    free(text);
    return 0;
}
