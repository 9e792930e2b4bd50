from trunkline.pool.leases cimport Leases
from trunkline.pool.server cimport Lessee
from trunkline.protocol.scanner cimport Frame

cdef enum:           # of a client, in the order of STATES
    READY, COPYING, REFUSED, LOST

cdef enum:           # of a batch without its Sync
    BOUND = 1 << 20  # it has more than definitions of statements

cdef class ClientLink(Lessee):
    cdef readonly Leases pool
    cdef public object several         # the session that it has instead of the relay (several.Several), or None
    cdef readonly object route         # of a database with shards: its Route
    cdef const unsigned char *chunk_end   # of the chunk that is being consumed
    cdef readonly int state
    cdef int batch                     # since the last Sync: BOUND, and WRITES if any of it does
    cdef dict sights                   # without tracking: name -> what its text shows, of statements that may write
    cdef public object cancel_wanted   # what it asked for is to be stopped when it has been sent: a Future, or None
    cdef readonly object lost          # the LostBlock that it is in, or None
    cdef Py_ssize_t max_bytes
    cdef public object session         # the Python side of this client: names, login, how it ends
    cdef readonly double active_at     # when it last sent something

    cdef int _await_server(self) except -1
    cdef int _pass(self, Frame *frame) except -1
    cdef int _await_answers(self) except -1
    cdef bint _await_last_answers(self) except *
    cdef int _flush_requests(self) except -1
    cdef int _too_long(self) except -1
    cdef int _unknown_type(self, Frame *frame, bint in_copy) except -1
    cdef int _violation(self, str text) except -1
    cdef int _stream_rest(self, unsigned char *data, Py_ssize_t n) except -1
    cdef int _after_chunk(self) except -1
    cdef bint _copies_in(self) noexcept
