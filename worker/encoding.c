/* encoding.c — see encoding.h. */
#include "worker/encoding.h"

#include <stdbool.h>

static const struct {
    struct text name;
    const char *suffix;
} codings[] = {
    [VARIANT_IDENTITY] = {TEXT(""), ""},    [VARIANT_BR] = {TEXT("br"), ".br"}, [VARIANT_ZSTD] = {TEXT("zstd"), ".zst"},
    [VARIANT_GZIP] = {TEXT("gzip"), ".gz"}, [VARIANT_LISTING] = {TEXT(""), ""},
};

struct text encoding_name(enum file_variant variant)
{
    return codings[variant].name;
}

const char *encoding_suffix(enum file_variant variant)
{
    return codings[variant].suffix;
}

/* What Accept-Encoding says: weights in thousandths, -1 where it says nothing. */
struct wishes {
    int weight[VARIANT_GZIP + 1];
    int any; /* of "*" */
};

static struct text trimmed(struct text text)
{
    while (text.bytes > 0 && (text.at[0] == ' ' || text.at[0] == '\t')) {
        text.at++, text.bytes--;
    }
    while (text.bytes > 0 && (text.at[text.bytes - 1] == ' ' || text.at[text.bytes - 1] == '\t')) {
        text.bytes--;
    }
    return text;
}

/* The piece of *rest before the first SEPARATOR, trimmed; *rest moves behind it. */
static struct text piece_take(struct text *rest, char separator)
{
    const char *found = memchr(rest->at, separator, rest->bytes);
    struct text piece = {rest->at, found ? (size_t)(found - rest->at) : rest->bytes};
    size_t gone = piece.bytes + (found ? 1 : 0);
    rest->at += gone;
    rest->bytes -= gone;
    return trimmed(piece);
}

/* "0.5" is 500. What is no qvalue (RFC 9110 section 12.4.2) is 0: we do not guess in favour of it. */
static int weight_read(struct text text)
{
    if (text.bytes == 0 || text.bytes > 5 || (text.at[0] != '0' && text.at[0] != '1') ||
        (text.bytes > 1 && text.at[1] != '.')) {
        return 0;
    }
    int weight = (text.at[0] - '0') * 1000;
    for (size_t i = 2, unit = 100; i < text.bytes; i++, unit /= 10) {
        if (text.at[i] < '0' || text.at[i] > '9') {
            return 0;
        }
        weight += (text.at[i] - '0') * (int)unit;
    }
    return weight <= 1000 ? weight : 0;
}

static int parameters_weight(struct text parameters)
{
    while (parameters.bytes > 0) {
        struct text parameter = piece_take(&parameters, ';');
        if (parameter.bytes >= 2 && (parameter.at[0] | 0x20) == 'q' && parameter.at[1] == '=') {
            return weight_read((struct text){parameter.at + 2, parameter.bytes - 2});
        }
    }
    return 1000;
}

static void wish_note(struct wishes *wishes, struct text coding, int weight)
{
    if (text_is(coding, TEXT("*"))) {
        wishes->any = weight;
    } else if (text_is_nocase(coding, TEXT("identity"))) {
        wishes->weight[VARIANT_IDENTITY] = weight;
    } else if (text_is_nocase(coding, TEXT("x-gzip"))) {
        wishes->weight[VARIANT_GZIP] = weight;
    } else {
        for (enum file_variant v = VARIANT_BR; v <= VARIANT_GZIP; v++) {
            if (text_is_nocase(coding, codings[v].name)) {
                wishes->weight[v] = weight;
            }
        }
    }
}

static struct wishes wishes_read(struct text accept)
{
    struct wishes wishes = {.weight = {-1, -1, -1, -1}, .any = -1};
    while (accept.bytes > 0) {
        struct text element = piece_take(&accept, ',');
        struct text coding = piece_take(&element, ';');
        wish_note(&wishes, coding, parameters_weight(element));
    }
    return wishes;
}

enum file_variant encoding_choose(struct text accept, unsigned available)
{
    if (available == 0 || accept.bytes == 0) {
        return VARIANT_IDENTITY;
    }
    struct wishes wishes = wishes_read(accept);
    enum file_variant best = VARIANT_IDENTITY;
    int best_weight = 0;
    for (enum file_variant v = VARIANT_BR; v <= VARIANT_GZIP; v++) {
        int weight = wishes.weight[v] >= 0 ? wishes.weight[v] : wishes.any;
        if ((available & 1u << v) && weight > best_weight) {
            best = v;
            best_weight = weight;
        }
    }
    return wishes.weight[VARIANT_IDENTITY] > best_weight ? VARIANT_IDENTITY : best;
}
