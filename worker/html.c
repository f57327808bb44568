/* html.c — see html.h. */
#include "worker/html.h"

#include "supervisor/inherit/check.h"
#include "worker/path.h"

#include <stdio.h>
#include <stdlib.h>

void html_free(struct html *html)
{
    free(html->at);
    *html = (struct html){0};
}

/* Room for BYTES more. */
static char *make_room(struct html *html, size_t bytes)
{
    if (html->room - html->used < bytes) {
        html->room = (html->used + bytes) * 2;
        html->at = realloc(html->at, html->room);
        check(html->at);
    }
    return html->at + html->used;
}

void html_add(struct html *html, struct text text)
{
    memcpy(make_room(html, text.bytes), text.at, text.bytes);
    html->used += text.bytes;
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
    html->used += path_encode(name, out, name.bytes * 3);
}

void html_add_number(struct html *html, uint64_t number)
{
    char digits[24];
    int count = snprintf(digits, sizeof digits, "%llu", (unsigned long long)number);
    html_add(html, (struct text){digits, (size_t)count});
}
