/* ledger.c — fuzzes the adoption of a ledger: whatever was scribbled over it, what is mended stays within its bounds,
 * needs no second mending, names descriptors of the right kind alone, and can be told as status.
 *
 * Input: changes to a ledger as it is in life, one after another; see `struct change`. */
#include "tests/fuzz/target.h"
#include "tests/unit/supervisor/ledger_life.h"

#include "supervisor/inherit/log.h"
#include "supervisor/ledger_fds.h"

#include <fcntl.h>
#include <sys/un.h>

/* Where a change goes. Most of a ledger is paths and empty places: the rest is worth being aimed at. */
enum area {
    AREA_ANY,
    AREA_HEAD, /* all before the listeners */
    AREA_LISTENERS,
    AREA_NEXT_LISTENERS,
    AREA_WORKERS, /* the first ones */
    AREA_BEHIND,  /* gifts, what was asked, results, paths */
    AREA_STORE,
    AREAS,
};
static const struct {
    size_t at, bytes;
} areas[AREAS] = {
    [AREA_ANY] = {0, sizeof(struct ledger)},
    [AREA_HEAD] = {0, offsetof(struct ledger, listeners)},
    [AREA_LISTENERS] = {offsetof(struct ledger, listeners), offsetof(struct listeners, all[3])},
    [AREA_NEXT_LISTENERS] = {offsetof(struct ledger, next_listeners), offsetof(struct listeners, all[3])},
    [AREA_WORKERS] = {offsetof(struct ledger, workers), offsetof(struct workers, all[SLOTS + 1])},
    [AREA_BEHIND] = {offsetof(struct ledger, gifts),
                     offsetof(struct ledger, fd_store) - offsetof(struct ledger, gifts)},
    [AREA_STORE] = {offsetof(struct ledger, fd_store), offsetof(struct fd_store_list, all[4])},
};

/* In the input: a byte for area and repeat, three for AT, one for BYTES, then these. */
struct change {
    size_t at;
    size_t bytes;
    const uint8_t *value;
    size_t repeat; /* how often the value is written, one behind the other: texts without an end */
};

static struct ledger *whole; /* as it was before any change */
static int ledger_fd;

static int control_door(void)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    check(bind(fd, (struct sockaddr *)&name, sizeof name.sun_family) == 0 && listen(fd, 4) == 0);
    return fd;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    setenv("CMOCKA_TEST_ABORT", "1", 1);
    struct ledger *ledger = make_ledger(&ledger_fd);
    ledger->control.listener_fd = control_door();
    for (uint32_t i = 0; i < 2; i++) {
        int other;
        ledger->control.clients[i] =
            (struct control_kept_client){.fd = channel(&other), .verb = CONTROL_RELOAD, .client = 7 + i};
        ledger->waiters[i] = (struct ledger_waiter){.client = 7 + i, .verb = CONTROL_RELOAD};
    }
    ledger->waiters_count = 2;
    whole = malloc(sizeof *whole);
    check(whole != NULL);
    *whole = *ledger;
    munmap(ledger, sizeof *ledger);
    return 0;
}

static void change_take(struct input *input, struct change *change)
{
    uint8_t how = (uint8_t)input_number(input, 1);
    unsigned area = how % AREAS;
    change->at = areas[area].at + (size_t)input_number(input, 3) % areas[area].bytes;
    change->bytes = (size_t)input_number(input, 1) % 16 + 1;
    change->value = input_take(input, &change->bytes);
    change->repeat = how / AREAS == 0 ? 1 : (size_t)1 << (how / AREAS % 14);
}

static void apply(struct ledger *ledger, const struct change *change)
{
    size_t at = change->at;
    for (size_t i = 0; i < change->repeat && change->bytes <= sizeof *ledger - at; i++, at += change->bytes) {
        memcpy((char *)ledger + at, change->value, change->bytes);
    }
}

/* What is left is open: nothing that the former supervisor had was closed by looking at it. */
static void check_open(int32_t *fd, void *context)
{
    (void)context;
    check(fcntl(*fd, F_GETFD) >= 0);
}

/* The control socket with those who wait there is adopted with copies: what is not right is closed there. */
static void adopt_control(const struct ledger *ledger)
{
    struct control_kept kept = ledger->control;
    struct control_request request;
    kept.listener_fd = fcntl(kept.listener_fd, F_DUPFD_CLOEXEC, 0);
    for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
        kept.clients[i].fd = kept.clients[i].fd >= 0 ? fcntl(kept.clients[i].fd, F_DUPFD_CLOEXEC, 0) : -1;
    }
    struct control *control = control_adopt("/nonexistent", &kept);
    check((control == NULL) == (kept.listener_fd < 0));
    if (control == NULL) {
        for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
            close(kept.clients[i].fd);
        }
        return;
    }
    for (uint32_t i = 0; i < ledger->waiters_count; i++) {
        control_hear_again(control, ledger->waiters[i].client);
        control_owes(control, ledger->waiters[i].client);
    }
    check(!control_next(control, &request)); /* nobody has asked anything */
    control_close(control);
}

/* For people and as JSON, in which no text of the ledger may stand unescaped. */
static void tell(const struct ledger *ledger)
{
    static const struct ports ports;
    for (int json = 0; json < 2; json++) {
        char *text = status_render(ledger, &ports, clock_now(), json);
        check(text != NULL);
        for (const char *at = text; json && *at != '\0'; at++) {
            check((unsigned char)*at >= ' ' || *at == '\n');
        }
        free(text);
    }
}

/* As takeover.c has it: one that is no listener is dropped. */
static void drop_listeners(struct listeners *listeners)
{
    for (uint32_t i = 0; i < listeners->count; i++) {
        if (!listener_is_sound(&listeners->all[i])) {
            listeners->all[i].fd = -1;
        }
    }
}

static void adopt(struct ledger *ledger)
{
    mend_ledger(ledger);
    check_bounds(ledger);
    ledger_check_fds(ledger, &ledger_fd, 1);
    mend_ledger(ledger);
    check_bounds(ledger);
    check(mend_ledger(ledger) == 0);
    read_all(ledger);
    tell(ledger);
    drop_listeners(&ledger->listeners);
    drop_listeners(&ledger->next_listeners);
    ledger_each_fd(ledger, check_open, NULL);
    adopt_control(ledger);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    struct input input = {bytes, count};
    struct ledger *ledger = mmap(NULL, sizeof *ledger, PROT_READ | PROT_WRITE, MAP_SHARED, ledger_fd, 0);
    check(ledger != MAP_FAILED);
    *ledger = *whole;
    while (input.left > 0) {
        struct change change;
        change_take(&input, &change);
        apply(ledger, &change);
    }
    struct ledger *adopted = ledger_adopt(ledger_fd);
    munmap(ledger, sizeof *ledger);
    if (adopted != NULL) {
        adopt(adopted);
        munmap(adopted, sizeof *adopted);
    }
    return 0;
}
