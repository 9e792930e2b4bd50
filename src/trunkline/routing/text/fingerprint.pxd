# The key of a text, and where its literals are: the C side of the contract in fingerprint.pyx.
from libc.stdint cimport uint64_t

from trunkline.routing.text.tokens cimport Form, Lexer

cdef struct Span:            # of a literal, in bytes of the text
    unsigned int start
    unsigned int end
    Form form

cdef class Fingerprint:
    cdef Lexer lexer             # at the end of the text: what it noticed on the way
    cdef unsigned char *key
    cdef readonly Py_ssize_t key_bytes
    cdef readonly uint64_t hash  # of the key
    cdef Span *spans
    cdef readonly Py_ssize_t count   # of literals
    cdef Py_ssize_t capacity
    cdef readonly bint cacheable     # the key says all that there is to say of the text, but for its literals
    cdef bint long                   # so long that it has no key
    cdef bint glued                  # no blank stands before the next token
    cdef int state                   # of what makes a literal part of the key

    cdef int scan(self, const unsigned char *text, Py_ssize_t n, bint standard) except -1
    cdef Py_ssize_t ordinal_of(self, Py_ssize_t location) noexcept
    cdef int _token(self, int token) except -1
    cdef int _literal(self, unsigned char marker) except -1
    cdef void _write(self, bint fold) noexcept

cdef str readable(const unsigned char *key, Py_ssize_t n)
