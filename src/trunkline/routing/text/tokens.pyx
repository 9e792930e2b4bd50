"""PostgreSQL's tokens, in one pass over a text, without allocation and without failure.

Rules:
1. Tokens begin and end where PostgreSQL's do (scan.l): nested comments, dollar quotes, E'', U&'', strings that go on
   in another line, operators as long as they can be, numbers in every form.
2. A plain string is read by `standard_conforming_strings`, which the caller knows or takes to be on; where the other
   setting would read another string, the text is ambiguous.
3. What has no end ends with the text, and what is no token is passed by; both are told, and no server accepts either.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.string cimport memchr, memcmp, memset

cdef enum:
    SPACE = 1, LETTER, DIGIT, QUOTE, DOUBLE_QUOTE, DOLLAR_SIGN, POINT, COLON, OPERATOR, SELF

cdef unsigned char KIND[256]     # of a character; 0 is none that begins a token
cdef unsigned char LOWER[256]
memset(KIND, 0, sizeof(KIND))
for _i in range(256):
    _c = chr(_i)
    LOWER[_i] = <unsigned char>ord(_c.lower()) if _i < 128 else _i
    if _i >= 128 or _c == "_" or _c.isalpha():
        KIND[_i] = LETTER
    elif _c.isdigit():
        KIND[_i] = DIGIT
for _characters, _kind in ((" \t\n\r\f\v", SPACE), ("~!@#^&|`?+-*/%<>=", OPERATOR), (",()[];", SELF), ("'", QUOTE),
                           ('"', DOUBLE_QUOTE), ("$", DOLLAR_SIGN), (".", POINT), (":", COLON)):
    for _c in _characters:
        KIND[<unsigned char>ord(_c)] = <unsigned char>_kind


cdef uint64_t hash_of(const unsigned char *word, Py_ssize_t n) noexcept:
    """FNV-1a of the lower case."""
    cdef uint64_t value = 0xcbf29ce484222325ULL
    cdef Py_ssize_t i
    for i in range(n):
        value = (value ^ LOWER[word[i]]) * 0x100000001b3ULL
    return value


# --- blanks -----------------------------------------------------------------------------------------------------------

cdef inline bint is_pair(const unsigned char *text, Py_ssize_t at, Py_ssize_t n, unsigned char a, unsigned char b) noexcept:
    return at + 1 < n and text[at] == a and text[at + 1] == b


cdef inline Py_ssize_t end_of_line(const unsigned char *text, Py_ssize_t at, Py_ssize_t n) noexcept:
    while at < n and text[at] != c'\n' and text[at] != c'\r':
        at += 1
    return at


cdef inline void note_hint(Lexer *lexer, Py_ssize_t at, Py_ssize_t end) noexcept:
    """What a comment says, if it is addressed to us; `end` is behind its last character."""
    while at < end and KIND[lexer.text[at]] == SPACE:
        at += 1
    if end - at >= 10 and memcmp(lexer.text + at, b"trunkline:", 10) == 0:
        if not lexer.hints:
            lexer.hint_start, lexer.hint_end = at + 10, end
        lexer.hints += 1


cdef inline void skip_block_comment(Lexer *lexer) noexcept:
    """They nest."""
    cdef const unsigned char *text = lexer.text
    cdef Py_ssize_t at = lexer.at + 2, n = lexer.n, depth = 1
    while at < n and depth:
        if is_pair(text, at, n, c'*', c'/'):
            depth -= 1
            at += 2
        elif is_pair(text, at, n, c'/', c'*'):
            depth += 1
            at += 2
        else:
            at += 1
    if depth:
        lexer.unfinished = True
    else:
        note_hint(lexer, lexer.at + 2, at - 2)
    lexer.at = at


cdef inline void skip_blanks(Lexer *lexer) noexcept:
    while lexer.at < lexer.n:
        if KIND[lexer.text[lexer.at]] == SPACE:
            lexer.at += 1
        elif is_pair(lexer.text, lexer.at, lexer.n, c'-', c'-'):
            lexer.at = end_of_line(lexer.text, lexer.at, lexer.n)
        elif is_pair(lexer.text, lexer.at, lexer.n, c'/', c'*'):
            skip_block_comment(lexer)
        else:
            return


# --- in quotes --------------------------------------------------------------------------------------------------------

cdef inline bint goes_on(Lexer *lexer) noexcept:
    """Whether a string goes on: behind blanks with the end of a line among them, and comments like --, is a quote."""
    cdef const unsigned char *text = lexer.text
    cdef Py_ssize_t at = lexer.at, n = lexer.n
    cdef bint lines = False
    while at < n:
        if text[at] == c'\n' or text[at] == c'\r':
            lines = True
            at += 1
        elif KIND[text[at]] == SPACE:
            at += 1
        elif is_pair(text, at, n, c'-', c'-'):
            at = end_of_line(text, at, n)
        else:
            break
    if not lines or at >= n or text[at] != c"'":
        return False
    lexer.at = at + 1
    return True


cdef inline void skip_part(Lexer *lexer, bint plain, bint escapes, bint doubles) noexcept:
    """To behind the quote that ends a part of a string."""
    cdef const unsigned char *text = lexer.text
    cdef Py_ssize_t at = lexer.at, n = lexer.n
    while at < n:
        if text[at] == c"'":
            at += 1
            if not doubles or at >= n or text[at] != c"'":
                lexer.at = at
                return
        elif text[at] == c'\\':
            if plain:
                lexer.ambiguous |= escapes or (at + 1 < n and text[at + 1] == c"'")
                lexer.form = ESCAPED if escapes and lexer.form == PLAIN else lexer.form
            at += escapes
        at += 1
    lexer.at = n
    lexer.unfinished = True


cdef inline Token skip_string(Lexer *lexer, Form form) noexcept:
    """From behind its opening quote. In bits and hexadecimal digits, a doubled quote ends one and begins another."""
    cdef bint plain = form == PLAIN or form == NATIONAL
    cdef bint escapes = form == ESCAPED or (plain and not lexer.standard)
    cdef bint doubles = form != BITS and form != HEX
    lexer.form = form
    skip_part(lexer, plain, escapes, doubles)
    while not lexer.unfinished and goes_on(lexer):
        skip_part(lexer, plain, escapes, doubles)
    return STRING


cdef inline Token skip_quoted_word(Lexer *lexer) noexcept:
    """From behind its opening quote; a doubled quote is one of its characters."""
    cdef const unsigned char *text = lexer.text
    cdef Py_ssize_t at = lexer.at, first = lexer.at, n = lexer.n
    while at < n and (text[at] != c'"' or is_pair(text, at, n, c'"', c'"')):
        at += 1 + (text[at] == c'"')
    lexer.hash = hash_of(text + first, at - first)
    lexer.unfinished |= at >= n
    lexer.at = at + (at < n)
    return QUOTED_WORD


cdef inline Token skip_dollar(Lexer *lexer) noexcept:
    """$1, or a string between $tag$ and $tag$."""
    cdef const unsigned char *text = lexer.text
    cdef Py_ssize_t at = lexer.at + 1, n = lexer.n, size
    cdef const unsigned char *found
    if at < n and KIND[text[at]] == DIGIT:
        while at < n and KIND[text[at]] == DIGIT:
            at += 1
        lexer.at = at
        return PARAMETER
    while at < n and (KIND[text[at]] == LETTER or (KIND[text[at]] == DIGIT and at > lexer.at + 1)):
        at += 1
    if at >= n or text[at] != c'$':
        return skip_wrong(lexer)
    at += 1
    size = at - lexer.at
    lexer.form = DOLLAR
    while n - at >= size:
        found = <const unsigned char *>memchr(text + at, c'$', n - at - size + 1)
        if found is NULL:
            break
        at = found - text
        if memcmp(found, text + lexer.at, size) == 0:
            lexer.at = at + size
            return STRING
        at += 1
    lexer.at = n
    lexer.unfinished = True
    return STRING


# --- the others -------------------------------------------------------------------------------------------------------

cdef inline Token prefixed(Lexer *lexer, Py_ssize_t at, Form form) noexcept:
    """A string behind a prefix, whose quote is at `at`."""
    lexer.at = at + 1
    return skip_string(lexer, form)


cdef inline Token skip_word(Lexer *lexer) noexcept:
    """An identifier or a keyword; or, with one of the prefixes, a string or a quoted identifier."""
    cdef const unsigned char *text = lexer.text
    cdef Py_ssize_t at = lexer.at, n = lexer.n
    cdef uint64_t value = 0xcbf29ce484222325ULL
    cdef unsigned char first = LOWER[text[at]], kind
    if at + 1 < n and text[at + 1] == c"'":
        if first == c'e':
            return prefixed(lexer, at + 1, ESCAPED)
        if first == c'n':
            return prefixed(lexer, at + 1, NATIONAL)
        if first == c'b':
            return prefixed(lexer, at + 1, BITS)
        if first == c'x':
            return prefixed(lexer, at + 1, HEX)
    elif first == c'u' and is_pair(text, at + 1, n, c'&', c"'"):
        return prefixed(lexer, at + 2, UNICODE)
    elif first == c'u' and is_pair(text, at + 1, n, c'&', c'"'):
        lexer.at = at + 3
        lexer.spelled = True
        return skip_quoted_word(lexer)
    while at < n:
        kind = KIND[text[at]]
        if kind != LETTER and kind != DIGIT and kind != DOLLAR_SIGN:
            break
        value = (value ^ LOWER[text[at]]) * 0x100000001b3ULL
        at += 1
    lexer.at = at
    lexer.hash = value
    return WORD


cdef inline bint is_digit(unsigned char c, unsigned char base) noexcept:
    """Of a number in this base: x, o, b or 0 for ten."""
    if base == c'x':
        return KIND[c] == DIGIT or c'a' <= LOWER[c] <= c'f'
    return KIND[c] == DIGIT and (base == 0 or c < c'2' or (base == c'o' and c < c'8'))


cdef inline Py_ssize_t end_of_digits(Lexer *lexer, Py_ssize_t at, unsigned char base, bint underscore) noexcept:
    """Behind the digits from here on, with one underscore between two of them; before the first if `underscore`."""
    cdef const unsigned char *text = lexer.text
    cdef Py_ssize_t next
    while True:
        next = at + (underscore and at < lexer.n and text[at] == c'_')
        if next >= lexer.n or not is_digit(text[next], base):
            return at
        at = next + 1
        underscore = True


cdef inline bint runs_on(Lexer *lexer) noexcept:
    """Whether a number is followed by a letter; or by a dollar, which goes with an underscore or e before it."""
    cdef const unsigned char *text = lexer.text
    cdef Py_ssize_t at = lexer.at
    if at >= lexer.n or KIND[text[at]] != DOLLAR_SIGN:
        return at < lexer.n and KIND[text[at]] == LETTER
    while at > lexer.start and KIND[text[at - 1]] == DIGIT:
        at -= 1
    return at > lexer.start and KIND[text[at - 1]] == LETTER


cdef inline Token skip_number(Lexer *lexer) noexcept:
    """Letters that are no part of it begin a word, as they did before PostgreSQL 15; since then that is wrong."""
    cdef const unsigned char *text = lexer.text
    cdef Py_ssize_t at = lexer.at, n = lexer.n, exponent
    cdef unsigned char base = LOWER[text[at + 1]] if text[at] == c'0' and at + 1 < n else 0
    lexer.form = INTEGER
    if base == c'x' or base == c'o' or base == c'b':
        lexer.at = end_of_digits(lexer, at + 2, base, True)
        if lexer.at == at + 2:
            lexer.at = at + 1
        lexer.wrong |= runs_on(lexer) or (lexer.at < n and KIND[text[lexer.at]] == DIGIT)
        return NUMBER
    at = end_of_digits(lexer, at, 0, False)
    if at < n and text[at] == c'.' and not is_pair(text, at, n, c'.', c'.'):
        lexer.form = NUMERIC
        at = end_of_digits(lexer, at + 1, 0, False)
    if at < n and LOWER[text[at]] == c'e':
        exponent = at + 1 + (at + 1 < n and (text[at + 1] == c'+' or text[at + 1] == c'-'))
        if exponent < n and KIND[text[exponent]] == DIGIT:
            lexer.form = NUMERIC
            at = end_of_digits(lexer, exponent, 0, False)
    lexer.at = at
    lexer.wrong |= runs_on(lexer)
    return NUMBER


cdef inline bint keeps_sign(const unsigned char *operator, Py_ssize_t n) noexcept:
    """Whether an operator may end in + or -: one of these characters is in it before."""
    cdef Py_ssize_t i
    for i in range(n):
        if memchr(b"~!@#^&|`?%", operator[i], 10) is not NULL:
            return True
    return False


cdef inline Token skip_operator(Lexer *lexer) noexcept:
    """As long as it can be, up to a comment, and without signs at its end that SQL would have begin the next token."""
    cdef const unsigned char *text = lexer.text
    cdef Py_ssize_t first = lexer.at, at = lexer.at + 1, n = lexer.n
    while at < n and KIND[text[at]] == OPERATOR and not is_pair(text, at, n, c'-', c'-') and not is_pair(text, at, n, c'/', c'*'):
        at += 1
    while at > first + 1 and (text[at - 1] == c'+' or text[at - 1] == c'-') and not keeps_sign(text + first, at - 1 - first):
        at -= 1
    lexer.at = at
    return OTHER


cdef inline Token skip_wrong(Lexer *lexer) noexcept:
    lexer.wrong = True
    lexer.at += 1
    return OTHER


cdef void start(Lexer *lexer, const unsigned char *text, Py_ssize_t n, bint standard) noexcept:
    """A lexer at the beginning of a text."""
    memset(lexer, 0, sizeof(Lexer))
    lexer.text, lexer.n, lexer.standard = text, n, standard


cdef Token next_token(Lexer *lexer) noexcept:
    """The next token, behind blanks and comments; END at the end of the text, or at a zero byte."""
    cdef const unsigned char *text = lexer.text
    cdef Py_ssize_t at
    cdef unsigned char kind
    skip_blanks(lexer)
    lexer.start = at = lexer.at
    if at >= lexer.n or text[at] == 0:
        return END
    kind = KIND[text[at]]
    if kind == LETTER:
        return skip_word(lexer)
    if kind == OPERATOR:
        return skip_operator(lexer)
    if kind == DIGIT or (kind == POINT and at + 1 < lexer.n and KIND[text[at + 1]] == DIGIT):
        return skip_number(lexer)
    if kind == DOLLAR_SIGN:
        return skip_dollar(lexer)
    lexer.at += 1
    if kind == QUOTE:
        return skip_string(lexer, PLAIN)
    if kind == DOUBLE_QUOTE:
        return skip_quoted_word(lexer)
    if kind == COLON:
        lexer.at += is_pair(text, at, lexer.n, c':', c':') or is_pair(text, at, lexer.n, c':', c'=')
    elif is_pair(text, at, lexer.n, c'.', c'.'):  # the range of a loop in PL/pgSQL, and no SQL
        lexer.at += 1
        lexer.wrong = True
    elif kind == 0:
        lexer.wrong = True
    return OTHER


NAMES = ("", "word", "quoted word", "string", "number", "parameter", "other")


def tokens_of(bytes sql, bint standard_strings=True):
    """All tokens for tests, as (kind, start, end)."""
    cdef Lexer lexer
    cdef Token token
    found = []
    start(&lexer, <const unsigned char *>PyBytes_AS_STRING(sql), PyBytes_GET_SIZE(sql), standard_strings)
    while True:
        token = next_token(&lexer)
        if token == END:
            return found
        found.append((NAMES[<int>token], lexer.start, lexer.at))
