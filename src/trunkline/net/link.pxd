# One socket, and the places a socket's owner can be in: the C side of the contract in link.pyx.
from trunkline.net.engine cimport Engine, Watched

cdef class Place:
    cdef readonly str name
    cdef readonly Py_ssize_t count
    cdef Link first, last
    cdef int add(self, Link link) except -1
    cdef int add_first(self, Link link) except -1
    cdef int remove(self, Link link) except -1

cdef class Link(Watched):
    cdef Engine engine
    cdef readonly Place place
    cdef Link previous, following
    cdef readonly bytes kept          # received, not yet consumed
    cdef bytearray unsent
    cdef Py_ssize_t unsent_start
    cdef Py_ssize_t left              # of a frame whose beginning was consumed
    cdef object tls                   # None, or the TlsChannel
    cdef object inbox                 # None, or who gets the bytes during login
    cdef readonly bint paused         # not read, because of `pause`
    cdef readonly bint closing        # closes when everything is sent
    cdef readonly bint eof
    cdef readonly bint blocked        # not read while `kept` waits for someone else
    cdef readonly unsigned int id
    cdef readonly double connected_at

    cdef int adopt(self, int fd) except -1
    cdef int move(self, Place place) except -1
    cdef Py_ssize_t consume(self, unsigned char *data, Py_ssize_t n) except -1
    cdef int on_end(self, object error) except -1
    cdef int on_drained(self) except -1
    cdef int run_kept(self) except -1
    cdef int send(self, const unsigned char *data, Py_ssize_t n) except -1
    cdef int gather(self, const unsigned char *data, Py_ssize_t n) except -1
    cdef unsigned char *scratch(self, Py_ssize_t n) except NULL
    cdef int flush(self) except -1
    cdef int retain(self, object bytes_sent) except -1
    cdef int forget_gathered(self) except -1
    cdef int pause(self) except -1
    cdef int resume(self) except -1
    cpdef close(self)
    cpdef close_when_sent(self)
    cdef int _receive(self) except -1
    cdef int _feed(self, unsigned char *data, Py_ssize_t n, bint whole) except -1
    cdef int _receive_tls(self) except -1
    cdef int _decrypt(self) except -1
    cdef int _write_tls(self) except -1
    cdef int _write(self) except -1
    cdef int _update_interest(self) except -1
    cdef int _finish(self) except -1
    cdef int _on_receive_error(self, Py_ssize_t n) except -1
    cdef int _keep_waiting(self, unsigned char *data, Py_ssize_t n) except -1
    cdef int _send_segments(self) except -1
    cdef int _encrypt(self, const unsigned char *data, Py_ssize_t n) except -1
    cdef int _say_goodbye(self) except -1
    cdef int _keep_unsent(self, const unsigned char *data, Py_ssize_t n) except -1

    cdef inline bint is_open(self) noexcept:
        return self.fd >= 0

    cdef inline Py_ssize_t unsent_bytes(self) noexcept:
        return 0 if self.unsent is None else len(self.unsent) - self.unsent_start
