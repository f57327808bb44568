/* status.c — see status.h. */
#include "worker/status.h"

#include <stddef.h>

#define ROW(code, reason, words)                                                                                       \
    {                                                                                                                  \
        code, TEXT("HTTP/1.1 " #code " " reason "\r\n"), TEXT(#code " " reason), TEXT(words)                           \
    }

/* The commonest first; the last is what an unknown code becomes. */
static const struct status statuses[] = {
    ROW(200, "OK", ""),
    ROW(304, "Not Modified", ""),
    ROW(206, "Partial Content", ""),
    ROW(404, "Not Found", "There is nothing at this address."),
    ROW(301, "Moved Permanently", "This page has another address."),
    ROW(204, "No Content", ""),
    ROW(400, "Bad Request", "The request could not be understood."),
    ROW(403, "Forbidden", "This may not be read."),
    ROW(405, "Method Not Allowed", "Files can be read here, and nothing else."),
    ROW(408, "Request Timeout", "The request took too long to arrive."),
    ROW(412, "Precondition Failed", "It is no longer what the request expected."),
    ROW(413, "Content Too Large", "The request brought more than is taken here."),
    ROW(414, "URI Too Long", "The address is longer than is taken here."),
    ROW(416, "Range Not Satisfiable", "The file does not reach that far."),
    ROW(417, "Expectation Failed", "What the request expects is not done here."),
    ROW(421, "Misdirected Request", "This server does not answer for that name."),
    ROW(429, "Too Many Requests", "Please wait a moment before asking again."),
    ROW(431, "Request Header Fields Too Large", "The request's head is longer than is taken here."),
    ROW(501, "Not Implemented", "That is not done here."),
    ROW(503, "Service Unavailable", "The server has its hands full. Please try again in a moment."),
    ROW(505, "HTTP Version Not Supported", "Only HTTP/1.0 and HTTP/1.1 are spoken here."),
    ROW(500, "Internal Server Error", "Something went wrong on our side."),
};

const struct status *status_find(int code)
{
    size_t last = sizeof statuses / sizeof statuses[0] - 1, i = 0;
    while (i < last && statuses[i].code != code) {
        i++;
    }
    return &statuses[i];
}
