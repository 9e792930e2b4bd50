"""PostgreSQL's own partition hash: where `PARTITION BY HASH` puts a row, our `hash` does, bit by bit.

So rows can be checked and moved by PostgreSQL itself (satisfies_hash_partition), and partitions become shards as they are.
The algorithm is that of hashfn.c, hashfunc.c and numeric.c (hash_any_extended and its callers) with the seed of
partbounds.h; values are first brought to the column's type (`routing.keys.values`). It reads machine words as little-endian
ones, and so do the servers that it agrees with.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.tuple cimport PyTuple_GET_ITEM
from libc.math cimport isnan
from libc.string cimport memcpy

cdef extern from "Python.h":
    const char *PyUnicode_AsUTF8AndSize(object text, Py_ssize_t *n) except NULL

cdef struct State:
    uint32_t a
    uint32_t b
    uint32_t c

cdef enum:
    CHUNK = 12                 # bytes that are mixed in at a time
    BASE_DIGITS = 4            # decimal digits in one of numeric's

cdef uint32_t START = 0x9e735650              # with the length added to it, where all begin
cdef uint64_t SEED = 0x7A5B22367996DCFD         # HASH_PARTITION_SEED
cdef uint64_t COMBINE = 0x49a0f4dd15e5a8e3
cdef uint64_t CANONICAL_NAN = 0x7ff8000000000000

MAX_COLUMNS = 32  # as many as a partition key may have (PARTITION_MAX_KEYS)
KINDS = {
    "int2": NARROW, "int4": NARROW, "date": NARROW, "bool": NARROW,
    "int8": WIDE, "timestamp": WIDE, "timestamptz": WIDE,
    "text": TEXT, "varchar": TEXT, "bpchar": TEXT,
    "uuid": RAW, "bytea": RAW,
    "float4": FLOATING, "float8": FLOATING,
    "numeric": NUMERIC,
}


cdef inline uint32_t rotated(uint32_t word, int by) noexcept nogil:
    return (word << by) | (word >> (32 - by))


cdef inline void begin(State *s, Py_ssize_t n) noexcept nogil:
    s.a = s.b = s.c = START + <uint32_t>n
    s.a += <uint32_t>(SEED >> 32)
    s.b += <uint32_t>SEED
    mix(s)


cdef inline void mix(State *s) noexcept nogil:
    s.a -= s.c; s.a ^= rotated(s.c, 4); s.c += s.b
    s.b -= s.a; s.b ^= rotated(s.a, 6); s.a += s.c
    s.c -= s.b; s.c ^= rotated(s.b, 8); s.b += s.a
    s.a -= s.c; s.a ^= rotated(s.c, 16); s.c += s.b
    s.b -= s.a; s.b ^= rotated(s.a, 19); s.a += s.c
    s.c -= s.b; s.c ^= rotated(s.b, 4); s.b += s.a


cdef inline uint64_t finish(State *s) noexcept nogil:
    s.c ^= s.b; s.c -= rotated(s.b, 14)
    s.a ^= s.c; s.a -= rotated(s.c, 11)
    s.b ^= s.a; s.b -= rotated(s.a, 25)
    s.c ^= s.b; s.c -= rotated(s.b, 16)
    s.a ^= s.c; s.a -= rotated(s.c, 4)
    s.b ^= s.a; s.b -= rotated(s.a, 14)
    s.c ^= s.b; s.c -= rotated(s.b, 24)
    return (<uint64_t>s.b << 32) | s.c


cdef inline uint32_t word_at(const unsigned char *at) noexcept nogil:
    cdef uint32_t word
    memcpy(&word, at, 4)
    return word


cdef uint64_t hash_uint32(uint32_t value) noexcept nogil:
    cdef State s
    begin(&s, 4)
    s.a += value
    return finish(&s)


cdef uint64_t hash_int8(int64_t value) noexcept nogil:
    """Equal numbers of any width have one hash, hence the folding."""
    cdef uint32_t low = <uint32_t>value
    cdef uint32_t high = <uint32_t>(<uint64_t>value >> 32)
    return hash_uint32(low ^ (high if value >= 0 else ~high))


cdef uint64_t hash_bytes(const unsigned char *at, Py_ssize_t n) noexcept nogil:
    """`n` is not negative."""
    cdef State s
    cdef unsigned char rest[CHUNK]
    begin(&s, n)
    while n >= CHUNK:
        s.a += word_at(at)
        s.b += word_at(at + 4)
        s.c += word_at(at + 8)
        mix(&s)
        at += CHUNK
        n -= CHUNK
    if n > 0:
        memcpy(rest, at, n)
        memcpy(rest + n, <const unsigned char *>b"\0\0\0\0\0\0\0\0\0\0\0\0", CHUNK - n)
        s.a += word_at(rest)
        s.b += word_at(rest + 4)
        s.c += word_at(rest + 8) << 8  # the lowest byte is the length's
    return finish(&s)


cdef uint64_t combine(uint64_t row, uint64_t column) noexcept nogil:
    return row ^ (column + COMBINE + (row << 54) + (row >> 7))


cdef class RowHash:
    """The hash of a row whose key's columns have these types. A NULL takes no part; a row of NULLs has the hash 0."""

    def __cinit__(self, tuple types):
        if not 0 < len(types) <= MAX_COLUMNS:
            raise ValueError(f"a key has 1 to {MAX_COLUMNS} columns")
        self.types = types
        self.count = len(types)
        for place, name in enumerate(types):
            self.kinds[place] = KINDS[name]

    def of(self, tuple key not None):
        cdef uint64_t row = 0
        cdef Py_ssize_t place
        cdef object value
        if len(key) != self.count:
            raise ValueError(f"a key of {len(key)} values for {self.count} columns")
        for place in range(self.count):
            value = <object>PyTuple_GET_ITEM(key, place)
            if value is not None:
                row = combine(row, hash_value(self.kinds[place], value))
        return row


cdef uint64_t hash_value(Kind kind, object value) except? 0:
    cdef const char *text
    cdef Py_ssize_t n
    if kind == WIDE:
        return hash_int8(<int64_t>value)
    if kind == NARROW:
        return hash_uint32(<uint32_t><int64_t>value)
    if kind == TEXT:
        text = PyUnicode_AsUTF8AndSize(value, &n)
        return hash_bytes(<const unsigned char *>text, n)
    if kind == RAW:
        return hash_raw(value)
    if kind == FLOATING:
        return hash_float(value)
    return hash_numeric(value)


cdef uint64_t hash_raw(bytes value) except? 0:
    return hash_bytes(<const unsigned char *>PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value))


cdef uint64_t hash_float(double value) noexcept:
    """A float4 has been widened; zeros of either sign are equal, and so are all NaNs."""
    cdef uint64_t bits
    if value == 0:
        return SEED
    memcpy(&bits, &value, 8)
    if isnan(value):
        bits = CANONICAL_NAN
    return hash_bytes(<const unsigned char *>&bits, 8)


cdef uint64_t hash_numeric(object value) except? 0:
    """Of a Decimal: its digits to the base 10000, without zeros at either end, and the weight of the first. No sign."""
    cdef object digits, exponent
    cdef bytearray words
    cdef int64_t weight
    _, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int):
        return SEED  # NaN and the infinities
    if not value:
        return SEED - 1
    groups, weight = base_10000("".join(map(str, digits)), exponent)
    words = bytearray()
    for group in groups:
        words += group.to_bytes(2, "little")
    return hash_raw(bytes(words)) ^ <uint64_t>weight


cdef tuple base_10000(str digits, object exponent):
    """The groups of digits of a number that is not 0, and the power of 10000 that the first of them counts."""
    cdef str padded = digits + "0" * (exponent % BASE_DIGITS)  # so that a group ends where the point may stand
    padded = padded.zfill((len(padded) + BASE_DIGITS - 1) // BASE_DIGITS * BASE_DIGITS)
    cdef list groups = [int(padded[at:at + BASE_DIGITS]) for at in range(0, len(padded), BASE_DIGITS)]
    weight = exponent // BASE_DIGITS + len(groups) - 1
    while groups[0] == 0:
        del groups[0]
        weight -= 1
    while groups[len(groups) - 1] == 0:
        del groups[len(groups) - 1]
    return groups, weight
