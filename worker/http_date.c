/* http_date.c — see http_date.h. strftime and strptime would follow the locale, and gmtime is slower than this. */
#include "worker/http_date.h"

#include <stdint.h>

enum { DAY_SECONDS = 86400, ERA_DAYS = 146097 /* 400 years */ };

static const char day_names[7][10] = {"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"};
static const char month_names[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                        "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

/* The proleptic Gregorian calendar, in years that begin in March so that the leap day is the last one; see Howard
 * Hinnant, "chrono-compatible low-level date algorithms". */
struct civil civil_from(time_t seconds)
{
    int64_t days = seconds / DAY_SECONDS, rest = seconds % DAY_SECONDS;
    if (rest < 0) {
        rest += DAY_SECONDS;
        days--;
    }
    int64_t shifted = days + 719468; /* from 0000-03-01 */
    int64_t era = (shifted >= 0 ? shifted : shifted - (ERA_DAYS - 1)) / ERA_DAYS;
    int64_t day_of_era = shifted - era * ERA_DAYS;
    int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t shifted_month = (5 * day_of_year + 2) / 153;
    int month = (int)(shifted_month < 10 ? shifted_month + 3 : shifted_month - 9);
    return (struct civil){
        .year = (int)(year_of_era + era * 400 + (month <= 2)),
        .month = month,
        .day = (int)(day_of_year - (153 * shifted_month + 2) / 5 + 1),
        .hour = (int)(rest / 3600),
        .minute = (int)(rest / 60 % 60),
        .second = (int)(rest % 60),
        .weekday = (int)(((days % 7) + 11) % 7), /* 1970-01-01 was a Thursday */
    };
}

time_t civil_seconds(const struct civil *civil)
{
    int64_t year = civil->year - (civil->month <= 2);
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t year_of_era = year - era * 400;
    int64_t day_of_year = (153 * (civil->month + (civil->month > 2 ? -3 : 9)) + 2) / 5 + civil->day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    int64_t days = era * ERA_DAYS + day_of_era - 719468;
    return days * DAY_SECONDS + civil->hour * 3600 + civil->minute * 60 + civil->second;
}

/* ---- writing ---- */

static char *two_digits(char *at, int number)
{
    at[0] = (char)('0' + number / 10);
    at[1] = (char)('0' + number % 10);
    return at + 2;
}

void http_date_write(time_t seconds, char out[HTTP_DATE_BYTES])
{
    static const time_t first = -62167219200, last = 253402300799; /* the years that four digits can say */
    struct civil civil = civil_from(seconds < first ? first : seconds > last ? last : seconds);
    memcpy(out, "Sun, 06 Nov 1994 08:49:37 GMT", HTTP_DATE_BYTES);
    memcpy(out, day_names[civil.weekday], 3);
    two_digits(out + 5, civil.day);
    memcpy(out + 8, month_names[civil.month - 1], 3);
    two_digits(two_digits(out + 12, civil.year / 100), civil.year % 100);
    two_digits(out + 17, civil.hour);
    two_digits(out + 20, civil.minute);
    two_digits(out + 23, civil.second);
}

/* ---- reading: each function takes its piece off the front of *rest, or returns false ---- */

static bool take(struct text *rest, struct text literal)
{
    if (rest->bytes < literal.bytes || memcmp(rest->at, literal.at, literal.bytes) != 0) {
        return false;
    }
    rest->at += literal.bytes;
    rest->bytes -= literal.bytes;
    return true;
}

static bool take_number(struct text *rest, size_t digits, int *number)
{
    if (rest->bytes < digits) {
        return false;
    }
    *number = 0;
    for (size_t i = 0; i < digits; i++) {
        if (rest->at[i] < '0' || rest->at[i] > '9') {
            return false;
        }
        *number = *number * 10 + (rest->at[i] - '0');
    }
    rest->at += digits;
    rest->bytes -= digits;
    return true;
}

/* The name of a day: its first three letters, or all of it. */
static bool take_day_name(struct text *rest, bool whole)
{
    for (size_t i = 0; i < 7; i++) {
        if (take(rest, (struct text){day_names[i], whole ? strlen(day_names[i]) : 3})) {
            return true;
        }
    }
    return false;
}

static bool take_month(struct text *rest, int *month)
{
    for (int i = 0; i < 12; i++) {
        if (take(rest, (struct text){month_names[i], 3})) {
            *month = i + 1;
            return true;
        }
    }
    return false;
}

static bool take_time(struct text *rest, struct civil *civil)
{
    return take_number(rest, 2, &civil->hour) && take(rest, TEXT(":")) && take_number(rest, 2, &civil->minute) &&
           take(rest, TEXT(":")) && take_number(rest, 2, &civil->second);
}

/* Sun, 06 Nov 1994 08:49:37 GMT */
static bool read_fixdate(struct text rest, struct civil *civil)
{
    return take_day_name(&rest, false) && take(&rest, TEXT(", ")) && take_number(&rest, 2, &civil->day) &&
           take(&rest, TEXT(" ")) && take_month(&rest, &civil->month) && take(&rest, TEXT(" ")) &&
           take_number(&rest, 4, &civil->year) && take(&rest, TEXT(" ")) && take_time(&rest, civil) &&
           take(&rest, TEXT(" GMT")) && rest.bytes == 0;
}

/* Sunday, 06-Nov-94 08:49:37 GMT */
static bool read_rfc850(struct text rest, int this_year, struct civil *civil)
{
    bool good = take_day_name(&rest, true) && take(&rest, TEXT(", ")) && take_number(&rest, 2, &civil->day) &&
                take(&rest, TEXT("-")) && take_month(&rest, &civil->month) && take(&rest, TEXT("-")) &&
                take_number(&rest, 2, &civil->year) && take(&rest, TEXT(" ")) && take_time(&rest, civil) &&
                take(&rest, TEXT(" GMT")) && rest.bytes == 0;
    civil->year += this_year / 100 * 100;
    if (civil->year > this_year + 50) {
        civil->year -= 100;
    }
    return good;
}

/* Sun Nov  6 08:49:37 1994 */
static bool read_asctime(struct text rest, struct civil *civil)
{
    return take_day_name(&rest, false) && take(&rest, TEXT(" ")) && take_month(&rest, &civil->month) &&
           take(&rest, TEXT(" ")) &&
           (take(&rest, TEXT(" ")) ? take_number(&rest, 1, &civil->day) : take_number(&rest, 2, &civil->day)) &&
           take(&rest, TEXT(" ")) && take_time(&rest, civil) && take(&rest, TEXT(" ")) &&
           take_number(&rest, 4, &civil->year) && rest.bytes == 0;
}

static int month_days(int year, int month)
{
    static const int days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month == 2 && leap ? 29 : days[month - 1];
}

static bool civil_is_real(const struct civil *civil)
{
    return civil->day >= 1 && civil->day <= month_days(civil->year, civil->month) && civil->hour <= 23 &&
           civil->minute <= 59 && civil->second <= 60;
}

bool http_date_read(struct text text, time_t now, time_t *seconds)
{
    struct civil civil = {0};
    bool read =
        read_fixdate(text, &civil) || read_rfc850(text, civil_from(now).year, &civil) || read_asctime(text, &civil);
    if (!read || !civil_is_real(&civil)) {
        return false;
    }
    *seconds = civil_seconds(&civil);
    return true;
}
