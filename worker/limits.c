/* limits.c — see limits.h, tally.h. */
#include "worker/limits.h"

#include "supervisor/inherit/log.h"

void limits_open(struct worker *w)
{
    if (w->settings->connections_per_address == 0 && w->settings->requests_per_address == 0) {
        return;
    }
    if (!tally_open(&w->tally, w->birth.tally_fd, w->birth.slot)) {
        log_warn("connections and requests per address cannot be counted, so they are not limited");
    }
}

enum admission limits_admission(struct worker *w, const struct client_address *client)
{
    uint64_t limit = w->settings->connections_per_address;
    if (limit == 0 || w->tally.head == NULL || client_address_is_none(client)) {
        return ADMIT;
    }
    uint64_t count = tally_connections(&w->tally, client);
    if (count < limit) {
        return ADMIT;
    }
    w->cell.header->counters.limited_connections++;
    return w->settings->answer_429 && count < 2 * limit ? ADMIT_TO_REFUSE : ADMIT_NOT;
}

void limits_count(struct worker *w, struct connection *c)
{
    bool is_known = (c->at.flags & SLOT_HEADER_DUE) == 0 && !client_address_is_none(&c->slot->client);
    if (w->tally.head != NULL && is_known) {
        c->at.flags |= SLOT_COUNTED;
        tally_add_connection(&w->tally, &c->slot->client);
    }
}

void limits_uncount(struct worker *w, struct connection *c)
{
    if (w->tally.head != NULL && (c->at.flags & SLOT_COUNTED) != 0) {
        tally_drop_connection(&w->tally, &c->slot->client);
    }
    c->at.flags &= (uint8_t)~SLOT_COUNTED;
}

void limits_recount(struct worker *w, struct connection *c)
{
    c->at.flags &= (uint8_t)~SLOT_COUNTED; /* that was in a row that is empty now */
    limits_count(w, c);
}

bool limits_allow_request(struct worker *w, const struct connection *c)
{
    uint32_t limit = w->settings->requests_per_address;
    return limit == 0 || w->tally.head == NULL || client_address_is_none(&c->slot->client) ||
           tally_request(&w->tally, &c->slot->client, limit, w->now);
}
