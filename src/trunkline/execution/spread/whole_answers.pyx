"""An answer that is here to its end, and plain, taken apart at once: for what has nothing to wait for.

A call of a query is answered by ParseComplete, BindComplete, RowDescription, rows, CommandComplete and ReadyForQuery.
Anything else (an error, a notice, a parameter, no rows at all) is left to who reads message by message.
"""

from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_GET_SIZE
from cpython.bytes cimport PyBytes_FromStringAndSize

from trunkline.protocol.scanner cimport HEADER_BYTES, read_u32


cdef inline Py_ssize_t behind(const unsigned char *data, Py_ssize_t at) noexcept:
    """Where the message ends that begins here."""
    return at + 1 + <Py_ssize_t>read_u32(data + at + 1)


cdef int kind_at(const unsigned char *data, Py_ssize_t at, Py_ssize_t n) noexcept:
    """The type of the message that begins here; 0 if it is not here whole."""
    if n - at < HEADER_BYTES or behind(data, at) < at + HEADER_BYTES or behind(data, at) > n:
        return 0
    return data[at]


cdef bint is_bound(bytearray kept, Py_ssize_t at) noexcept:
    """What is kept from here on begins with ParseComplete and BindComplete."""
    cdef const unsigned char *data = <const unsigned char *>PyByteArray_AS_STRING(kept)
    cdef Py_ssize_t n = PyByteArray_GET_SIZE(kept)
    return kind_at(data, at, n) == c'1' and kind_at(data, at + HEADER_BYTES, n) == c'2'


cdef object whole_answer(bytearray kept, Py_ssize_t at):
    """The body of the RowDescription (None: there are no rows), the rows, and the tag; None if it is not like that."""
    cdef const unsigned char *data = <const unsigned char *>PyByteArray_AS_STRING(kept)
    cdef Py_ssize_t n = PyByteArray_GET_SIZE(kept), rows, tag, end
    cdef object columns = None
    if not is_bound(kept, at):
        return None
    at += 2 * HEADER_BYTES
    if kind_at(data, at, n) != c'T' and kind_at(data, at, n) != c'n':
        return None
    rows = tag = behind(data, at)
    if data[at] == c'T':
        columns = PyBytes_FromStringAndSize(<const char *>data + at + HEADER_BYTES, rows - at - HEADER_BYTES)
    while kind_at(data, tag, n) == c'D':
        tag = behind(data, tag)
    if kind_at(data, tag, n) != c'C':
        return None
    end = behind(data, tag)
    if kind_at(data, end, n) != c'Z' or behind(data, end) != n:
        return None
    return (columns, PyBytes_FromStringAndSize(<const char *>data + rows, tag - rows),
            PyBytes_FromStringAndSize(<const char *>data + tag + HEADER_BYTES, end - tag - HEADER_BYTES - 1))
