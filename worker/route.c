/* route.c — see route.h. Names are sorted by length, then letters, so most comparisons are of two numbers. */
#include "worker/route.h"

#include "supervisor/inherit/check.h"

#include <stdlib.h>

struct route_name {
    struct text name;
    size_t site;
};

struct route {
    size_t default_site;
    size_t count;
    struct route_name names[];
};

static int name_compare(struct text a, struct text b)
{
    if (a.bytes != b.bytes) {
        return a.bytes < b.bytes ? -1 : 1;
    }
    return strncasecmp(a.at, b.at, a.bytes);
}

/* The same name twice: the site that was written first goes first, and wins. */
static int route_name_compare(const void *left, const void *right)
{
    const struct route_name *a = left, *b = right;
    int order = name_compare(a->name, b->name);
    return order != 0 ? order : (a->site > b->site) - (a->site < b->site);
}

static size_t names_count(const struct settings *settings)
{
    size_t count = 0;
    for (size_t i = 0; i < settings->sites_count; i++) {
        count += settings->sites[i].names_count;
    }
    return count;
}

struct route *route_make(const struct settings *settings)
{
    struct route *route = calloc(1, sizeof *route + names_count(settings) * sizeof route->names[0]);
    if (route == NULL) {
        return NULL;
    }
    bool default_known = false;
    for (size_t i = 0; i < settings->sites_count; i++) {
        const struct site_setting *site = &settings->sites[i];
        for (size_t k = 0; k < site->names_count; k++) {
            struct text name = {site->names[k], strlen(site->names[k])};
            if (!text_is(name, TEXT("*"))) {
                route->names[route->count++] = (struct route_name){name, i};
            } else if (!default_known) {
                default_known = true;
                route->default_site = i;
            }
        }
    }
    qsort(route->names, route->count, sizeof route->names[0], route_name_compare);
    return route;
}

void route_free(struct route *route)
{
    free(route);
}

size_t route_find(const struct route *route, struct text host)
{
    if (host.bytes > 1 && host.at[host.bytes - 1] == '.') {
        host.bytes--;
    }
    size_t low = 0, high = host.bytes > 0 ? route->count : 0;
    while (low < high) { /* the first name that is not before host */
        size_t middle = low + (high - low) / 2;
        if (name_compare(route->names[middle].name, host) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    bool found = host.bytes > 0 && low < route->count && text_is_nocase(route->names[low].name, host);
    return found ? route->names[low].site : route->default_site;
}
