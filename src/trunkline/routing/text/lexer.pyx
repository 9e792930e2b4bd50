"""What a statement's words say at a glance, in one pass without allocation.

`glance` is asked about every statement, so it only finds out whether there is anything to think about: a first word
that is not one of the plain ones, or a word anywhere that can change a session (`set_config`, `temp`, an advisory lock).
What it finds doubtful is parsed, once for each template (routing.text.template).

Being wrong on the side of doubt costs one parse; a word is found by its hash alone. A text is read as with
`standard_conforming_strings` on; one that the other setting would have read otherwise is ambiguous, and never taken for
harmless.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Calloc, PyMem_Free

from trunkline.routing.text.tokens cimport END, OTHER, QUOTED_WORD, WORD, Lexer, Token, hash_of, next_token, start

# --- the words --------------------------------------------------------------------------------------------------------

# Anywhere in a statement, also quoted: what leaves something in the session, or reads what was left there.
DOUBTFUL_WORDS = frozenset((
    "set_config", "setseed", "temp", "temporary", "hold", "lastval", "currval", "execute",
    "pg_advisory_lock", "pg_advisory_lock_shared", "pg_try_advisory_lock", "pg_try_advisory_lock_shared",
    "pg_advisory_unlock", "pg_advisory_unlock_shared", "pg_advisory_unlock_all", "pg_temp",
    "dblink_connect", "dblink_connect_u", "pg_listening_channels", "pg_create_logical_replication_slot", "pg_create_physical_replication_slot",
))

# The first word of a statement: "read" writes nothing (by itself: a function may), "doubtful" is looked at with a parser.
# Any other first word is doubtful and may write.
FIRST_WORDS = {
    "select": ("read",), "values": ("read",), "table": ("read",), "show": ("read",), "begin": ("read",),
    "start": ("read",), "rollback": ("read",), "abort": ("read",), "savepoint": ("read",), "release": ("read",),
    "fetch": ("read",), "move": ("read",), "declare": ("read",), "lock": ("read",),
    "close": ("read", "doubtful"), "set": ("read", "doubtful"), "reset": ("read", "doubtful"),
    "listen": ("read", "doubtful"), "unlisten": ("read", "doubtful"), "load": ("read", "doubtful"),
    "discard": ("read", "doubtful", "ends_names"), "deallocate": ("read", "doubtful", "ends_names"),
    "prepare": ("doubtful",), "execute": ("doubtful",), "do": ("doubtful",), "call": ("doubtful",),
    "drop": ("write", "doubtful"),
    "insert": ("write",), "update": ("write",), "delete": ("write",), "merge": ("write",), "with": ("write",),
    "copy": ("write",), "explain": ("write",), "truncate": ("write",), "create": ("write", "doubtful"), "alter": ("write", "doubtful"),
    "grant": ("write",), "revoke": ("write",), "comment": ("write",), "vacuum": ("write",), "analyze": ("write",),
    "analyse": ("write",), "reindex": ("write",), "cluster": ("write",), "refresh": ("write",), "notify": ("write",),
    "checkpoint": ("write",), "security": ("write",), "reassign": ("write",), "import": ("write",),
    "commit": ("commit",), "end": ("commit",),
}

# Two of the bits of a glance, for callers in Python.
COMMITTING, WRITING = COMMITS, WRITES


cdef class Vocabulary:
    """The words above, and `extra` ones: lower case, doubtful wherever they stand."""

    def __cinit__(self, extra=()):
        self.mask = 511
        self.table = <Entry *>PyMem_Calloc(self.mask + 1, sizeof(Entry))
        if self.table is NULL:
            raise MemoryError
        self.extra = frozenset(extra)
        for word in DOUBTFUL_WORDS:
            self._add(word.encode(), ANYWHERE)
        for word in self.extra:
            self._add(word, ANYWHERE)
        for word, meaning in FIRST_WORDS.items():
            self._add(word.encode(), FIRST | (FIRST_READS if "read" in meaning else 0)
                      | (FIRST_DOUBTFUL if "doubtful" in meaning else 0)
                      | (FIRST_ENDS_NAMES if "ends_names" in meaning else 0)
                      | (FIRST_COMMITS if "commit" in meaning else 0))

    def __dealloc__(self):
        PyMem_Free(self.table)

    def _add(self, bytes word, unsigned int bits):
        self._put(hash_of(<const unsigned char *>PyBytes_AS_STRING(word), PyBytes_GET_SIZE(word)), bits)

    cdef int _put(self, uint64_t hash, unsigned int bits) except -1:
        cdef uint64_t at
        if 2 * self.count > <Py_ssize_t>self.mask:
            self._grow()
        at = hash & self.mask
        while self.table[at].hash and self.table[at].hash != hash:
            at = (at + 1) & self.mask
        self.count += self.table[at].hash == 0
        self.table[at].hash = hash
        self.table[at].bits |= bits
        return 0

    cdef int _grow(self) except -1:
        cdef Entry *old = self.table
        cdef uint64_t i, size = self.mask + 1
        self.table = <Entry *>PyMem_Calloc(2 * size, sizeof(Entry))
        if self.table is NULL:
            self.table = old
            raise MemoryError
        self.mask, self.count = 2 * size - 1, 0
        for i in range(size):
            if old[i].hash:
                self._put(old[i].hash, old[i].bits)
        PyMem_Free(old)
        return 0

    cdef unsigned int find(self, uint64_t hash) noexcept:
        cdef uint64_t at = hash & self.mask
        while self.table[at].hash:
            if self.table[at].hash == hash:
                return self.table[at].bits
            at = (at + 1) & self.mask
        return 0


# --- the glance -------------------------------------------------------------------------------------------------------

cdef uint64_t TRANSACTION = hash_of(b"transaction", 11)
cdef uint64_t PREPARE = hash_of(b"prepare", 7)


cdef inline int first_word(Vocabulary words, Lexer *lexer) noexcept:
    """What the first word of a statement says."""
    cdef uint64_t hash = lexer.hash
    cdef unsigned int bits = words.find(hash)
    cdef int seen = 0
    cdef Lexer ahead
    if hash == PREPARE:
        ahead = lexer[0]
        if next_token(&ahead) == WORD and ahead.hash == TRANSACTION:
            return COMMITS
    if not bits & FIRST or bits & FIRST_DOUBTFUL:
        seen |= DOUBTFUL
    if bits & FIRST_COMMITS:
        return COMMITS
    if not bits & FIRST_READS:
        seen |= WRITES
    if bits & FIRST_ENDS_NAMES:
        seen |= ENDS_NAMES
    return seen


cdef int glance(Vocabulary words, const unsigned char *sql, Py_ssize_t n) noexcept:
    """Sight bits of a query string of one or several statements."""
    cdef Lexer lexer
    cdef Token token
    cdef int seen = 0
    cdef bint first = True
    start(&lexer, sql, n, True)
    while True:
        token = next_token(&lexer)
        if token == WORD or token == QUOTED_WORD:
            if first:
                seen |= first_word(words, &lexer)
                first = False
            elif words.find(lexer.hash) & ANYWHERE:
                seen |= DOUBTFUL
        elif token == OTHER:
            if sql[lexer.start] == c';':
                first = True
        elif token == END:
            break
    return seen | (DOUBTFUL | AMBIGUOUS if lexer.ambiguous or lexer.spelled else 0)


def sight(Vocabulary words, bytes sql):
    """`glance` for tests: the names of the bits."""
    cdef int seen = glance(words, <const unsigned char *>PyBytes_AS_STRING(sql), PyBytes_GET_SIZE(sql))
    return frozenset(name for bit, name in ((DOUBTFUL, "doubtful"), (COMMITS, "commits"), (ENDS_NAMES, "ends_names"),
                                            (WRITES, "writes"),
                                            (AMBIGUOUS, "ambiguous")) if seen & bit)
