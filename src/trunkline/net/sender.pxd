# The sending half of a socket: the C side of the contract in sender.pyx.
from trunkline.net.place cimport Placed

cdef class Sender(Placed):
    cdef bytearray unsent             # queued, because the socket did not take it; None when nothing is
    cdef Py_ssize_t unsent_start
    cdef object tls                   # None, or the TlsChannel

    cdef int on_sent(self) except -1
    cdef int on_end(self, object error) except -1
    cdef int _update_interest(self) except -1
    cdef int gather(self, const unsigned char *data, Py_ssize_t n) except -1
    cdef unsigned char *scratch(self, Py_ssize_t n) except NULL
    cdef int flush(self) except -1
    cdef int retain(self, object sent) except -1
    cdef int forget_gathered(self) except -1
    cdef int send(self, const unsigned char *data, Py_ssize_t n) except -1
    cdef int _send_segments(self) except -1
    cdef int _keep_unsent(self, const unsigned char *data, Py_ssize_t n) except -1
    cdef int _write(self) except -1
    cdef int _encrypt(self, const unsigned char *data, Py_ssize_t n) except -1
    cdef int _write_tls(self) except -1
    cdef int _say_goodbye(self) except -1

    cdef inline Py_ssize_t unsent_bytes(self) noexcept:
        return 0 if self.unsent is None else len(self.unsent) - self.unsent_start
