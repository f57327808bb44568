/* file_head.c — see file_head.h. */
#include "worker/file_head.h"

#include "supervisor/inherit/check.h"
#include "worker/response_head.h"

#include <stdlib.h>

static void add_hex(struct head *head, uint64_t number)
{
    char digits[16];
    size_t at = sizeof digits;
    do {
        digits[--at] = "0123456789abcdef"[number & 15];
        number >>= 4;
    } while (number > 0);
    head_add(head, (struct text){digits + at, sizeof digits - at});
}

/* Where a value begins and ends, until the text has its final place. */
struct span {
    size_t at, end;
};

static struct span add_etag(struct head *head, const struct file_description *file)
{
    head_add(head, TEXT("ETag: "));
    struct span value = {.at = head->used};
    head_add(head, TEXT("\""));
    add_hex(head, file->inode);
    head_add(head, TEXT("-"));
    add_hex(head, file->bytes);
    head_add(head, TEXT("-"));
    add_hex(head, (uint64_t)file->modified.tv_sec * 1000000000u + (uint64_t)file->modified.tv_nsec);
    head_add(head, TEXT("\""));
    value.end = head->used;
    head_add(head, TEXT("\r\n"));
    return value;
}

static struct span add_value(struct head *head, struct text name, struct text value)
{
    head_add(head, name);
    struct span span = {.at = head->used};
    head_add(head, value);
    span.end = head->used;
    head_add(head, TEXT("\r\n"));
    return span;
}

static void add_length(struct head *head, uint64_t bytes)
{
    head_add(head, TEXT("Content-Length: "));
    head_add_number(head, bytes);
    head_add(head, TEXT("\r\n"));
}

static struct text span_text(const char *text, struct span span)
{
    return (struct text){text + span.at, span.end - span.at};
}

/* NULL: no memory. */
static char *copy(const struct head *head)
{
    check(!head->full);
    char *text = malloc(head->used);
    if (text != NULL) {
        memcpy(text, head->at, head->used);
    }
    return text;
}

struct file_head file_head_make(const struct file_description *file, time_t now)
{
    char memory[FILE_HEAD_BYTES_MAX + SITE_HEADERS_BYTES_MAX] SCRATCH, date[HTTP_DATE_BYTES];
    struct head head = head_in(memory, sizeof memory);
    struct file_head made = {.modified = file->modified.tv_sec < now ? file->modified.tv_sec : now};

    struct span etag = add_etag(&head, file);
    if (file->varies) {
        head_add(&head, TEXT("Vary: Accept-Encoding\r\n"));
    }
    head_add(&head, file->site_headers);
    made.cached_bytes = (uint32_t)head.used;
    http_date_write(made.modified, date);
    struct span modified = add_value(&head, TEXT("Last-Modified: "), (struct text){date, sizeof date});
    head_add(&head, TEXT("Accept-Ranges: bytes\r\n"));
    if (file->content_encoding.bytes > 0) {
        add_value(&head, TEXT("Content-Encoding: "), file->content_encoding);
    }
    made.described_bytes = (uint32_t)head.used;
    struct span type = add_value(&head, TEXT("Content-Type: "), file->content_type);
    made.typed_bytes = (uint32_t)head.used;
    add_length(&head, file->bytes);
    made.whole_bytes = (uint32_t)head.used;

    made.text = copy(&head);
    if (made.text == NULL) {
        return (struct file_head){0};
    }
    made.etag = span_text(made.text, etag);
    made.modified_text = span_text(made.text, modified);
    made.content_type = span_text(made.text, type);
    return made;
}

struct file_head file_head_make_page(uint64_t bytes, struct text site_headers)
{
    char memory[FILE_HEAD_BYTES_MAX + SITE_HEADERS_BYTES_MAX];
    struct head head = head_in(memory, sizeof memory);
    head_add(&head, TEXT("Cache-Control: no-cache\r\n"));
    head_add(&head, site_headers);
    struct file_head made = {.cached_bytes = (uint32_t)head.used, .described_bytes = (uint32_t)head.used};
    struct span type = add_value(&head, TEXT("Content-Type: "), TEXT("text/html; charset=utf-8"));
    made.typed_bytes = (uint32_t)head.used;
    add_length(&head, bytes);
    made.whole_bytes = (uint32_t)head.used;
    made.text = copy(&head);
    if (made.text == NULL) {
        return (struct file_head){0};
    }
    made.content_type = span_text(made.text, type);
    return made;
}

void file_head_free(struct file_head *head)
{
    free(head->text);
    *head = (struct file_head){0};
}
