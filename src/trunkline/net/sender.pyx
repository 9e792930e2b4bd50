"""Sender: the sending half of a socket, plain or through TLS, and the runs that are gathered for one system call.

Theory of operation. Runs of bytes are gathered, from wherever they are, and go out in one system call at `flush`; what
the socket does not take is copied and queued. The list of runs and the scratch space are the process's, used within
one event by one sender at a time.

Rules:
1. Gathered bytes must stay where they are until `flush`; an object that owns them is given to `retain`.
2. A send that fails says nothing to its caller, who is in the middle of another socket's event: the engine reports the
   broken socket to its own owner.
3. System calls keep the interpreter's lock: none of them blocks, and giving it away costs more than most of them.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.errno cimport EAGAIN, ECONNRESET, EINTR, EPIPE, errno
from libc.string cimport memset

import ssl
from os import strerror

from trunkline.failpoints cimport failpoint
from trunkline.net.place cimport Placed

cdef extern from "<sys/socket.h>" nogil:
    enum:
        MSG_NOSIGNAL
    struct iovec:
        void *iov_base
        size_t iov_len
    struct msghdr:
        iovec *msg_iov
        size_t msg_iovlen
    ssize_t c_send "send" (int fd, const void *buf, size_t n, int flags)
    ssize_t sendmsg(int fd, const msghdr *msg, int flags)

cdef enum:
    SEGMENTS = 32
    SCRATCH_BYTES = 65536
    SENT_BYTES = 65536          # what was sent of a queue is dropped in pieces of this size

cdef iovec SEGMENT[SEGMENTS]
cdef int segments = 0
cdef void *gathering = NULL
cdef unsigned char SCRATCH[SCRATCH_BYTES]
cdef Py_ssize_t scratch_used = 0
cdef list retained = []


cdef class Sender(Placed):
    """A socket that can be written to; what is done with what arrives is the subclass's."""

    cdef int on_sent(self) except -1:
        """The queue is empty again."""
        raise NotImplementedError

    cdef int on_end(self, object error) except -1:
        """The peer closed (error None) or broke the connection."""
        raise NotImplementedError

    cdef int _update_interest(self) except -1:
        """Have the engine watch for what is wanted now."""
        raise NotImplementedError

    # --- gathering ----------------------------------------------------------------------------------------------

    cdef int gather(self, const unsigned char *data, Py_ssize_t n) except -1:
        """Note a run of bytes to be sent by `flush`, in order; they must stay where they are until then."""
        global segments, gathering
        if n <= 0:
            return 0
        if gathering != <void *>self and segments:
            raise RuntimeError("two links gather at once")
        if segments and <const unsigned char *>SEGMENT[segments - 1].iov_base + SEGMENT[segments - 1].iov_len == data:
            SEGMENT[segments - 1].iov_len += n
            return 0
        if segments == SEGMENTS:
            self._send_segments()
        gathering = <void *>self
        SEGMENT[segments].iov_base = <void *>data
        SEGMENT[segments].iov_len = n
        segments += 1
        return 0

    cdef unsigned char *scratch(self, Py_ssize_t n) except NULL:
        """Room for n bytes of our own among the gathered runs, valid until `flush`."""
        global scratch_used
        if n > SCRATCH_BYTES:
            raise RuntimeError("a message of our own is larger than the scratch buffer")
        if scratch_used + n > SCRATCH_BYTES:
            self._send_segments()
            scratch_used = 0
        scratch_used += n
        return SCRATCH + scratch_used - n

    cdef int flush(self) except -1:
        global scratch_used
        if segments:
            if gathering != <void *>self:
                return 0  # another link's: it will send them itself
            failpoint(b"before_send")
            self._send_segments()
        scratch_used = 0
        if retained:
            retained.clear()
        return 0

    cdef int retain(self, object sent) except -1:
        """Keep alive, until `flush`, an object whose bytes were gathered."""
        retained.append(sent)
        return 0

    cdef int forget_gathered(self) except -1:
        """An error came between `gather` and `flush`: nothing of it may go out with another link's bytes."""
        global segments, gathering, scratch_used
        segments, gathering, scratch_used = 0, NULL, 0
        retained.clear()
        return 0

    cdef int _send_segments(self) except -1:
        global segments, gathering
        cdef int n = segments, i
        cdef msghdr message
        cdef Py_ssize_t sent = 0, size
        segments, gathering = 0, NULL
        if n == 1:
            return self.send(<unsigned char *>SEGMENT[0].iov_base, SEGMENT[0].iov_len)
        if self.tls is None and self.unsent is None and self.fd >= 0:
            memset(&message, 0, sizeof(message))
            message.msg_iov = &SEGMENT[0]
            message.msg_iovlen = n
            sent = sendmsg(self.fd, &message, MSG_NOSIGNAL)
            if sent < 0:
                if errno != EAGAIN and errno != EINTR:
                    return 0
                sent = 0
        for i in range(n):
            size = SEGMENT[i].iov_len
            if sent >= size:
                sent -= size
                continue
            if self.tls is not None:
                self.send(<unsigned char *>SEGMENT[i].iov_base, size)
            else:
                self._keep_unsent(<unsigned char *>SEGMENT[i].iov_base + sent, size - sent)
            sent = 0
        return 0

    # --- sending ------------------------------------------------------------------------------------------------

    cdef int send(self, const unsigned char *data, Py_ssize_t n) except -1:
        """Send, or queue what the socket does not take. Never blocks, never fails (rule 2)."""
        cdef Py_ssize_t sent = 0
        if self.fd < 0 or n <= 0:
            return 0
        if self.tls is not None:
            return self._encrypt(data, n)
        if self.unsent is None:
            sent = c_send(self.fd, data, n, MSG_NOSIGNAL)
            if sent == n:
                return 0
            if sent < 0:
                if errno != EAGAIN and errno != EINTR:
                    return 0
                sent = 0
        return self._keep_unsent(data + sent, n - sent)

    cdef int _keep_unsent(self, const unsigned char *data, Py_ssize_t n) except -1:
        if self.fd < 0:
            return 0
        run = PyBytes_FromStringAndSize(<char *>data, n)
        if self.unsent is None:
            self.unsent = bytearray(run)
            self.unsent_start = 0
            return self._update_interest()
        self.unsent += run
        return 0

    cdef int _write(self) except -1:
        cdef Py_ssize_t n = len(self.unsent) - self.unsent_start, sent
        cdef unsigned char *start = <unsigned char *>self.unsent
        sent = c_send(self.fd, start + self.unsent_start, n, MSG_NOSIGNAL)
        if sent < 0:
            if errno == EAGAIN or errno == EINTR:
                return 0
            if errno != EPIPE and errno != ECONNRESET:
                return self.on_end(strerror(errno))
            self.unsent = None  # the peer reads no more; what it said before that is still to be read, and then its end
            return self.on_sent()
        self.unsent_start += sent
        if sent < n:
            if self.unsent_start > SENT_BYTES:
                del self.unsent[:self.unsent_start]
                self.unsent_start = 0
            return 0
        self.unsent = None
        return self.on_sent()

    # --- through TLS --------------------------------------------------------------------------------------------

    cdef int _encrypt(self, const unsigned char *data, Py_ssize_t n) except -1:
        try:
            self.tls.write(PyBytes_FromStringAndSize(<char *>data, n))
        except ssl.SSLError:
            return 0  # rule 2: the reading side reports it
        return self._write_tls()

    cdef int _write_tls(self) except -1:
        cdef bytes sealed
        cdef Py_ssize_t sent = 0, n
        sealed = self.tls.outgoing.read()
        n = PyBytes_GET_SIZE(sealed)
        if not n or self.fd < 0:
            return 0
        if self.unsent is None:
            sent = c_send(self.fd, PyBytes_AS_STRING(sealed), n, MSG_NOSIGNAL)
            if sent == n:
                return 0
            if sent < 0:
                if errno != EAGAIN and errno != EINTR:
                    return 0
                sent = 0
        return self._keep_unsent(<unsigned char *>PyBytes_AS_STRING(sealed) + sent, n - sent)

    cdef int _say_goodbye(self) except -1:
        """close_notify, so that the peer can tell an end from a cut."""
        try:
            self.tls.unwrap()
        except (ssl.SSLError, ValueError):
            pass
        return self._write_tls()
