# The places that a socket can be in: the C side of the contract in place.pyx.
from trunkline.net.engine cimport Watched

cdef class Placed(Watched):
    cdef readonly Place place
    cdef Placed previous, following

cdef class Place:
    cdef readonly str name
    cdef readonly Py_ssize_t count
    cdef Placed first, last
    cdef int add(self, Placed link) except -1
    cdef int add_first(self, Placed link) except -1
    cdef int remove(self, Placed link) except -1
