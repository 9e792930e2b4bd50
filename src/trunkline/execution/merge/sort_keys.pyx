"""Values in PostgreSQL's binary form as strings of bytes that memcmp puts into PostgreSQL's order.

Each key begins with a byte for NULL or not, and ends where it says itself, so that keys of several columns can stand
one behind the other. What is equal in PostgreSQL is the same string (1.0 and 1.00; 0 and -0; all NaN), and only that.
A value whose length is not its type's is a MergeError: nothing is read beyond what is there.
"""

from libc.stdint cimport int16_t, int32_t, int64_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy

from trunkline.shard_errors import MergeError
from trunkline.execution.merge import exact_types

cdef int SIGNED = exact_types.SIGNED
cdef int UNSIGNED = exact_types.UNSIGNED
cdef int FLOAT4 = exact_types.FLOAT4
cdef int FLOAT8 = exact_types.FLOAT8
cdef int BYTES = exact_types.BYTES
cdef int PADDED = exact_types.PADDED
cdef int NUMERIC = exact_types.NUMERIC
cdef int TIMETZ = exact_types.TIMETZ
cdef int INTERVAL = exact_types.INTERVAL

cdef int64_t DAY = 86_400_000_000


# --- buffers ----------------------------------------------------------------------------------------------------------

cdef int reserve(Buffer *buffer, Py_ssize_t more) except -1:
    """Room for so many bytes behind those in use."""
    cdef Py_ssize_t room = buffer.room
    cdef void *data
    if more <= room - buffer.size:
        return 0
    while more > room - buffer.size:
        room = room * 2 if room else 256
    data = realloc(buffer.data, room)
    if data is NULL:
        raise MemoryError
    buffer.data, buffer.room = <unsigned char *>data, room
    return 0


cdef int append(Buffer *buffer, const unsigned char *data, Py_ssize_t n) except -1:
    reserve(buffer, n)
    memcpy(buffer.data + buffer.size, data, n)
    buffer.size += n
    return 0


cdef void release(Buffer *buffer) noexcept:
    free(buffer.data)
    buffer.data, buffer.size, buffer.room = NULL, 0, 0


cdef inline void put(Buffer *buffer, uint64_t value, int n) noexcept:
    """The last `n` bytes of a number, the highest first; there has to be room."""
    cdef int i
    for i in range(n):
        buffer.data[buffer.size + i] = <unsigned char>(value >> (8 * (n - 1 - i)))
    buffer.size += n


cdef inline uint64_t read(const unsigned char *value, int n) noexcept:
    cdef uint64_t found = 0
    cdef int i
    for i in range(n):
        found = found << 8 | value[i]
    return found


cdef int wrong(Py_ssize_t n) except -1:
    raise MergeError(f"a value of {n} bytes is none of its type")


# --- types ------------------------------------------------------------------------------------------------------------

cdef int put_signed(Buffer *buffer, const unsigned char *value, Py_ssize_t n) except -1:
    if n != 2 and n != 4 and n != 8:
        wrong(n)
    put(buffer, read(value, <int>n), <int>n)
    buffer.data[buffer.size - n] ^= 0x80
    return 0


cdef int put_float(Buffer *buffer, const unsigned char *value, Py_ssize_t n, int size) except -1:
    """NaN is above all, and zero has no sign."""
    cdef uint64_t bits, sign = <uint64_t>1 << (8 * size - 1), mask = sign - 1
    cdef uint64_t infinite = <uint64_t>0x7F800000 if size == 4 else <uint64_t>0x7FF0000000000000
    if n != size:
        wrong(n)
    bits = read(value, size)
    if bits & mask > infinite:
        bits = mask | sign
    elif bits & mask == 0:
        bits = sign
    elif bits & sign:
        bits = ~bits
    else:
        bits |= sign
    put(buffer, bits, size)
    return 0


cdef int put_bytes(Buffer *buffer, const unsigned char *value, Py_ssize_t n) except -1:
    """Each 0 is followed by 1, and two of them are the end."""
    cdef Py_ssize_t i, size
    reserve(buffer, 2 * n + 2)
    size = buffer.size
    for i in range(n):
        buffer.data[size] = value[i]
        size += 1
        if value[i] == 0:
            buffer.data[size] = 1
            size += 1
    buffer.data[size] = buffer.data[size + 1] = 0
    buffer.size = size + 2
    return 0


cdef int put_numeric(Buffer *buffer, const unsigned char *value, Py_ssize_t n) except -1:
    """The class (-Infinity, below zero, zero, above, Infinity, NaN), the weight, the digits and an end."""
    cdef Py_ssize_t start, i
    cdef int count, first = 0, sign, weight, digit
    if n < 8 or n % 2:
        wrong(n)
    count, weight, sign = <int>read(value, 2), <int16_t>read(value + 2, 2), <int>read(value + 4, 2)
    if n != 8 + 2 * count:
        wrong(n)
    reserve(buffer, 2 * count + 8)
    while count > first and read(value + 6 + 2 * count, 2) == 0:
        count -= 1
    while first < count and read(value + 8 + 2 * first, 2) == 0:
        first += 1
        weight -= 1
    start = buffer.size
    if sign == 0xC000 or sign == 0xD000 or sign == 0xF000:
        put(buffer, 6 if sign == 0xC000 else 5 if sign == 0xD000 else 1, 1)
        return 0
    if first == count:
        put(buffer, 3, 1)
        return 0
    put(buffer, 4, 1)
    put(buffer, <uint64_t>(weight + 0x10000), 3)
    for i in range(first, count):
        digit = <int>read(value + 8 + 2 * i, 2)
        if digit > 9999:
            wrong(n)
        put(buffer, digit + 1, 2)
    put(buffer, 0, 2)
    if sign == 0x4000:
        buffer.data[start] = 2
        for i in range(start + 1, buffer.size):
            buffer.data[i] = ~buffer.data[i]
    elif sign:
        wrong(n)
    return 0


cdef int put_timetz(Buffer *buffer, const unsigned char *value, Py_ssize_t n) except -1:
    """By the moment, then by the zone; both are within a day or so."""
    cdef int64_t time
    cdef int32_t zone
    if n != 12:
        wrong(n)
    time, zone = <int64_t>read(value, 8), <int32_t>read(value + 8, 4)
    put(buffer, <uint64_t>time + <uint64_t>(<int64_t>zone * 1_000_000) + (<uint64_t>1 << 63), 8)
    put(buffer, <uint64_t>(<int64_t>zone + (<int64_t>1 << 31)), 4)
    return 0


cdef int put_interval(Buffer *buffer, const unsigned char *value, Py_ssize_t n) except -1:
    """Months of 30 days, days of 24 hours: a number of more than 64 bits, as days and what is left of one."""
    cdef int64_t time, days, left
    if n != 16:
        wrong(n)
    time = <int64_t>read(value, 8)
    days, left = time // DAY, time % DAY     # as C has them: both below zero where the time is
    if left < 0:
        days, left = days - 1, left + DAY
    days += <int64_t><int32_t>read(value + 12, 4) * 30 + <int32_t>read(value + 8, 4)
    put(buffer, <uint64_t>days + (<uint64_t>1 << 63), 8)
    put(buffer, <uint64_t>left, 8)
    return 0


cdef int put_key(Buffer *buffer, const Order *order, const unsigned char *value, Py_ssize_t n) except -1:
    """One value behind those that are there; n is -1 for NULL."""
    cdef Py_ssize_t start, i
    cdef int kind = order.kind
    reserve(buffer, 64)
    if n < 0:
        put(buffer, 0 if order.nulls_first else 2, 1)
        return 0
    put(buffer, 1, 1)
    start = buffer.size
    if kind == SIGNED:
        put_signed(buffer, value, n)
    elif kind == UNSIGNED:
        if not 0 < n <= 16:
            wrong(n)
        append(buffer, value, n)
    elif kind == BYTES:
        put_bytes(buffer, value, n)
    elif kind == PADDED:
        while n > 0 and value[n - 1] == c' ':
            n -= 1
        put_bytes(buffer, value, n)
    elif kind == NUMERIC:
        put_numeric(buffer, value, n)
    elif kind == FLOAT4:
        put_float(buffer, value, n, 4)
    elif kind == FLOAT8:
        put_float(buffer, value, n, 8)
    elif kind == TIMETZ:
        put_timetz(buffer, value, n)
    elif kind == INTERVAL:
        put_interval(buffer, value, n)
    else:
        raise MergeError("a type whose order is not known")
    if order.descending:
        for i in range(start, buffer.size):
            buffer.data[i] = ~buffer.data[i]
    return 0


def sort_key(kind: int, value, descending: bool = False, nulls_first: bool = False) -> bytes:
    """The key of one value, or of NULL."""
    cdef Buffer buffer
    cdef Order order
    cdef bytes data = value if value is not None else b""
    buffer.data, buffer.size, buffer.room = NULL, 0, 0
    order.kind, order.descending, order.nulls_first = kind, descending, nulls_first
    try:
        put_key(&buffer, &order, <const unsigned char *><const char *>data, len(data) if value is not None else -1)
        return (<const char *>buffer.data)[:buffer.size]
    finally:
        release(&buffer)
