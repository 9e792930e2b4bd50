from trunkline.net.place cimport Place
from trunkline.pool.server cimport Lessee, Owner, ServerLink

cdef class Leases(Owner):
    cdef readonly Place idle, active, tested, logging_in, canceled, draining      # of servers
    cdef readonly Place clients, waiting                                         # of lessees
    cdef public bint paused
    cdef public Py_ssize_t size          # pool_size; 0 is no limit
    cdef public bint shut                # its server's circuit breaker is not closed: no read is sent there
    cdef public object trouble           # servers cannot be opened (policy.Trouble); None: they can, as far as is known
    cdef public bint newest_first
    cdef public bint full                # who joins the line cannot bring about anything: `on_waiting` is not asked
    cdef public bint reset_always
    cdef public bint fast_close          # session pooling: an outdated server goes at the end of its transaction
    cdef public double check_delay       # seconds; negative: never check

    cdef ServerLink lease(self, Lessee lessee)
    cpdef wait(self, Lessee lessee, bint first=*)
    cdef int give(self, ServerLink server, Lessee lessee) except -1
    cdef int hand_over(self, ServerLink server, Lessee lessee) except -1
    cdef int _hand_over(self, ServerLink server, Lessee lessee) except -1
