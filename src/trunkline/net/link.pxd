# One socket: the C side of the contract in link.pyx.
from trunkline.net.engine cimport Engine
from trunkline.net.place cimport Place
from trunkline.net.sender cimport Sender

cdef class Link(Sender):
    cdef Engine engine
    cdef readonly bytes kept          # received, not yet consumed
    cdef Py_ssize_t left              # of a frame whose beginning was consumed
    cdef object inbox                 # None, or who gets the bytes during login
    cdef readonly bint paused         # not read, because of `pause`
    cdef readonly bint suspended      # not read, because of the operator (SUSPEND)
    cdef readonly bint closing        # closes when everything is sent
    cdef readonly bint eof
    cdef readonly bint blocked        # not read while `kept` waits for someone else
    cdef readonly unsigned int id
    cdef readonly double connected_at

    cdef int adopt(self, int fd) except -1
    cdef int move(self, Place place) except -1
    cdef Py_ssize_t consume(self, unsigned char *data, Py_ssize_t n) except -1
    cdef int on_drained(self) except -1
    cdef int run_kept(self) except -1
    cdef int pause(self) except -1
    cdef int resume(self) except -1
    cpdef close(self)
    cpdef close_when_sent(self)
    cdef int _receive(self) except -1
    cdef int _feed(self, unsigned char *data, Py_ssize_t n) except -1
    cdef int _receive_tls(self) except -1
    cdef int _decrypt(self) except -1
    cdef int _finish(self) except -1
    cdef int _on_receive_error(self, Py_ssize_t n) except -1
    cdef int _keep_waiting(self, unsigned char *data, Py_ssize_t n) except -1
