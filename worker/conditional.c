/* conditional.c — see conditional.h. */
#include "worker/conditional.h"

#include "worker/http_date.h"

/* An entity-tag without its weakness mark. */
struct tag {
    struct text opaque; /* with its quotes */
    bool is_weak;
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* Take the next tag of the list at *list; false at its end, or where it stops being one. */
static bool tag_take(struct text *list, struct tag *tag)
{
    while (list->bytes > 0 && (is_blank(*list->at) || *list->at == ',')) {
        list->at++, list->bytes--;
    }
    tag->is_weak = list->bytes > 2 && list->at[0] == 'W' && list->at[1] == '/';
    if (tag->is_weak) {
        list->at += 2, list->bytes -= 2;
    }
    if (list->bytes < 2 || list->at[0] != '"') {
        return false;
    }
    const char *quote = memchr(list->at + 1, '"', list->bytes - 1);
    if (!quote) {
        return false;
    }
    tag->opaque = (struct text){list->at, (size_t)(quote + 1 - list->at)};
    list->at += tag->opaque.bytes;
    list->bytes -= tag->opaque.bytes;
    return true;
}

static struct text trimmed(struct text text)
{
    while (text.bytes > 0 && is_blank(text.at[0])) {
        text.at++, text.bytes--;
    }
    while (text.bytes > 0 && is_blank(text.at[text.bytes - 1])) {
        text.bytes--;
    }
    return text;
}

/* Is ETAG, a strong one, in LIST? STRONGLY: a weak tag is never equal (RFC 9110 section 8.8.3.2). */
static bool list_has(struct text list, struct text etag, bool strongly)
{
    if (text_is(trimmed(list), TEXT("*"))) {
        return true;
    }
    struct tag tag;
    while (tag_take(&list, &tag)) {
        if (text_is(tag.opaque, etag) && !(strongly && tag.is_weak)) {
            return true;
        }
    }
    return false;
}

/* The same of a list that goes over several fields (RFC 9110 section 5.3). */
static bool lists_have(const struct text *lists, struct text etag, bool strongly)
{
    for (size_t i = 0; i < LIST_FIELDS_MAX && lists[i].at; i++) {
        if (list_has(lists[i], etag, strongly)) {
            return true;
        }
    }
    return false;
}

/* Was the file changed after the date in FIELD? OTHERWISE if that is no date. */
static bool changed_since(struct text field, const struct validators *validators, time_t now, bool otherwise)
{
    time_t since;
    if (text_is(field, validators->modified_text)) { /* the usual case: our own words come back */
        return false;
    }
    return http_date_read(field, now, &since) ? validators->modified > since : otherwise;
}

static bool may_go_on(const struct request *request, const struct validators *validators, time_t now)
{
    if (request->if_match[0].at) {
        return lists_have(request->if_match, validators->etag, true);
    }
    return !request->if_unmodified_since.at || !changed_since(request->if_unmodified_since, validators, now, false);
}

static bool client_has_it(const struct request *request, const struct validators *validators, time_t now)
{
    if (request->if_none_match[0].at) {
        return lists_have(request->if_none_match, validators->etag, false);
    }
    return request->if_modified_since.at && !changed_since(request->if_modified_since, validators, now, true);
}

enum precondition conditional_judge(const struct request *request, const struct validators *validators, time_t now)
{
    if (!may_go_on(request, validators, now)) {
        return PRECONDITION_FAILED;
    }
    return client_has_it(request, validators, now) ? PRECONDITION_NOT_MODIFIED : PRECONDITION_HOLDS;
}

bool conditional_range_applies(const struct request *request, const struct validators *validators, time_t now)
{
    struct text field = request->if_range;
    if (!field.at || text_is(field, validators->etag)) {
        return true;
    }
    time_t date;
    return http_date_read(field, now, &date) && date == validators->modified && date < now;
}
