/* wheel.c — see wheel.h. A client due later than the ring is long stays in its slot for further turns. */
#include "tests/judge/wheel.h"

#include "tests/judge/client.h"

#include <stddef.h>

enum { SLOTS = 4096 };
static struct client *slots[SLOTS];
static uint64_t turned_ms; /* all slots up to this millisecond were looked at */

static uint64_t ms(uint64_t ns)
{
    return ns / 1000000;
}

void wheel_begin(uint64_t now_ns)
{
    turned_ms = ms(now_ns);
}

void wheel_cancel(struct client *client)
{
    struct wheel_place *place = &client->place;
    if (place->slot == NULL) {
        return;
    }
    if (place->before != NULL) {
        place->before->place.next = place->next;
    } else {
        *place->slot = place->next;
    }
    if (place->next != NULL) {
        place->next->place.before = place->before;
    }
    *place = (struct wheel_place){0};
}

void wheel_set(struct client *client, uint64_t at_ns)
{
    wheel_cancel(client);
    struct wheel_place *place = &client->place;
    uint64_t due_ms = ms(at_ns) + 1;
    place->due_ms = due_ms > turned_ms ? due_ms : turned_ms + 1;
    place->slot = &slots[place->due_ms % SLOTS];
    place->next = *place->slot;
    if (place->next != NULL) {
        place->next->place.before = client;
    }
    *place->slot = client;
}

void wheel_turn(uint64_t now_ns, void (*wake)(struct client *client))
{
    while (turned_ms < ms(now_ns)) {
        turned_ms++;
        struct client *client = slots[turned_ms % SLOTS];
        while (client != NULL) {
            /* wake() sets nothing in this very slot: what it sets is due later than turned_ms, or a whole turn. */
            struct client *next = client->place.next;
            if (client->place.due_ms <= turned_ms) {
                wheel_cancel(client);
                wake(client);
            }
            client = next;
        }
    }
}
