# The values of one call: the C side of the contract in call.pyx.
from libc.stdint cimport uint32_t, uint64_t

from trunkline.routing.text.fingerprint cimport Fingerprint

cdef struct Field:           # a parameter of a Bind
    Py_ssize_t start
    Py_ssize_t size          # -1 is NULL
    bint binary

cdef class Call:
    cdef Fingerprint literals            # of `text`
    cdef const unsigned char *text
    cdef const unsigned char *data       # of the Bind
    cdef Field *fields
    cdef Py_ssize_t count                # of fields
    cdef bint bound                      # there is a Bind
    cdef Py_ssize_t capacity
    cdef const unsigned char *oids       # of the Parse, as they stand there
    cdef Py_ssize_t oid_count
    cdef tuple kept                      # what the pointers point into, for callers in Python
    cdef dict places                     # of the literals in the plan that is being evaluated, by location
    cdef readonly object reason          # the exception behind the last answer that is no mask

    cdef void speak(self, Fingerprint literals, const unsigned char *text) noexcept
    cdef void declare(self, const unsigned char *oids, Py_ssize_t count) noexcept
    cdef int bind(self, const unsigned char *data, Py_ssize_t n) except -1
    cdef uint32_t oid_of(self, Py_ssize_t number) noexcept
    cdef Py_ssize_t _fields(self, Py_ssize_t n) except -2
    cdef Py_ssize_t _field(self, Py_ssize_t number, Py_ssize_t at, Py_ssize_t n, int format) noexcept
