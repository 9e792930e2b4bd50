# PostgreSQL's partition hash: the C side of the contract in hashing.pyx.
from libc.stdint cimport int64_t, uint32_t, uint64_t

cdef enum Kind:
    NARROW = 1           # as four bytes: int2, int4, date, bool
    WIDE                 # as eight: int8, timestamp, timestamptz
    TEXT                 # the bytes of a str
    RAW                  # bytes: uuid, bytea
    FLOATING
    NUMERIC

cdef class RowHash:
    cdef readonly tuple types
    cdef Py_ssize_t count
    cdef Kind kinds[32]

cdef uint64_t hash_uint32(uint32_t value) noexcept nogil
cdef uint64_t hash_int8(int64_t value) noexcept nogil
cdef uint64_t hash_bytes(const unsigned char *at, Py_ssize_t n) noexcept nogil
cdef uint64_t combine(uint64_t row, uint64_t column) noexcept nogil
