/* html.c — see html.h. */
#include "worker/html.h"

#include "worker/path.h"

#include <stdio.h>
#include <stdlib.h>

void html_free(struct html *html)
{
    free(html->at);
    *html = (struct html){0};
}

/* Room for BYTES more; NULL if there is no memory, and then never again. */
static char *make_room(struct html *html, size_t bytes)
{
    if (!html->failed && html->room - html->used < bytes) {
        size_t room = (html->used + bytes) * 2;
        char *larger = realloc(html->at, room);
        if (larger == NULL) {
            html->failed = true;
            return NULL;
        }
        html->at = larger;
        html->room = room;
    }
    return html->failed ? NULL : html->at + html->used;
}

void html_add(struct html *html, struct text text)
{
    char *out = make_room(html, text.bytes);
    if (out != NULL) {
        memcpy(out, text.at, text.bytes);
        html->used += text.bytes;
    }
}

static struct text escape(unsigned char c)
{
    switch (c) {
    case '&':
        return TEXT("&amp;");
    case '<':
        return TEXT("&lt;");
    case '>':
        return TEXT("&gt;");
    case '"':
        return TEXT("&quot;");
    case '\'':
        return TEXT("&#39;");
    default:
        return c < 0x20 || c == 0x7f ? TEXT("\xEF\xBF\xBD") : TEXT("");
    }
}

void html_add_escaped(struct html *html, struct text text)
{
    for (size_t i = 0; i < text.bytes; i++) {
        struct text escaped = escape((unsigned char)text.at[i]);
        html_add(html, escaped.bytes > 0 ? escaped : (struct text){text.at + i, 1});
    }
}

void html_add_segment(struct html *html, struct text name)
{
    char *out = make_room(html, name.bytes * 3);
    html->used += out != NULL ? path_encode(name, out, name.bytes * 3) : 0;
}

void html_add_number(struct html *html, uint64_t number)
{
    char digits[24];
    int count = snprintf(digits, sizeof digits, "%llu", (unsigned long long)number);
    html_add(html, (struct text){digits, (size_t)count});
}
