/* response_directory.h — answers for a directory: the redirect to its slash, its index, its listing. */
#ifndef PERDURE_WORKER_RESPONSE_DIRECTORY_H
#define PERDURE_WORKER_RESPONSE_DIRECTORY_H

#include "worker/responder.h"

/* 301 to PATH (decoded, normal) with a slash behind it, and the request's query. The Location is an absolute path with
 * one slash in front, so it cannot name another host. 414 if it does not fit. */
void response_redirect(struct responder *responder, const struct request *request, struct text path,
                       struct response *response);

/* Answer for the directory PATH, which was asked for with its slash: the first of the site's index files that is there;
 * else the listing if the site has one, else 403. Returns FILE_DIRECTORY if it answered; else nothing is done, and the
 * kind says why (FILE_ABSENT: no directory of that name; a regular file, too). */
enum file_kind response_directory(struct responder *responder, const struct request *request, size_t site,
                                  struct text path, struct response *response);

#endif
