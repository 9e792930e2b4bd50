# The words that matter in a statement, and a glance at it: the C side of the contract in lexer.pyx.
from libc.stdint cimport uint64_t

cdef enum Sight:         # what a text shows at a glance; bits
    DOUBTFUL = 1         # it may change the state of the session: to be looked at with a parser
    COMMITS = 2          # it ends a transaction block: COMMIT, END, PREPARE TRANSACTION
    ENDS_NAMES = 4       # it ends prepared statements
    WRITES = 16          # it may write: outside a block, it commits that too
    AMBIGUOUS = 8        # where its strings end depends on a setting, or not all of it was there

cdef enum Bits:          # what a Vocabulary says of a word
    ANYWHERE = 1         # it is doubtful wherever it stands
    FIRST = 2            # it is a first word that is known
    FIRST_READS = 4
    FIRST_DOUBTFUL = 8
    FIRST_ENDS_NAMES = 16
    FIRST_COMMITS = 32

cdef struct Entry:
    uint64_t hash        # 0 is an empty slot
    unsigned int bits

cdef class Vocabulary:
    cdef Entry *table
    cdef uint64_t mask
    cdef Py_ssize_t count
    cdef readonly frozenset extra

    cdef unsigned int find(self, uint64_t hash) noexcept
    cdef int _put(self, uint64_t hash, unsigned int bits) except -1
    cdef int _grow(self) except -1

cdef int glance(Vocabulary words, const unsigned char *sql, Py_ssize_t n) noexcept
