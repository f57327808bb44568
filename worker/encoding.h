/* encoding.h — which compressed sibling a client would rather have (RFC 9110 section 12.5.3). */
#ifndef PERDURE_WORKER_ENCODING_H
#define PERDURE_WORKER_ENCODING_H

#include "worker/file_cache.h"
#include "worker/text.h"

/* All that may be available. */
enum { VARIANTS_ENCODED = 1 << VARIANT_BR | 1 << VARIANT_ZSTD | 1 << VARIANT_GZIP };

/* The best of the siblings in AVAILABLE (bit 1 << variant) by the weights in ACCEPT, the Accept-Encoding field; among
 * equals br before zstd before gzip. VARIANT_IDENTITY if there is none, if the field is absent, or if it gives identity
 * by name a greater weight. Nothing acceptable at all is also VARIANT_IDENTITY: RFC 9110 leaves a 406 to our taste, and
 * a file that the client may still understand is the better answer. "x-gzip" is gzip (section 8.4.1.3). */
enum file_variant encoding_choose(struct text accept, unsigned available);

/* The name of VARIANT's coding, as in Content-Encoding, and the ending of the sibling's name; both empty for the
 * others. */
struct text encoding_name(enum file_variant variant);
const char *encoding_suffix(enum file_variant variant);

#endif
