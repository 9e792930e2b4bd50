# A server that is leased for a statement over several shards: the C side of the contract in participant.pyx.
from trunkline.pool.server cimport Lessee, ServerLink

cdef class Participant(Lessee):
    cdef readonly int shard
    cdef readonly object pool         # that it leases from
    cdef readonly object lost         # why its server is gone; None: it is not
    cdef public list notices          # NoticeResponse messages that have come and are not told yet
    cdef readonly object on_more      # called when something has come, or its server is lost; or None
    cdef readonly object on_answer    # called when nothing is owed any more; or None
    cdef bint _asked_for              # it has a server, or is in line for one
    cdef bytearray _here              # replies that are not taken yet
    cdef Py_ssize_t _at
    cdef object _waiter
    cdef int _wake(self) except -1
    cdef object _next(self)
    cdef int _taken(self) except -1
