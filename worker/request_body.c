/* request_body.c — finds where a request's body ends, and forgets what is in it (RFC 9112 sections 6 and 7).
 * Its state may come from a cell somebody else wrote: whatever is in it, every call ends, and reads only its bytes. */
#include "worker/request.h"
#include "worker/request_check.h"

enum {
    SIZE_DIGITS_MOST = 16, /* of a chunk-size; leading zeros count */
    EXTENSION_MOST = 256,  /* bytes of a chunk's extensions */
    TRAILERS_MOST = 8192,  /* bytes of the trailer section */
};

/* What the chunked decoder is waiting for. */
enum phase {
    PHASE_SIZE,          /* the first or a further digit of the chunk-size, or what may follow it */
    PHASE_SIZE_SPACE,    /* the ';' behind white space (BWS) */
    PHASE_EXTENSION,     /* the CR that ends the chunk-size line */
    PHASE_SIZE_LF,       /* its LF */
    PHASE_DATA,          /* the rest of the chunk's data */
    PHASE_DATA_CR,       /* the CR behind the data */
    PHASE_DATA_LF,       /* its LF */
    PHASE_TRAILER,       /* a trailer field's first byte, or the last line's CR */
    PHASE_TRAILER_NAME,  /* the ':' */
    PHASE_TRAILER_VALUE, /* the CR that ends this field */
    PHASE_TRAILER_LF,    /* its LF */
    PHASE_LAST_LF,       /* the LF that ends the body */
    PHASE_OVER,          /* nothing */
};

/* The only place that assigns state->phase. */
static enum body_verdict phase_enter(struct body_state *state, enum phase next)
{
    state->phase = (uint8_t)next;
    return next == PHASE_OVER ? BODY_WHOLE : BODY_PARTIAL;
}

static enum body_verdict phase_enter_if(struct body_state *state, bool expected, enum phase next)
{
    return expected ? phase_enter(state, next) : BODY_MALFORMED;
}

static int hex_value(char byte)
{
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    if (byte >= 'a' && byte <= 'f')
        return byte - 'a' + 10;
    if (byte >= 'A' && byte <= 'F')
        return byte - 'A' + 10;
    return -1;
}

static enum body_verdict size_read(struct body_state *state, char byte)
{
    int digit = hex_value(byte);
    if (digit >= 0) {
        if (state->line >= SIZE_DIGITS_MOST || state->left >> 60 != 0)
            return BODY_MALFORMED;
        state->left = state->left << 4 | (unsigned)digit;
        state->line++;
        return BODY_PARTIAL;
    }
    if (state->line == 0)
        return BODY_MALFORMED;
    state->line = 0; /* counts the extensions from here on */
    if (byte == ' ' || byte == '\t')
        return phase_enter(state, PHASE_SIZE_SPACE);
    if (byte == ';')
        return phase_enter(state, PHASE_EXTENSION);
    return phase_enter_if(state, byte == '\r', PHASE_SIZE_LF);
}

static enum body_verdict extension_read(struct body_state *state, char byte)
{
    if (byte == '\r')
        return phase_enter(state, PHASE_SIZE_LF);
    if (state->line >= EXTENSION_MOST || !char_is(byte, CHAR_VALUE))
        return BODY_MALFORMED;
    state->line++;
    if (state->phase == PHASE_EXTENSION || byte == ' ' || byte == '\t')
        return BODY_PARTIAL;
    return phase_enter_if(state, byte == ';', PHASE_EXTENSION);
}

static bool data_is_too_large(const struct body_state *state, uint64_t limit)
{
    return state->total > limit || state->left > limit - state->total;
}

static enum body_verdict size_end(struct body_state *state, char byte, uint64_t limit)
{
    if (byte != '\n')
        return BODY_MALFORMED;
    state->line = 0;
    if (state->left == 0)
        return phase_enter(state, PHASE_TRAILER);
    return data_is_too_large(state, limit) ? BODY_TOO_LARGE : phase_enter(state, PHASE_DATA);
}

static enum body_verdict trailer_read(struct body_state *state, char byte)
{
    if (state->line >= TRAILERS_MOST)
        return BODY_MALFORMED;
    state->line++;
    if (state->phase == PHASE_TRAILER) {
        if (byte == '\r')
            return phase_enter(state, PHASE_LAST_LF);
        return phase_enter_if(state, char_is(byte, CHAR_TOKEN), PHASE_TRAILER_NAME);
    }
    if (state->phase == PHASE_TRAILER_NAME) {
        if (byte == ':')
            return phase_enter(state, PHASE_TRAILER_VALUE);
        return char_is(byte, CHAR_TOKEN) ? BODY_PARTIAL : BODY_MALFORMED;
    }
    if (byte == '\r')
        return phase_enter(state, PHASE_TRAILER_LF);
    return char_is(byte, CHAR_VALUE) ? BODY_PARTIAL : BODY_MALFORMED;
}

/* One byte that is not data. */
static enum body_verdict frame_read(struct body_state *state, char byte, uint64_t limit)
{
    switch ((enum phase)state->phase) {
    case PHASE_SIZE:
        return size_read(state, byte);
    case PHASE_SIZE_SPACE:
        if (byte == '\r')
            return BODY_MALFORMED; /* white space belongs before a ';' only */
        return extension_read(state, byte);
    case PHASE_EXTENSION:
        return extension_read(state, byte);
    case PHASE_SIZE_LF:
        return size_end(state, byte, limit);
    case PHASE_DATA_CR:
        return phase_enter_if(state, byte == '\r', PHASE_DATA_LF);
    case PHASE_DATA_LF:
        state->line = 0;
        state->left = 0;
        return phase_enter_if(state, byte == '\n', PHASE_SIZE);
    case PHASE_TRAILER:
    case PHASE_TRAILER_NAME:
    case PHASE_TRAILER_VALUE:
        return trailer_read(state, byte);
    case PHASE_TRAILER_LF:
        return phase_enter_if(state, byte == '\n', PHASE_TRAILER);
    case PHASE_LAST_LF:
        return phase_enter_if(state, byte == '\n', PHASE_OVER);
    case PHASE_DATA:
    case PHASE_OVER:
        break;
    }
    return BODY_MALFORMED; /* no such phase here: a state somebody spoiled */
}

/* Count up to COUNT bytes of data, of which no more than the limit are left. */
static size_t data_read(struct body_state *state, size_t count)
{
    size_t bytes = state->left < count ? (size_t)state->left : count;
    state->left -= bytes;
    state->total += bytes;
    return bytes;
}

static enum body_verdict length_read(struct body_state *state, size_t count, uint64_t limit, size_t *used)
{
    if (data_is_too_large(state, limit))
        return BODY_TOO_LARGE;
    *used = data_read(state, count);
    return state->left == 0 ? BODY_WHOLE : BODY_PARTIAL;
}

static enum body_verdict chunked_read(struct body_state *state, const char *bytes, size_t count, uint64_t limit,
                                      size_t *used)
{
    enum body_verdict verdict = state->phase == PHASE_OVER ? BODY_WHOLE : BODY_PARTIAL;
    while (verdict == BODY_PARTIAL && *used < count) {
        if (state->phase != PHASE_DATA) {
            verdict = frame_read(state, bytes[*used], limit);
            *used += verdict == BODY_PARTIAL || verdict == BODY_WHOLE;
            continue;
        }
        if (data_is_too_large(state, limit))
            return BODY_TOO_LARGE;
        *used += data_read(state, count - *used);
        if (state->left == 0)
            verdict = phase_enter(state, PHASE_DATA_CR);
    }
    return verdict;
}

enum body_verdict body_read(struct body_state *state, const char *bytes, size_t count, uint64_t limit, size_t *used)
{
    *used = 0;
    switch ((enum body_kind)state->kind) {
    case BODY_NONE:
        return BODY_WHOLE;
    case BODY_LENGTH:
        return length_read(state, count, limit, used);
    case BODY_CHUNKED:
        return chunked_read(state, bytes, count, limit, used);
    }
    return BODY_MALFORMED;
}
