/* config_lexer.c — see config_lexer.h. Compare lexer.l of libconfuse 3.3. */
#include "supervisor/inherit/config_lexer.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* What ends an unquoted word: libconfuse's set. '+' and '*' mean nothing by themselves and would be dropped. */
static const char word_ends[] = " \t\r\n#\"'={}()+,*";
static const char signs[] = "#\"'={}(),";

static enum config_token refuse(struct config_lexer *lexer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static enum config_token refuse(struct config_lexer *lexer, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(lexer->why, sizeof lexer->why, format, arguments);
    va_end(arguments);
    lexer->at = lexer->end;
    return TOKEN_BAD;
}

void config_lexer_begin(struct config_lexer *lexer, const char *text, size_t length)
{
    static const char byte_order_mark[] = "\xef\xbb\xbf";
    memset(lexer, 0, offsetof(struct config_lexer, word)); /* not two pages more, of which hardly any is used */
    lexer->word[0] = lexer->why[0] = '\0';
    lexer->begin = lexer->at = text;
    lexer->end = text + length;
    lexer->line = 1;
    if (length >= 3 && memcmp(text, byte_order_mark, 3) == 0) {
        lexer->at += 3;
    }
}

/* The byte OFFSET bytes on, '\0' behind the end. */
static char peek(const struct config_lexer *lexer, size_t offset)
{
    return (size_t)(lexer->end - lexer->at) > offset ? lexer->at[offset] : '\0';
}

static bool put(struct config_lexer *lexer, char byte)
{
    if (lexer->word_bytes + 1 >= sizeof lexer->word) {
        return false;
    }
    lexer->word[lexer->word_bytes++] = byte;
    lexer->word[lexer->word_bytes] = '\0';
    return true;
}

static void skip_line(struct config_lexer *lexer)
{
    while (lexer->at < lexer->end && *lexer->at != '\n') {
        lexer->at++;
    }
}

/* Over blanks, line ends and comments. Returns false if a comment does not end. */
static bool skip_space(struct config_lexer *lexer)
{
    while (lexer->at < lexer->end) {
        char byte = *lexer->at;
        if (byte == '\n') {
            lexer->line++;
            lexer->at++;
        } else if (byte == ' ' || byte == '\t' || (byte == '\r' && peek(lexer, 1) == '\n')) {
            lexer->at++;
        } else if (byte == '#' || (byte == '/' && peek(lexer, 1) == '/')) {
            skip_line(lexer);
        } else if (byte == '/' && peek(lexer, 1) == '*') {
            const char *end = memmem(lexer->at + 2, (size_t)(lexer->end - lexer->at - 2), "*/", 2);
            if (end == NULL) {
                return false;
            }
            for (; lexer->at < end + 2; lexer->at++) {
                lexer->line += *lexer->at == '\n';
            }
        } else {
            break;
        }
    }
    return true;
}

static enum config_token refuse_dollar(struct config_lexer *lexer)
{
    return refuse(lexer, "${...}: environment variables are not read, because supervisor and workers may see different "
                         "ones; write the value itself, or \"\\${\" for these characters");
}

static bool is_control(char c)
{
    return (unsigned char)c < 0x20 || c == 0x7f;
}

/* Neither a blank nor a control character: a message can show it. */
static bool is_visible(char c)
{
    return c != ' ' && !is_control(c);
}

/* A character that cannot stand where it stands. */
static enum config_token refuse_byte(struct config_lexer *lexer, bool quoted)
{
    unsigned char byte = (unsigned char)*lexer->at;
    if (is_control(*lexer->at)) {
        return refuse(lexer, "a control character (\\x%02x)%s; take it out", byte, quoted ? " in a string" : "");
    }
    /* Show all that was meant as one value. */
    const char *word = lexer->at, *end = lexer->at + 1;
    while (word > lexer->begin && is_visible(word[-1]) && strchr(signs, word[-1]) == NULL) {
        word--;
    }
    while (end < lexer->end && is_visible(*end) && strchr(signs, *end) == NULL) {
        end++;
    }
    return refuse(lexer, "'%c' outside of quotes would be dropped; put the value in quotes: \"%.*s\"", byte,
                  end - word < 200 ? (int)(end - word) : 200, word);
}

/* The backslash at lexer->at and what it escapes. Returns false if the escape is not known. */
static bool put_escaped(struct config_lexer *lexer, char quote)
{
    char next = peek(lexer, 1);
    if (next == '\n') { /* the string goes on in the next line */
        lexer->line++;
    } else if (next == '\\' || next == quote || (quote == '"' && (next == '$' || next == '\''))) {
        put(lexer, next);
    } else if (quote == '\'' && !is_control(next)) { /* as in libconfuse: nothing else is an escape */
        put(lexer, '\\');
        put(lexer, next);
    } else {
        return false;
    }
    lexer->at += 2;
    return true;
}

static enum config_token read_string(struct config_lexer *lexer, char quote)
{
    lexer->at++;
    lexer->quoted = true;
    while (lexer->word_bytes + 3 < sizeof lexer->word) {
        unsigned char byte = (unsigned char)peek(lexer, 0);
        if (lexer->at == lexer->end || byte == '\n' || (byte == '\r' && peek(lexer, 1) == '\n')) {
            return refuse(lexer, "the string \"%.40s\" has no end on this line; close it with %c", lexer->word, quote);
        }
        if (byte == (unsigned char)quote) {
            lexer->at++;
            return TOKEN_WORD;
        }
        if (byte == '\\') {
            if (!put_escaped(lexer, quote)) {
                return refuse(lexer, "the backslash in \"%.40s\\%.1s means nothing; write \\\\ for a backslash",
                              lexer->word, is_visible(peek(lexer, 1)) ? lexer->at + 1 : "");
            }
            continue;
        }
        if (byte == '$' && peek(lexer, 1) == '{' && quote == '"') {
            return refuse_dollar(lexer);
        }
        if (is_control((char)byte)) {
            return refuse_byte(lexer, true);
        }
        put(lexer, (char)byte);
        lexer->at++;
    }
    return refuse(lexer, "a word of more than %d bytes; write less", CONFIG_WORD_BYTES - 4);
}

static enum config_token read_word(struct config_lexer *lexer)
{
    while (lexer->at < lexer->end && strchr(word_ends, *lexer->at) == NULL) {
        unsigned char byte = (unsigned char)*lexer->at;
        if (byte == '$' && peek(lexer, 1) == '{') {
            return refuse_dollar(lexer);
        }
        if (is_control((char)byte)) {
            return refuse_byte(lexer, false);
        }
        if (!put(lexer, (char)byte)) {
            return refuse(lexer, "a word of more than %d bytes; write less", CONFIG_WORD_BYTES - 1);
        }
        lexer->at++;
    }
    return TOKEN_WORD;
}

static enum config_token read_sign(struct config_lexer *lexer, enum config_token token, size_t bytes)
{
    for (; bytes > 0; bytes--) {
        put(lexer, *lexer->at++);
    }
    return token;
}

static enum config_token read_token(struct config_lexer *lexer)
{
    switch (peek(lexer, 0)) {
    case '{':
        return read_sign(lexer, TOKEN_OPEN, 1);
    case '}':
        return read_sign(lexer, TOKEN_CLOSE, 1);
    case '(':
        return read_sign(lexer, TOKEN_PAREN_OPEN, 1);
    case ')':
        return read_sign(lexer, TOKEN_PAREN_CLOSE, 1);
    case '=':
        return read_sign(lexer, TOKEN_EQUALS, 1);
    case ',':
        return read_sign(lexer, TOKEN_COMMA, 1);
    case '+':
        return peek(lexer, 1) == '=' ? read_sign(lexer, TOKEN_APPEND, 2) : refuse_byte(lexer, false);
    case '"':
    case '\'':
        return read_string(lexer, *lexer->at);
    case '*':
    case '\r':
    case '\0':
        return refuse_byte(lexer, false);
    default:
        return read_word(lexer);
    }
}

enum config_token config_lexer_next(struct config_lexer *lexer)
{
    if (lexer->token == TOKEN_BAD) {
        return TOKEN_BAD;
    }
    bool closed = skip_space(lexer);
    lexer->word_bytes = 0;
    lexer->word[0] = '\0';
    lexer->quoted = false;
    lexer->token_line = lexer->line;
    if (!closed) {
        lexer->token = refuse(lexer, "the comment that begins here has no end; close it with */");
    } else if (lexer->at == lexer->end) {
        lexer->token = TOKEN_END;
    } else {
        lexer->token = read_token(lexer);
    }
    return lexer->token;
}
