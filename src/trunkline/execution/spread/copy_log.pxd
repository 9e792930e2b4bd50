# Where each row of a COPY went: the C side of the contract in copy_log.pyi.
from libc.stdint cimport uint32_t

cdef class Log:
    cdef bytearray _log
    cdef list _old
    cdef object _extras, _ends
    cdef Py_ssize_t _rows, _bytes
    cdef readonly Py_ssize_t lines

    cdef int note(self, int shard, uint32_t extra, Py_ssize_t body) except -1
