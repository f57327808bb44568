/* html.h — a page that is being written into memory, with what comes from outside made harmless. */
#ifndef PERDURE_WORKER_HTML_H
#define PERDURE_WORKER_HTML_H

#include "worker/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct html {
    char *at; /* owned; grows */
    size_t used, room;
    bool failed; /* there was no memory for all of it */
};

void html_free(struct html *html);

/* As it is: markup of our own. */
void html_add(struct html *html, struct text text);

/* As text or as the value of a quoted attribute. Control characters become U+FFFD. */
void html_add_escaped(struct html *html, struct text text);

/* As one segment of a relative reference within a quoted attribute: everything but unreserved characters is
 * percent-encoded, so a name can neither end the attribute nor be taken for a scheme, a query or a path. */
void html_add_segment(struct html *html, struct text name);

void html_add_number(struct html *html, uint64_t number);

#endif
