"""The key by which a statement's plan is kept, and where the literals are that the key leaves out; in one pass.

Rules:
1. Texts with one key have the same tokens but for the values of their literals, so that PostgreSQL parses them to trees
   that differ in those only. What a literal says that is no value stays in the key: the length of a `float(n)`, which
   names a type, or of a `current_time(n)`, and the escape character of UESCAPE, which spells an identifier.
2. Comments, blanks and the case of unquoted words make no difference. A literal is a byte that no other token can be or
   begin with, one for each kind that the grammar tells apart.
3. A text that PostgreSQL's scanner refuses, or whose reading depends on a setting in which it does not read as its
   parser here would, has no key that could stand for it: it is not `cacheable`.

A `Fingerprint` is used for one text after the other and allocates when a text has more literals than any before.
"""

import os

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free, PyMem_Malloc, PyMem_Realloc
from libc.string cimport memcpy

from trunkline.routing.text.tokens cimport (
    BITS, END, HEX, NATIONAL, NUMBER, OTHER, QUOTED_WORD, STRING, UNICODE, WORD, Token, hash_of, next_token, start,
)

cdef enum:
    KEY_LIMIT = 16384            # longer keys are not kept
    FEW = 64                     # literals that there is room for from the beginning
    MANY = 65536                 # literals whose room is given back

cdef enum:                       # what stands for a literal in a key
    A_NUMBER = 1, A_STRING, SOME_BITS, A_NATIONAL_STRING

cdef enum State:
    PLAINLY, BEHIND_UNICODE, BEHIND_UESCAPE, BEHIND_SIZED, IN_SIZED

FORMS = ("", "integer", "numeric", "plain", "escaped", "dollar", "unicode", "national", "bits", "hex")

cdef uint64_t UESCAPE_WORD = hash_of(b"uescape", 7)
# Words whose number in parentheses is no constant to the grammar.
cdef uint64_t FLOAT_WORD = hash_of(b"float", 5), CURRENT_TIME = hash_of(b"current_time", 12)
cdef uint64_t CURRENT_TIMESTAMP = hash_of(b"current_timestamp", 17), LOCALTIME = hash_of(b"localtime", 9)
cdef uint64_t LOCALTIMESTAMP = hash_of(b"localtimestamp", 14)
cdef bytes _seed = os.urandom(8)   # nobody can know which keys fall on one place of a table
cdef uint64_t SEED = (<uint64_t *>PyBytes_AS_STRING(_seed))[0]


cdef uint64_t hash_of_key(const unsigned char *key, Py_ssize_t n) noexcept:
    """Eight bytes at a time; `key` has room for eight more than its own, which are overwritten."""
    cdef uint64_t value = SEED ^ <uint64_t>n, word = 0
    cdef Py_ssize_t i
    memcpy(<void *>(key + n), &word, 8)
    for i in range(0, n, 8):
        memcpy(&word, key + i, 8)
        value = (value ^ word) * 0x9fb21c651e98df25ULL
        value ^= value >> 35
    value *= 0x9e3779b97f4a7c15ULL
    return value ^ value >> 29


cdef inline bint is_sized(uint64_t word) noexcept:
    return (word == FLOAT_WORD or word == CURRENT_TIME or word == CURRENT_TIMESTAMP or word == LOCALTIME
            or word == LOCALTIMESTAMP)


cdef class Fingerprint:
    """Of the text that was read last. Spans and flags hold until the next one is."""

    def __cinit__(self, sql=None, bint standard_strings=True):
        self.key = <unsigned char *>PyMem_Malloc(KEY_LIMIT + 16)
        self.spans = <Span *>PyMem_Malloc(FEW * sizeof(Span))
        self.capacity = FEW
        if self.key is NULL or self.spans is NULL:
            raise MemoryError
        self.read(b"" if sql is None else sql, standard_strings)

    def __dealloc__(self):
        PyMem_Free(self.key)
        PyMem_Free(self.spans)

    def read(self, bytes sql, bint standard_strings=True):
        self.scan(<const unsigned char *>PyBytes_AS_STRING(sql), PyBytes_GET_SIZE(sql), standard_strings)
        self.lexer.text = NULL   # nobody looks there again, and it may go

    cdef int scan(self, const unsigned char *text, Py_ssize_t n, bint standard) except -1:
        """Read a text under a setting of standard_conforming_strings."""
        cdef Token token
        self.key_bytes = self.count = 0
        self.long, self.glued, self.state = n > 0xfffffffe, True, PLAINLY
        if self.capacity > MANY:
            self._room(FEW)
        start(&self.lexer, text, n, standard)
        while not self.long or n <= 0xfffffffe:
            token = next_token(&self.lexer)
            if token == END:
                break
            self._token(token)
        self.hash = hash_of_key(self.key, self.key_bytes)
        self.cacheable = not (self.long or self.lexer.wrong or self.lexer.unfinished or (self.lexer.ambiguous and not standard))
        return 0

    cdef int _token(self, int token) except -1:
        cdef int before = self.state
        self.state = PLAINLY
        if token == WORD:
            self._write(True)
            if before == BEHIND_UNICODE and self.lexer.hash == UESCAPE_WORD:
                self.state = BEHIND_UESCAPE
            elif is_sized(self.lexer.hash):
                self.state = BEHIND_SIZED
        elif token == NUMBER and before != IN_SIZED:
            self._literal(A_NUMBER)
        elif token == STRING and before != BEHIND_UESCAPE:
            self._literal(SOME_BITS if self.lexer.form == BITS or self.lexer.form == HEX
                          else A_NATIONAL_STRING if self.lexer.form == NATIONAL else A_STRING)
            if self.lexer.form == UNICODE:
                self.state = BEHIND_UNICODE
        else:
            self._write(False)
            if token == QUOTED_WORD and self.lexer.text[self.lexer.start] != c'"':
                self.state = BEHIND_UNICODE
            elif before == BEHIND_SIZED and token == OTHER and self.lexer.text[self.lexer.start] == c'(':
                self.state = IN_SIZED
        return 0

    cdef int _literal(self, unsigned char marker) except -1:
        cdef Span *span
        if self.count == self.capacity:
            self._room(2 * self.capacity)
        span = &self.spans[self.count]
        # PostgreSQL takes the N of N'...' for a token of its own: the literal begins at its quote.
        span.start = <unsigned int>(self.lexer.start + (self.lexer.form == NATIONAL))
        span.end = <unsigned int>self.lexer.at
        span.form = self.lexer.form
        self.count += 1
        if self.key_bytes + 2 > KEY_LIMIT:
            self.long, self.key_bytes = True, 0
        if not self.glued:
            self.key[self.key_bytes] = c' '
            self.key_bytes += 1
        self.key[self.key_bytes] = marker
        self.key_bytes += 1
        self.glued = False
        return 0

    cdef void _write(self, bint fold) noexcept:
        """The last token, behind a blank if that parts it from the one before; as it is or in lower case."""
        cdef const unsigned char *token = self.lexer.text + self.lexer.start
        cdef Py_ssize_t i, size = self.lexer.at - self.lexer.start
        cdef unsigned char *key
        cdef unsigned char c = token[0], only = c if size == 1 else 0
        if self.long or self.key_bytes + size + 1 > KEY_LIMIT:
            self.long, self.key_bytes = True, 0
            return
        key = self.key + self.key_bytes
        if not (self.glued or only == c',' or only == c')' or only == c'.' or only == c';' or only == c']'):
            key[0] = c' '
            key += 1
        if fold:
            for i in range(size):
                c = token[i]
                key[i] = c | (<unsigned char>(c'A' <= c <= c'Z') << 5)
        else:
            memcpy(key, token, size)
        self.key_bytes = key + size - self.key
        self.glued = only == c'(' or only == c'[' or only == c'.'

    def _room(self, Py_ssize_t capacity):
        cdef Span *spans = <Span *>PyMem_Realloc(self.spans, capacity * sizeof(Span))
        if spans is NULL:
            raise MemoryError
        self.spans, self.capacity = spans, capacity

    cdef Py_ssize_t ordinal_of(self, Py_ssize_t location) noexcept:
        """The literal that begins at or next after this byte; `count` if there is none."""
        cdef Py_ssize_t low = 0, high = self.count, middle
        while low < high:
            middle = (low + high) // 2
            if self.spans[middle].start < location:
                low = middle + 1
            else:
                high = middle
        return low

    # --- for Python ---

    @property
    def key(self):
        return PyBytes_FromStringAndSize(<char *>self.key, self.key_bytes)

    @property
    def template(self):
        """The key to be looked at, with ? for each literal."""
        return readable(self.key, self.key_bytes)

    @property
    def literals(self):
        """(start, end, form) of each."""
        return [(self.spans[i].start, self.spans[i].end, FORMS[<int>self.spans[i].form]) for i in range(self.count)]

    @property
    def ambiguous(self):
        """What a string is depends on standard_conforming_strings."""
        return bool(self.lexer.ambiguous)

    @property
    def unfinished(self):
        """It ends within a string, a quoted identifier or a comment."""
        return bool(self.lexer.unfinished)

    @property
    def wrong(self):
        """Some of it is no token of SQL."""
        return bool(self.lexer.wrong)

    @property
    def hints(self):
        """How many comments begin with `trunkline:`."""
        return self.lexer.hints

    @property
    def hint(self):
        """(start, end) of what stands behind `trunkline:` in the first of them."""
        return (self.lexer.hint_start, self.lexer.hint_end) if self.lexer.hints else None

    def ordinal_at(self, Py_ssize_t location):
        """Which literal a location of PostgreSQL's parser means."""
        cdef Py_ssize_t found = self.ordinal_of(location)
        return found if found < self.count else None


cdef str readable(const unsigned char *key, Py_ssize_t n):
    cdef bytes text = PyBytes_FromStringAndSize(<char *>key, n)
    return text.translate(READABLE).decode(errors="replace")


READABLE = bytes(ord("?") if A_NUMBER <= i <= A_NATIONAL_STRING else i for i in range(256))
