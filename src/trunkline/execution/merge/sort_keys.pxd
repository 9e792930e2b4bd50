# Values as strings of bytes that are in the order of the values: the C side of the contract in sort_keys.pyx.
from libc.stdint cimport int64_t

cdef struct Buffer:
    unsigned char *data
    Py_ssize_t size          # used
    Py_ssize_t room

cdef struct Order:
    int kind                 # of exact_types
    bint descending
    bint nulls_first

cdef int reserve(Buffer *buffer, Py_ssize_t more) except -1
cdef int append(Buffer *buffer, const unsigned char *data, Py_ssize_t n) except -1
cdef void release(Buffer *buffer) noexcept
cdef int put_key(Buffer *buffer, const Order *order, const unsigned char *value, Py_ssize_t n) except -1
