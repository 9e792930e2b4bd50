"""Link: one non-blocking socket with its own system calls; its receiving half and its life.

Theory of operation. All links of a process receive into one shared buffer, between two events; `consume` (a subclass's)
looks at the bytes there and sends runs of them to a peer from the same buffer. What it does not consume is kept, what
a peer cannot take is queued at the peer. An idle link owns no buffer.

Rules:
1. `consume` gets the bytes it left last time in front of the new ones, and must not keep a pointer to them.
2. Whoever feeds a link that has unsent bytes stops reading its own source until `on_drained`: so `unsent` stays below
   one buffer and what the proxy itself has to say.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.errno cimport EAGAIN, EINTR, errno
from libc.string cimport memcpy
from posix.unistd cimport close as close_fd

import logging
import ssl
from os import strerror

from trunkline.failpoints cimport failpoint
from trunkline.net.engine cimport READ, WRITE, Engine
from trunkline.net.place cimport Place
from trunkline.net.sender cimport Sender

cdef extern from "<sys/socket.h>" nogil:
    enum:
        MSG_DONTWAIT, SHUT_WR
    ssize_t recv(int fd, void *buf, size_t n, int flags)
    int shutdown(int fd, int how)

cdef extern from "<sys/epoll.h>" nogil:
    enum:
        EPOLLIN, EPOLLOUT, EPOLLERR, EPOLLHUP

log = logging.getLogger("trunkline.net")

cdef enum:
    BUFFER_BYTES = 65536        # of one recv
    KEPT_BYTES = 65536          # kept bytes fit in front of them
    WAITING_BYTES = 65536       # a blocked link is read up to this
    LINGER_READS = 16           # what a closing link reads and drops, lest the kernel answers with RST

# One for the process: used only within one event, by one link at a time.
cdef unsigned char BUFFER[KEPT_BYTES + BUFFER_BYTES]
cdef unsigned int last_id = 0
cdef unsigned int id_step = 1


def number_links(unsigned int first, unsigned int step):
    """Which ids links have from now on, so that those of several processes are different."""
    global last_id, id_step
    last_id, id_step = first, step


cdef class Link(Sender):
    """A socket in non-blocking mode; subclasses say what the bytes mean."""

    def __init__(self, Engine engine):
        global last_id
        last_id += id_step
        self.id = last_id
        self.engine = engine
        self.connected_at = engine.now
        self.inbox = None

    # --- life ---------------------------------------------------------------------------------------------------

    cdef int adopt(self, int fd) except -1:
        """Take the descriptor over and begin to read it."""
        self.fd = fd
        return self.engine.watch(self, READ)

    def attach(self, int fd):
        """`adopt` for Python callers: `fd` is non-blocking and belongs to this link from now on."""
        self.adopt(fd)

    cdef int move(self, Place place) except -1:
        if self.place is not None:
            self.place.remove(self)
        if place is not None:
            place.add(self)
        return 0

    cpdef close(self):
        """Close now; what is unsent is lost."""
        if self.fd >= 0:
            self.engine.forget(self)
            close_fd(self.fd)
            self.fd = -1
        self.move(None)
        self.kept = None
        self.unsent = None
        self.tls = None
        inbox, self.inbox = self.inbox, None
        if inbox is not None:
            inbox.end()

    cpdef close_when_sent(self):
        """Read nothing more, send what is queued, then close in a way that lets the peer read it."""
        if self.fd < 0 or self.closing:
            return
        self.closing = True
        self.left = 0
        self.kept = None
        if self.tls is not None:
            self._say_goodbye()
        if self.unsent is None:
            self._finish()
        else:
            self._update_interest()

    cdef int _finish(self) except -1:
        cdef int i
        shutdown(self.fd, SHUT_WR)
        for i in range(LINGER_READS):
            if recv(self.fd, BUFFER, BUFFER_BYTES, MSG_DONTWAIT) <= 0:
                break
        self.close()
        return 0

    cdef int on_failure(self, object error) except -1:
        self.forget_gathered()
        self.close()
        return 0

    # --- what subclasses say ------------------------------------------------------------------------------------

    cdef Py_ssize_t consume(self, unsigned char *data, Py_ssize_t n) except -1:
        """Use up to n bytes; returns how many were used. The rest comes again, with more behind it."""
        raise NotImplementedError

    cdef int on_end(self, object error) except -1:
        """The peer closed (error None) or broke the connection."""
        self.close()
        return 0

    cdef int on_drained(self) except -1:
        """Everything queued was sent."""
        return 0

    cdef int on_sent(self) except -1:
        if self.closing:
            return self._finish()
        self._update_interest()
        return self.on_drained()

    # --- reading ------------------------------------------------------------------------------------------------

    cdef int on_events(self, unsigned int events) except -1:
        if events & EPOLLOUT and self.unsent is not None:
            self._write()
            if self.fd < 0:
                return 0
        if events & EPOLLIN and self.interest & READ:
            return self._receive_tls() if self.tls is not None else self._receive()
        if events & (EPOLLERR | EPOLLHUP):
            return self.on_end("connection reset by peer")
        return 0

    cdef int _receive(self) except -1:
        cdef Py_ssize_t kept = 0, n
        cdef unsigned char *start = BUFFER
        if self.kept is not None and not self.blocked and self.inbox is None:
            kept = PyBytes_GET_SIZE(self.kept)
            if kept > KEPT_BYTES:
                raise RuntimeError("kept more than a frame may need")
            memcpy(start, PyBytes_AS_STRING(self.kept), kept)
            self.kept = None
        n = recv(self.fd, start + kept, BUFFER_BYTES, 0)
        if n > 0:
            return self._feed(start, kept + n)
        if kept:
            self.kept = PyBytes_FromStringAndSize(<char *>start, kept)
        return self._on_receive_error(n)

    cdef int _on_receive_error(self, Py_ssize_t n) except -1:
        if n == 0:
            self.eof = True
            return self.on_end(None)
        if errno == EAGAIN or errno == EINTR:
            return 0
        return self.on_end(strerror(errno))

    cdef int _feed(self, unsigned char *data, Py_ssize_t n) except -1:
        cdef Py_ssize_t used
        if self.closing:
            return 0
        if self.inbox is not None:
            self.inbox.feed(PyBytes_FromStringAndSize(<char *>data, n))
            return 0
        if self.blocked:
            return self._keep_waiting(data, n)
        used = self.consume(data, n)
        if used < n and self.fd >= 0 and not self.closing:
            self.kept = PyBytes_FromStringAndSize(<char *>data + used, n - used)
        return 0

    cdef int _keep_waiting(self, unsigned char *data, Py_ssize_t n) except -1:
        more = PyBytes_FromStringAndSize(<char *>data, n)
        self.kept = more if self.kept is None else self.kept + more
        if PyBytes_GET_SIZE(self.kept) >= WAITING_BYTES:
            self.pause()
        return 0

    cdef int run_kept(self) except -1:
        """Consume what was kept, now that what it waited for is there."""
        cdef bytes held = self.kept
        cdef Py_ssize_t used
        if held is None:
            return 0
        self.kept = None
        try:
            failpoint(b"kept_taken")
            used = self.consume(<unsigned char *>PyBytes_AS_STRING(held), PyBytes_GET_SIZE(held))
        except Exception as error:  # this runs within another link's event, or a task: neither is to blame
            log.exception("internal error at %r", self)
            return self.on_failure(error)
        if used < PyBytes_GET_SIZE(held) and self.fd >= 0 and not self.closing:
            self.kept = held[used:] if used else held
        return 0

    cdef int pause(self) except -1:
        """Stop reading: the kernel's buffers fill, and the peer feels it."""
        self.paused = True
        return self._update_interest()

    cdef int resume(self) except -1:
        if not self.paused or self.fd < 0:
            return 0
        self.paused = False
        self._update_interest()
        if self.tls is not None and self.tls.pending:
            self.engine.loop.call_soon(self._pump_tls)
        return 0

    cdef int _update_interest(self) except -1:
        cdef unsigned int interest = 0
        if self.fd < 0:
            return 0
        if not (self.paused or self.suspended or self.eof or self.closing):
            interest |= READ
        if self.unsent is not None:
            interest |= WRITE
        return self.engine.change(self, interest)

    # --- TLS: the same link, with memory BIOs between the socket and `consume` -----------------------------------

    def start_tls(self, channel, bytes received=b""):
        """Speak TLS from now on; `received` is the ClientHello of a connection that began with it."""
        self.tls = channel
        if received:
            channel.incoming.write(received)
            self._pump_tls()
        else:
            self._advance_handshake()

    cdef int _receive_tls(self) except -1:
        cdef Py_ssize_t n
        n = recv(self.fd, BUFFER, BUFFER_BYTES, 0)
        if n <= 0:
            return self._on_receive_error(n)
        self.tls.incoming.write(PyBytes_FromStringAndSize(<char *>BUFFER, n))
        self._pump_tls()
        return 0

    def _pump_tls(self):
        """Decrypt what has arrived, as long as someone wants it; an exception ends this link only."""
        try:
            self._decrypt()
        except Exception as error:
            log.exception("internal error at %r", self)
            self.on_failure(error)

    cdef int _decrypt(self) except -1:
        cdef bytes plain
        if self.tls is None or (self.tls.handshaking and not self._advance_handshake()):
            return 0
        while self.tls is not None and self.fd >= 0 and not (self.paused or self.suspended or self.closing):
            try:
                plain = self.tls.read(BUFFER_BYTES)
            except ssl.SSLWantReadError:
                break
            except ssl.SSLError as error:
                return self.on_end(f"TLS: {error.reason}")
            if not plain:
                self.eof = True
                return self.on_end(None)
            if self.kept is not None and not self.blocked and self.inbox is None:
                plain, self.kept = self.kept + plain, None
            self._feed(<unsigned char *>PyBytes_AS_STRING(plain), PyBytes_GET_SIZE(plain))
        return self._write_tls() if self.tls is not None else 0  # key updates and alerts

    def _advance_handshake(self):
        """One step; true when the handshake is over."""
        channel = self.tls
        try:
            channel.do_handshake()
        except ssl.SSLWantReadError:
            self._write_tls()
            return False
        except (ssl.SSLError, ValueError) as error:
            self._write_tls()
            self.tls = None
            channel.finish(error)
            self.on_end(f"TLS handshake: {getattr(error, 'reason', None) or error}")
            return False
        self._write_tls()
        channel.finish(None)
        return True

    # --- for Python callers -------------------------------------------------------------------------------------

    def write(self, bytes data):
        """Send or queue `data`."""
        self.send(<unsigned char *>PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))

    def open_inbox(self, inbox):
        """Give all received bytes to `inbox` (its `feed` and `end`) instead of `consume`, until `close_inbox`."""
        self.inbox = inbox

    def close_inbox(self, bytes rest):
        """Back to `consume`, which gets the `rest` that the inbox did not use."""
        self.inbox = None
        self.kept = rest or None
        self.resume()
        self.run_kept()

    def take_kept(self):
        """What was received and not used, for an inbox that was opened over it."""
        kept, self.kept = self.kept, None
        return kept or b""

    def move_to(self, Place place):
        """`move` for Python callers."""
        self.move(place)

    def hold(self):
        """Stop reading for Python callers."""
        self.pause()

    def unhold(self):
        self.resume()

    def suspend(self):
        """Read nothing until `wake`, whatever `pause` and `resume` do meanwhile."""
        self.suspended = True
        self._update_interest()

    def wake(self):
        """Undo `suspend`."""
        if not self.suspended or self.fd < 0:
            return
        self.suspended = False
        self._update_interest()
        if self.tls is not None and self.tls.pending:
            self.engine.loop.call_soon(self._pump_tls)

    @property
    def is_tls(self):
        return self.tls is not None

    @property
    def tls_channel(self):
        return self.tls

    @property
    def between_messages(self):
        """No message of the peer's is here in part."""
        return self.left == 0 and self.kept is None

    @property
    def opened(self):
        return self.fd >= 0

    @property
    def unsent_count(self):
        """Bytes queued because the peer does not take them."""
        return self.unsent_bytes()

    def fileno(self):
        return self.fd
