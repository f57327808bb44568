/* response_error.c — see response_error.h. */
#include "worker/response_error.h"

#include "supervisor/inherit/check.h"
#include "worker/responder.h"
#include "worker/response_head.h"
#include "worker/status.h"

/* "color-scheme" alone gives light and dark: the browser's own colours. */
static const struct text page_front = TEXT("<!DOCTYPE html>\n"
                                           "<html lang=\"en\">\n"
                                           "<meta charset=\"utf-8\">\n"
                                           "<meta name=\"viewport\" content=\"width=device-width\">\n"
                                           "<title>");
static const struct text page_style =
    TEXT("</title>\n"
         "<style>\n"
         ":root{color-scheme:light dark}\n"
         "body{font:1.1rem/1.6 system-ui,sans-serif;max-width:32rem;margin:22vh auto 0;padding:0 1.5rem}\n"
         "h1{font-size:2rem;font-weight:600;line-height:1.2;margin:0}\n"
         "p{margin:.6rem 0;opacity:.75}\n"
         "</style>\n"
         "<h1>");
static const struct text page_middle = TEXT("</h1>\n<p>");
static const struct text page_end = TEXT("</p>\n");

static size_t page_bytes(const struct status *status)
{
    return page_front.bytes + 2 * status->title.bytes + page_style.bytes + page_middle.bytes + status->words.bytes +
           page_end.bytes;
}

static void page_add(struct head *head, const struct status *status)
{
    head_add(head, page_front);
    head_add(head, status->title);
    head_add(head, page_style);
    head_add(head, status->title);
    head_add(head, page_middle);
    head_add(head, status->words);
    head_add(head, page_end);
}

/* What goes with a status wherever it comes from. */
static struct text status_headers(int status)
{
    switch (status) {
    case 405:
        return TEXT("Allow: GET, HEAD, OPTIONS\r\n");
    case 429:
    case 503:
        return TEXT("Retry-After: 1\r\n");
    default:
        return TEXT("");
    }
}

static void response_clear(struct response *response)
{
    response->file_fd = -1;
    response->file_memory = NULL;
    response->body_bytes = 0;
}

void response_bare(struct responder *responder, const struct request *request, int status, struct text extra,
                   struct response *response)
{
    response_clear(response);
    struct head head = response_head_begin(response, &responder->stamp, status);
    head_add(&head, extra);
    response_head_end(&head, request, response);
    response_head_take(&head, response);
}

void response_page(struct responder *responder, const struct request *request, int status, struct text extra,
                   struct response *response)
{
    const struct status *row = status_find(status);
    check(row->words.bytes > 0); /* a 204 or 304 has no page */
    response_clear(response);
    struct head head = response_head_begin(response, &responder->stamp, row->code);
    head_add(&head, status_headers(row->code));
    head_add(&head, extra);
    head_add(&head, TEXT("Content-Type: text/html; charset=utf-8\r\nContent-Length: "));
    head_add_number(&head, page_bytes(row));
    head_add(&head, TEXT("\r\n"));
    response_head_end(&head, request, response);
    if (!request || request->method != METHOD_HEAD) {
        page_add(&head, row);
        response->body_bytes = page_bytes(row);
    }
    response_head_take(&head, response);
}

void respond_error(struct responder *responder, const struct request *request, int status, struct response *response)
{
    if (!request) {
        response->must_close = true; /* where the next request begins, nobody knows */
    }
    response_page(responder, request, status, TEXT(""), response);
}
