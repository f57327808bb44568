/* response_file.c — the policy: from a request to the kind of answer it gets. Start reading at respond(). */
#include "worker/path.h"
#include "worker/responder.h"
#include "worker/response.h"
#include "worker/response_directory.h"
#include "worker/response_error.h"
#include "worker/response_regular.h"

static int path_status(enum path_verdict verdict)
{
    switch (verdict) {
    case PATH_GOOD:
        return 200;
    case PATH_MALFORMED:
        return 400;
    case PATH_ABSENT:
        return 404;
    case PATH_TOO_LONG:
        return 414;
    }
    return 500;
}

static int kind_status(enum file_kind kind)
{
    switch (kind) {
    case FILE_REGULAR:
    case FILE_DIRECTORY:
        return 200;
    case FILE_ABSENT:
        return 404;
    case FILE_FORBIDDEN:
        return 403;
    case FILE_NO_DESCRIPTORS:
        return 503;
    case FILE_TROUBLE:
        return 500;
    }
    return 500;
}

/* A path without a slash at its end names a file; if it is a directory, the client is sent to the path that ends in
 * one, or the relative links of its index would lead elsewhere. */
static void respond_to_file(struct responder *responder, const struct request *request, size_t site,
                            const struct path *path, struct response *response)
{
    struct text name = {path->name, path->bytes};
    enum file_kind kind = response_regular(responder, request, site, name, response);
    if (kind == FILE_DIRECTORY) {
        response_redirect(responder, request, name, response);
    } else if (kind != FILE_REGULAR) {
        respond_error(responder, request, kind_status(kind), response);
    }
}

static void respond_to_directory(struct responder *responder, const struct request *request, size_t site,
                                 const struct path *path, struct response *response)
{
    struct text name = {path->name, path->bytes};
    enum file_kind kind = response_directory(responder, request, site, name, response);
    if (kind != FILE_DIRECTORY) {
        respond_error(responder, request, kind_status(kind), response);
    }
}

static void respond_to_read(struct responder *responder, const struct request *request, struct response *response)
{
    size_t site = route_find(responder->route, request->host);
    struct path path SCRATCH; /* 4 KiB, of which path_decode() writes what is read */
    enum path_verdict verdict = path_decode(request->path, responder->settings->sites[site].dot_files, &path);
    if (verdict != PATH_GOOD) {
        respond_error(responder, request, path_status(verdict), response);
    } else if (path.is_directory) {
        respond_to_directory(responder, request, site, &path, response);
    } else {
        respond_to_file(responder, request, site, &path, response);
    }
}

/* The answer to OPTIONS is the same for every path, also for "*" (RFC 9110 section 9.3.7). */
static void respond_to_options(struct responder *responder, const struct request *request, struct response *response)
{
    response_bare(responder, request, 204, TEXT("Allow: GET, HEAD, OPTIONS\r\n"), response);
}

void respond(struct responder *responder, const struct request *request, struct response *response)
{
    response->must_close |= !request->keep_alive;
    switch (request->method) {
    case METHOD_GET:
    case METHOD_HEAD:
        respond_to_read(responder, request, response);
        break;
    case METHOD_OPTIONS:
        respond_to_options(responder, request, response);
        break;
    case METHOD_OTHER:
        respond_error(responder, request, 405, response);
        break;
    case METHOD_UNKNOWN:
        respond_error(responder, request, 501, response);
        break;
    }
}
