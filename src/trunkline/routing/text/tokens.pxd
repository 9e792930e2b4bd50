# PostgreSQL's tokens: the C side of the contract in tokens.pyx.
from libc.stdint cimport uint64_t

cdef enum Token:
    END
    WORD                 # unquoted; `hash` is that of its lower case
    QUOTED_WORD          # "..."; `hash` is that of what is between the quotes
    STRING               # any constant in quotes; `form` says which
    NUMBER
    PARAMETER            # $n
    OTHER                # an operator, whole, or a character of punctuation

cdef enum Form:          # of a literal
    INTEGER = 1          # 1, 1_000, 0x1F, 0o7, 0b1
    NUMERIC              # 1.5, .5, 1e5
    PLAIN                # '...'
    ESCAPED              # E'...'; any with a backslash where standard_conforming_strings is off
    DOLLAR               # $tag$...$tag$
    UNICODE              # U&'...'
    NATIONAL             # N'...'
    BITS                 # B'...'
    HEX                  # X'...'

cdef struct Lexer:
    const unsigned char *text
    Py_ssize_t n
    Py_ssize_t start     # of the last token
    Py_ssize_t at        # behind it
    uint64_t hash        # of the last word
    Form form            # what the last string or number is
    bint standard        # standard_conforming_strings
    bint ambiguous       # where a string ends, or what it says, depends on that setting
    bint spelled         # an identifier is U&"...", whose escapes may spell any word
    bint unfinished      # a string, a quoted identifier or a comment has no end
    bint wrong           # something is no token at all: PostgreSQL will not read this text
    int hints            # comments that begin with `trunkline:`; of the first, what follows that
    Py_ssize_t hint_start
    Py_ssize_t hint_end

cdef uint64_t hash_of(const unsigned char *word, Py_ssize_t n) noexcept
cdef void start(Lexer *lexer, const unsigned char *text, Py_ssize_t n, bint standard) noexcept
cdef Token next_token(Lexer *lexer) noexcept
