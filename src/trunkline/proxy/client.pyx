"""ClientLink: one logged-in client, and the relay of its requests to the server it leases.

Theory of operation. The chunk that was received is cut into frames; a step (`proxy.steps`) is taken for each, and what
the steps gathered goes out in one system call at the end of the chunk. A step that needs a server and has none puts the
client in line: the chunk is kept from that frame on and consumed again when a server is granted.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.string cimport memset

from trunkline.errors import MessageTooLarge, ProtocolViolation
from trunkline.protocol.messages import FLUSH, error_response

from trunkline.pool.large cimport go_on
from trunkline.pool.leases cimport Leases
from trunkline.pool.server cimport Lessee, ServerLink
from trunkline.protocol.scanner cimport CUT_BAD, CUT_MORE, WATCH_HEAD, WATCH_WHOLE, Cut, Frame, cut, read_u32
from trunkline.protocol.server_session cimport COPY_BOTH, COPY_IN
from trunkline.proxy.blocks cimport give_up_block
from trunkline.proxy.reads cimport leave_replica, note_end_of_write
from trunkline.proxy.routed cimport Route
from trunkline.proxy.repeats cimport ask_elsewhere, may_ask_again, repeat_lost, unit_passed
from trunkline.proxy.steps cimport OVER, WAIT, take_step

STATES = ("ready", "copying", "refused", "lost")

# How much of a frame a step must see at once; the others need only the header.
SEEN = {"Q": WATCH_WHOLE, "P": WATCH_WHOLE, "B": WATCH_HEAD, "D": WATCH_WHOLE, "E": WATCH_HEAD, "C": WATCH_WHOLE}

cdef unsigned char WATCH[256]
memset(WATCH, 0, sizeof(WATCH))
for _kind, _seen in SEEN.items():
    WATCH[<unsigned char>ord(_kind)] = <unsigned char>_seen

cdef enum:
    OWED_LIMIT = 65536   # requests in flight before it is no longer read
    UNREAD_LIMIT = 131072
    LONGEST_BYTES = 0x3ffffffe   # PostgreSQL's own limit (libpq.h, PQ_LARGE_MESSAGE_LIMIT): it would only hang up


cdef class ClientLink(Lessee):
    """A client; `begin` makes a logged-in connection into a relaying one."""

    def __repr__(self):
        return f"<ClientLink {self.id} {STATES[self.state]}{' waiting' if self.waiting_since else ''} {self.server!r}>"

    def begin(self, Leases pool, params, bint sticky, Py_ssize_t max_bytes, route=None):
        """Logged in: requests are relayed from now on. `params` is what this session must find at every server."""
        self.pool = pool
        self.route = route
        self.params = self.start = params
        self.sticky = sticky
        self.max_bytes = min(max_bytes, LONGEST_BYTES)
        self.active_at = self.engine.now

    @property
    def mid_request(self):
        """Its server has the beginning of a frame without its end."""
        return self.left > 0 and self.passing

    def bind_to(self, ServerLink server):
        """A server of this client's own (replication): never leased, never given back."""
        server.lease_to(self)
        self.sticky = True

    # --- requests -----------------------------------------------------------------------------------------------

    cdef Py_ssize_t consume(self, unsigned char *data, Py_ssize_t n) except -1:
        cdef Frame frame
        cdef Cut verdict
        cdef Py_ssize_t at = 0
        cdef int answer
        self.active_at = self.engine.now
        self.chunk_end = data + n
        if self.left:
            at = self._stream_rest(data, n)
        while at < n:
            verdict = cut(WATCH, data + at, n - at, self.max_bytes, &frame)
            if verdict == CUT_MORE:
                break
            if verdict == CUT_BAD:
                if self._await_last_answers():
                    break
                self._bad_length(read_u32(data + at + 1))
                return n
            answer = take_step(self, &frame)
            if answer == WAIT:
                break
            if answer == OVER:
                return n
            at += frame.have
            self.left = frame.size - frame.have
        self.pool.bytes_received += at
        self._after_chunk()
        return at

    cdef int _stream_rest(self, unsigned char *data, Py_ssize_t n) except -1:
        """The body of a frame whose beginning was handled: on to where that went."""
        cdef Py_ssize_t size = min(self.left, n)
        self.left -= size
        if self.passing and self.server is not None:
            self.server.gather(data, size)
        if self.assembly is not None:
            go_on(self, data, size, self.left == 0)
        return size

    cdef int _after_chunk(self) except -1:
        cdef ServerLink server = self.server
        if server is None:
            if self.unsent is not None and self.unsent_bytes() > UNREAD_LIMIT:
                self.pause()  # it sends requests that we answer ourselves and reads none of the answers
            return 0
        server.flush()
        if server.unsent is not None or server.session.count > OWED_LIMIT or self.unsent_bytes() > UNREAD_LIMIT:
            self.pause()
        if self.left == 0 and server.session.is_free() and not self.sticky:
            self.pool.on_free(server)
        return 0

    cdef bint _copies_in(self) noexcept:
        cdef int copying = self.server.session.copying
        return (copying == COPY_IN and not self.server.session.copy_ended) or copying == COPY_BOTH

    cdef int _await_server(self) except -1:
        """Lease a server; 1 when the client has to wait for it (then this frame comes again)."""
        return 0 if self.pool.lease(self) is not None else 1

    cdef int _await_answers(self) except -1:
        """Keep this frame until the answers owed have come; those to an unfinished batch are asked for."""
        cdef bytes flush = FLUSH
        if self.server.session.in_batch():
            self.server.session.flush_sent()
            self.server.gather(<unsigned char *>PyBytes_AS_STRING(flush), PyBytes_GET_SIZE(flush))
        self.awaits_answers = self.blocked = True
        return WAIT

    cdef bint _await_last_answers(self) except *:
        """What ends this client comes behind the answers that it is owed."""
        if self.server is None or not self.server.session.count or self._copies_in():
            return False
        self._await_answers()
        return True

    cdef int _pass(self, Frame *frame) except -1:
        self.passing = True
        return self.server.gather(frame.data, frame.have)

    cdef int _flush_requests(self) except -1:
        """Before this client ends in the middle of a chunk: what came before goes out, from the buffer it is still in."""
        return self.server.flush() if self.server is not None else 0

    cdef int _violation(self, str text) except -1:
        self._flush_requests()
        self.end(ProtocolViolation(text))
        return OVER

    cdef int _unknown_type(self, Frame *frame, bint in_copy) except -1:
        if in_copy:
            return self._pass(frame)  # it ends the server's connection, which says so in its own words
        return WAIT if self._await_last_answers() else self._violation(f"invalid frontend message type {frame.type}")

    cdef int _too_long(self) except -1:
        return self._violation("invalid message length")

    def _bad_length(self, unsigned int length):
        self._flush_requests()
        if 4 <= length <= 0x7fffffff:
            self.end(MessageTooLarge(f"message of {length} bytes is larger than max_packet_size"))
        else:
            self._violation("invalid message length")

    # --- what the pool and the server say -------------------------------------------------------------------------

    cpdef granted(self):
        self.run_kept()
        if self.cancel_wanted is not None and (not self.blocked or self.several is not None):
            self.session.clients.cancels.sent(self)
        if not self.blocked:
            self.resume()

    cpdef bint asks_position(self):
        return self.route is None or not (<Route>self.route).readers.sticky_s

    cpdef wrote_up_to(self, position):
        if self.route is not None:
            note_end_of_write(self, self.route, position)

    cpdef refused(self, error):
        """No server: the first unit in line is answered with the error; the client is kept unless it is fatal."""
        cdef bint extended_batch
        cdef bytes ready
        if leave_replica(self, error):
            return
        if error.severity == "FATAL" and self.route is None:
            self.end(error)
            return
        error.severity = "ERROR"  # a shard that is down concerns its own statements only
        if self.cancel_wanted is not None:
            self.session.clients.cancels.lapse(self)
        ready = give_up_block(self)
        extended_batch = self.kept is not None and self.kept[:1] not in (b"Q", b"F")
        self.write(error_response(error))
        if extended_batch:
            self.state = REFUSED
        else:
            self._drop_first_kept()
            self.state = READY if self.lost is None else LOST
            self.write(ready)
        self.run_kept()
        if not self.blocked:
            self.resume()

    def _drop_first_kept(self):
        """The refused Query itself, which may not all have arrived."""
        if self.route is not None:
            unit_passed(self.route)
        cdef Py_ssize_t size = 1 + <Py_ssize_t>int.from_bytes(self.kept[1:5], "big")
        cdef Py_ssize_t here = min(size, len(self.kept))
        self.left = size - here
        self.passing = False
        self.kept = self.kept[here:] or None

    cpdef bint outlives(self):
        """Not if its session has something that only this server knew."""
        return not (self.sticky or self.eof or self.closing or self.server.doubt)

    cpdef bint asks_again(self, ServerLink server, bytes said):
        return self.route is not None and may_ask_again(self, self.route, server, said)

    cpdef ask_again(self, ServerLink server):
        ask_elsewhere(self, self.route, server)

    def repeats(self, ServerLink server):
        """What it is owed by a server that is lost is asked elsewhere; False if that has to be told."""
        return self.route is not None and repeat_lost(self, self.route, server)

    cpdef server_lost(self, ServerLink server, error, bint goes_on):
        self.session.on_server_lost(self, server, error, goes_on)

    def carry_on(self, bytes said, lost, bint skipping):
        """Its server is gone and it stays: it hears what it is owed, and goes on without one."""
        self.passing = self.ends_names = self.awaits_answers = self.blocked = False
        self.batch = 0
        self.copy_syncs = 0
        self.lost = lost
        self.state = REFUSED if skipping else READY if lost is None else LOST
        self.write(said)
        self.run_kept()
        if self.cancel_wanted is not None and self.kept is None:
            self.session.clients.cancels.lapse(self)
        if not self.blocked:
            self.resume()

    def name(self, bytes name, statement):
        """Give a statement a name of this client's, or (None) take the name back."""
        if self.names is None:
            self.names = {}
        if statement is None:
            self.names.pop(name, None)
        else:
            self.names[name] = statement

    @property
    def bound(self):
        """The batch it is in has more than definitions of statements."""
        return self.batch != 0

    cdef int on_drained(self) except -1:
        if self.several is not None:
            self.several.drained()
        if self.server is not None:
            self.server.resume()
        if self.paused and not self.blocked and (self.server is None or self.server.unsent is None):
            self.resume()
        return 0

    # --- the end ------------------------------------------------------------------------------------------------

    def end(self, error):
        """Say the error (None: nothing to say) and close; a leased server is dropped, for nothing is proved."""
        self.session.end(self, error)

    def say_goodbye(self, error):
        """The last words, queued behind what is unsent."""
        if error is not None:
            self.write(error_response(error))
        self.close_when_sent()

    cdef int on_end(self, object error) except -1:
        self.eof = True
        self._update_interest()
        self.session.on_client_gone(self, error)
        return 0

    cdef int on_failure(self, object error) except -1:
        self.forget_gathered()
        self.session.on_internal_error(self, error)
        return 0
