# The mask of one call of a planned statement: the C side of the contract in evaluation.pyx.
from libc.stdint cimport int64_t, uint32_t, uint64_t

from trunkline.routing.plans.call cimport Call

cdef enum Unknown:           # instead of a mask; `Call.reason` is the exception
    NOT_COERCIBLE = -1       # PostgreSQL refuses the value as well, on whichever server
    KEY_UNKNOWN = -2         # only PostgreSQL can say what the value is
    KEY_NOT_MAPPED = -3      # the operator's map says nothing of the key
    MANY_SHARDS = -4         # the mask is wider than 62 bits: ReadyPlan.mask_of gives it

cdef enum Family:            # of a key's column that compiled code can read
    NO_FAMILY, SMALL_INTEGER, INTEGER, BIG_INTEGER, TEXT, UUID

cdef class ReadyPlan:
    cdef readonly object plan            # the RoutePlan
    cdef readonly dict places            # ordinals of the literals of its conditions, by location
    cdef readonly bint uses_literals     # a call needs its text's literals, also one that comes as a Bind
    cdef Family family                   # NO_FAMILY: what compiled code does not evaluate
    cdef uint32_t oid                    # of the column's type
    cdef Py_ssize_t limit                # of a text's bytes
    cdef Py_ssize_t number               # of the parameter, from 0; -1: it is a literal
    cdef Py_ssize_t ordinal              # of the literal
    cdef bint negative
    cdef tuple masks                     # of the buckets
    cdef int64_t nowhere                 # the mask where the value is NULL
    cdef int64_t fixed                   # the mask whatever the values are; -1: they decide

    cdef int64_t evaluate(self, Call call) except -9
    cdef int64_t _evaluate_all(self, Call call) except -9
    cdef int64_t _of_parameter(self, Call call) except -9
    cdef int64_t _of_literal(self, Call call) except -9
    cdef int64_t _of_text(self, const unsigned char *at, Py_ssize_t n, bint negative) except -9
    cdef int64_t _of_integer(self, int64_t value) except -9
    cdef int64_t _of_hash(self, uint64_t column) except -9
    cdef bint _takes(self, uint32_t oid) noexcept
