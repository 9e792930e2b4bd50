"""The template of a statement, by which what is known of it is kept; and the words and dotted names of any text."""

import re

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from libc.stdint cimport uint64_t
from libc.string cimport memcpy

from trunkline.routing.text.tokens cimport (
    END, NUMBER, OTHER, QUOTED_WORD, STRING, WORD, Lexer, Token, hash_of, next_token, start,
)

cdef uint64_t SET_CONFIG = hash_of(b"set_config", 10)

# What could be a name with dots is found first, whole, and judged then: in one step it would be quadratic.
_run = re.compile(rb"[A-Za-z_\x80-\xff][A-Za-z0-9_$.\x80-\xff]*")
_dotted = re.compile(rb"[A-Za-z_\x80-\xff][A-Za-z0-9_$\x80-\xff]*(?:\.[A-Za-z_\x80-\xff][A-Za-z0-9_$\x80-\xff]*)+")


def template(bytes sql):
    """The text with `?` for each literal, and one space for all that parts two tokens; a setting's name is kept.

    Two texts with one template are parsed to the same tree but for their constants. Names of `set_config` stay, since
    what it sets depends on them.
    """
    cdef Lexer lexer
    cdef Token token
    cdef int config = 0    # how far into `set_config ( name` we are
    cdef Py_ssize_t used = 0, size, n = PyBytes_GET_SIZE(sql)
    cdef unsigned char *key = <unsigned char *>PyMem_Malloc(2 * n + 1)
    if key is NULL:
        raise MemoryError
    start(&lexer, <const unsigned char *>PyBytes_AS_STRING(sql), n, True)
    try:
        while True:
            token = next_token(&lexer)
            if token == END:
                break
            if (token == STRING and config != 2) or token == NUMBER:
                key[used] = c'?'
                used += 1
            else:
                size = lexer.at - lexer.start
                memcpy(key + used, lexer.text + lexer.start, size)
                used += size
            key[used] = c' '
            used += 1
            config = next_in_config(&lexer, token, config)
        return PyBytes_FromStringAndSize(<char *>key, used)
    finally:
        PyMem_Free(key)


cdef inline int next_in_config(Lexer *lexer, Token token, int config) noexcept:
    if (token == WORD or token == QUOTED_WORD) and lexer.hash == SET_CONFIG:
        return 1
    return 2 if config == 1 and token == OTHER and lexer.text[lexer.start] == c'(' else 0


cdef inline bint is_word_byte(unsigned char c, bint inside) noexcept:
    return c >= 128 or c == c'_' or (c | 32) >= c'a' and (c | 32) <= c'z' or c >= c'0' and c <= c'9' or inside and c == c'$'


def words_of(bytes sql):
    """Every word of a text, in lower case, also those inside its strings (the body of a DO is one)."""
    cdef Py_ssize_t i, first = -1, n = PyBytes_GET_SIZE(sql)
    cdef const unsigned char *text = <const unsigned char *>PyBytes_AS_STRING(sql)
    found = set()
    for i in range(n + 1):
        if i < n and is_word_byte(text[i], first >= 0):
            first = i if first < 0 else first
        elif first >= 0:
            found.add(sql[first:i].lower())
            first = -1
    return frozenset(found)


def dotted_names(bytes sql):
    """Everything of the form a.b, wherever it stands, in lower case: it may be the name of a setting.

    A dollar belongs to a name and to the quotes about one, so that of `$$a.b$$` both a.b and a.b$$ are found.
    """
    found = set()
    for run in _run.findall(sql):
        if b"." in run:
            for part in run.split(b".."):
                found.update((part.strip(b"."), *(piece.strip(b".") for piece in part.split(b"$"))))
    return frozenset(name.lower() for name in found if _dotted.fullmatch(name))
