/* config_lexer.h — the words of a configuration file, as libconfuse 3.3 reads them, but strictly.
 *
 * libconfuse silently drops every character it has no use for (an unquoted *:80 becomes :80), expands ${…} from the
 * environment, lets a string run over lines until some later quote ends it, and miscounts lines after comments. Each of
 * these is an error here, or right. */
#ifndef PERDURE_INHERIT_CONFIG_LEXER_H
#define PERDURE_INHERIT_CONFIG_LEXER_H

#include <stdbool.h>
#include <stddef.h>

enum { CONFIG_WORD_BYTES = 8192, CONFIG_WHY_BYTES = 512 };

enum config_token {
    TOKEN_END,
    TOKEN_WORD, /* quoted or not */
    TOKEN_OPEN,
    TOKEN_CLOSE,
    TOKEN_PAREN_OPEN,
    TOKEN_PAREN_CLOSE,
    TOKEN_EQUALS,
    TOKEN_APPEND, /* += */
    TOKEN_COMMA,
    TOKEN_BAD, /* why says what is wrong, line where */
};

struct config_lexer {
    const char *begin, *at, *end; /* begin <= at <= end */
    unsigned line;                /* of the next byte */

    /* The token last read. */
    enum config_token token;
    unsigned token_line;
    bool quoted;
    size_t word_bytes;
    char word[CONFIG_WORD_BYTES]; /* a WORD's meaning, any other's spelling; no control characters */
    char why[CONFIG_WHY_BYTES];
};

/* TEXT is borrowed. */
void config_lexer_begin(struct config_lexer *lexer, const char *text, size_t length);

/* Read the next token into lexer. After END or BAD comes the same again. */
enum config_token config_lexer_next(struct config_lexer *lexer);

#endif
