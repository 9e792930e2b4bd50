"""Loops in C around what compiled code calls: Python's own loop would cost more than what is measured."""

from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memcpy

from trunkline.routing.hashing cimport combine, hash_bytes, hash_int8


def hash_int8_keys(int64_t count):
    """Rows with one int8; each key depends on the hash before, so that none is begun before that is known."""
    cdef uint64_t row = 0
    cdef int64_t i
    for i in range(count):
        row = combine(0, hash_int8(<int64_t>row + i))
    return row


def hash_uuid_keys(int64_t count):
    """As `hash_int8_keys`, with a uuid."""
    cdef unsigned char raw[16]
    cdef uint64_t row = 0
    cdef int64_t i
    memcpy(raw, b"0123456789abcdef", 16)
    for i in range(count):
        memcpy(raw, &row, 8)
        row = combine(0, hash_bytes(raw, 16))
    return row
