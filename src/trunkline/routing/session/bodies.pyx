"""What the body of a function in SQL or PL/pgSQL may do to the session that calls it, as far as its own text shows."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport uint64_t

from trunkline.routing.text.lexer import DOUBTFUL_WORDS
from trunkline.routing.text.template import words_of

from trunkline.routing.text.lexer cimport ANYWHERE, DOUBTFUL, FIRST_DOUBTFUL, FIRST_READS, Vocabulary, glance
from trunkline.routing.text.tokens cimport END, QUOTED_WORD, STRING, WORD, Lexer, Token, hash_of, next_token, start

cdef uint64_t BEGIN_WORD = hash_of(b"begin", 5), THEN_WORD = hash_of(b"then", 4), ELSE_WORD = hash_of(b"else", 4)
cdef uint64_t LOOP_WORD = hash_of(b"loop", 4), EXECUTE_WORD = hash_of(b"execute", 7), CLOSE_WORD = hash_of(b"close", 5)

DOUBTFUL_BYTES = frozenset(word.encode() for word in DOUBTFUL_WORDS)


cdef bint begins_statement(uint64_t before) noexcept:
    """Whether a statement may begin behind this word, in PL/pgSQL."""
    return before == 0 or before == BEGIN_WORD or before == THEN_WORD or before == ELSE_WORD or before == LOOP_WORD


def code_is_doubtful(Vocabulary words, bytes body):
    """Whether the body of a function in SQL or PL/pgSQL may change the session, as far as its own text shows.

    Strings are looked at as statements: they may be run by EXECUTE.
    """
    cdef Lexer lexer
    cdef Token token
    cdef uint64_t before = 0     # the last word; 0 at the beginning and behind a semicolon
    cdef unsigned int bits
    start(&lexer, <const unsigned char *>PyBytes_AS_STRING(body), PyBytes_GET_SIZE(body), True)
    while True:
        token = next_token(&lexer)
        if token == END:
            return lexer.ambiguous or lexer.spelled
        if token == WORD or token == QUOTED_WORD:
            bits = words.find(lexer.hash)
            if bits & ANYWHERE and lexer.hash != EXECUTE_WORD:
                return True
            if bits & FIRST_DOUBTFUL and bits & FIRST_READS and lexer.hash != CLOSE_WORD and begins_statement(before):
                return True
            before = lexer.hash
        elif token == STRING:
            content = inside(body[lexer.start:lexer.at])
            if glance(words, <const unsigned char *>PyBytes_AS_STRING(content), PyBytes_GET_SIZE(content)) & DOUBTFUL \
                    and hides_session_words(words, content):
                return True
            before = 1
        else:
            before = 0 if lexer.text[lexer.start] == c';' else 1


cdef bytes inside(bytes string):
    """What is between the quotes, or as good as that."""
    if string.startswith(b"$"):
        return string[string.index(b"$", 1) + 1 : string.rindex(b"$", 0, -1)]
    return string.lstrip(b"eE").strip(b"'")


cdef bint hides_session_words(Vocabulary words, bytes text):
    """A string may be anything; one that begins with a word that changes sessions, or has one in it, may be run."""
    cdef Lexer lexer
    cdef unsigned int bits
    start(&lexer, <const unsigned char *>PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text), True)
    if next_token(&lexer) != WORD:
        return False
    bits = words.find(lexer.hash)
    if bits & FIRST_DOUBTFUL and bits & FIRST_READS:
        return True
    return not words_of(text).isdisjoint(DOUBTFUL_BYTES)
