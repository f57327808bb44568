/* response_head.c — see response_head.h. */
#include "worker/response_head.h"

#include "supervisor/inherit/check.h"
#include "supervisor/inherit/clock.h"
#include "worker/status.h"

struct head head_in(char *memory, size_t bytes)
{
    return (struct head){.at = memory, .bytes = bytes};
}

void head_add(struct head *head, struct text text)
{
    if (text.bytes > head->bytes - head->used) {
        head->full = true;
    }
    if (head->full || text.bytes == 0) {
        return;
    }
    memcpy(head->at + head->used, text.at, text.bytes);
    head->used += text.bytes;
}

void head_add_number(struct head *head, uint64_t number)
{
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    head_add(head, (struct text){digits + at, sizeof digits - at});
}

unsigned keep_alive_seconds(uint64_t idle_timeout_ms)
{
    return idle_timeout_ms < 2000 ? 0 : (unsigned)(idle_timeout_ms / 1000 - 1);
}

static void stamp_write(struct head_stamp *stamp, time_t now)
{
    struct head head = head_in(stamp->text, sizeof stamp->text);
    char date[HTTP_DATE_BYTES];
    http_date_write(now, date);
    head_add(&head, TEXT("Server: perdure\r\nDate: "));
    head_add(&head, (struct text){date, sizeof date});
    head_add(&head, TEXT("\r\n"));
    stamp->bytes = head.used;
    if (stamp->keep_alive_s > 0) {
        head_add(&head, TEXT("Keep-Alive: timeout="));
        head_add_number(&head, stamp->keep_alive_s);
        head_add(&head, TEXT("\r\n"));
    }
    check(!head.full);
    stamp->kept_bytes = head.used;
    stamp->second = now;
}

static struct text stamp_now(struct head_stamp *stamp, bool kept)
{
    time_t now = clock_wall_seconds();
    if (now != stamp->second || stamp->bytes == 0) {
        stamp_write(stamp, now);
    }
    return (struct text){stamp->text, kept ? stamp->kept_bytes : stamp->bytes};
}

struct head response_head_begin(struct response *response, struct head_stamp *stamp, int status)
{
    struct head head = head_in(response->out + response->out_used, response->out_bytes - response->out_used);
    response->status = status;
    head_add(&head, status_find(status)->line);
    head_add(&head, stamp_now(stamp, !response->must_close));
    return head;
}

void response_head_end(struct head *head, const struct request *request, const struct response *response)
{
    if (response->must_close) {
        head_add(head, TEXT("Connection: close\r\n"));
    } else if (request && request->minor_version == 0) {
        head_add(head, TEXT("Connection: keep-alive\r\n"));
    }
    head_add(head, TEXT("\r\n"));
}

void response_head_take(const struct head *head, struct response *response)
{
    check(!head->full);
    response->parts[0] = (struct part){
        .memory_at = (uint32_t)response->out_used,
        .memory_bytes = (uint32_t)head->used,
    };
    response->parts_count = 1;
    response->out_used += head->used;
}
