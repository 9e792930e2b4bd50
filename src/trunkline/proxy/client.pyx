"""ClientLink: one logged-in client, and the relay of its requests to the server it leases.

Theory of operation. Each frame is looked up in `STEPS` by (state, type); the step enters what the server will answer
into the server's session and gathers the frame's bytes, which go out in one system call at the end of the chunk, from
the buffer they were received into. A step that needs a server and has none puts the client in line: the chunk is kept
from that frame on and consumed again when a server is granted.

Rules:
1. A (state, type) that is not in `STEPS` is a protocol violation, as it is in PostgreSQL (postgres.c, SocketBackend).
2. What the server is going to skip (an error, then everything up to Sync) is not sent and leaves no trace here.
3. A refusal of our own ends the unit it belongs to: one error, then nothing until Sync, then one ReadyForQuery.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.string cimport memset

from trunkline.errors import MessageTooLarge, ProtocolViolation
from trunkline.protocol.messages import FLUSH, error_response, ready_for_query

from trunkline.pool.leases cimport Leases
from trunkline.pool.prepared cimport begin, bind, close, describe, extended, names_statement, parse
from trunkline.pool.server cimport Lessee, ServerLink
from trunkline.protocol.scanner cimport CUT_BAD, CUT_MORE, WATCH_HEAD, WATCH_WHOLE, Cut, Frame, cut, read_u32
from trunkline.protocol.statement cimport commits, ends_names
from trunkline.protocol.server_session cimport (
    COPY_BOTH, COPY_IN, COPY_NONE, EXECUTE, FORWARD, FUNCTION, QUERY, SYNC, Request)

# --- the table ------------------------------------------------------------------------------------------------------

STATES = ("ready", "copying", "refused")

STEPS = {
    "ready": {
        "Q": "query", "F": "function", "P": "parse", "B": "bind", "D": "describe", "E": "execute", "C": "close",
        "S": "sync", "H": "flush", "X": "terminate", "d": "early_copy", "c": "early_copy", "f": "early_copy",
    },
    # COPY FROM STDIN or both ways: data passes, Sync and Flush are ignored (copyfromparse.c, CopyGetData)
    "copying": {
        "d": "forward", "c": "end_copy", "f": "end_copy", "S": "sync_in_copy", "H": "drop", "X": "terminate",
        "Q": "break_copy", "F": "break_copy", "P": "break_copy", "B": "break_copy", "D": "break_copy", "E": "break_copy",
        "C": "break_copy",
    },
    # after an error of our own in an extended batch: nothing until Sync
    "refused": {
        "S": "end_refusal", "X": "terminate", "Q": "drop", "F": "drop", "P": "drop", "B": "drop", "D": "drop",
        "E": "drop", "C": "drop", "H": "drop", "d": "drop", "c": "drop", "f": "drop",
    },
}

# Steps that need a server which listens; while it skips to Sync, what they would send is dropped (rule 2).
NEED_SERVER = ("query", "function", "parse", "bind", "describe", "execute", "close")

# How much of a frame a step must see at once; the others need only the header.
SEEN = {"P": WATCH_WHOLE, "D": WATCH_WHOLE, "C": WATCH_WHOLE, "B": WATCH_HEAD}

cdef enum:
    READY, COPYING, REFUSED, N_STATES
    WAIT = 1             # a step's answer: keep this frame and all behind it
    DONE = 0
    OVER = 2             # this client is finished
    OWED_LIMIT = 65536   # requests in flight before it is no longer read
    UNREAD_LIMIT = 131072
    RENAMED_BYTES = 0x7fffff00   # of a message whose statement name may be replaced by a longer one

ctypedef int (*Step)(ClientLink client, Frame *frame) except -1

# --- steps: one short function an entry -------------------------------------------------------------------------------

cdef int step_query(ClientLink client, Frame *frame) except -1:
    return simple(client, frame, QUERY)


cdef int step_function(ClientLink client, Frame *frame) except -1:
    return simple(client, frame, FUNCTION)


cdef inline int simple(ClientLink client, Frame *frame, Request request) except -1:
    cdef ServerLink server = client.server
    begin(client)
    server.session.expect(request, FORWARD, client.unnamed)
    if (server.session.units > 1 or server.session.status != c'I') and commits(frame.data + 5, frame.have - 5):
        server.commit_unit = server.units_done + server.session.units
    if request == QUERY:
        client.unnamed = server.unnamed = None  # it ends the unnamed statement
        client.ends_names |= ends_names(frame.data + 5, frame.have - 5)
    return client._pass(frame)


cdef int step_parse(ClientLink client, Frame *frame) except -1:
    return client._too_long() if frame.size > RENAMED_BYTES else parse(client, frame)


cdef int step_bind(ClientLink client, Frame *frame) except -1:
    return client._too_long() if frame.size > RENAMED_BYTES else bind(client, frame)


cdef int step_execute(ClientLink client, Frame *frame) except -1:
    return extended(client, frame, EXECUTE, None)


cdef int step_sync(ClientLink client, Frame *frame) except -1:
    cdef ServerLink server = client.server
    if server is None:
        client.write(IDLE_READY)  # nothing is open: the answer is known
        return DONE
    begin(client)
    server.session.expect(SYNC, FORWARD, None)
    return client._pass(frame)


cdef int step_flush(ClientLink client, Frame *frame) except -1:
    return DONE if client.server is None else client._pass(frame)


cdef int step_terminate(ClientLink client, Frame *frame) except -1:
    client._flush_requests()
    client.eof = True
    client.on_end(None)
    return OVER


cdef int step_drop(ClientLink client, Frame *frame) except -1:
    return DONE


cdef int step_early_copy(ClientLink client, Frame *frame) except -1:
    """COPY data outside COPY: dropped, as PostgreSQL does (postgres.c), unless what is owed may yet begin a COPY."""
    cdef ServerLink server = client.server
    if server is None or server.session.skipping or not server.session.count:
        return step_drop(client, frame)
    return client._await_answers()


cdef int step_forward(ClientLink client, Frame *frame) except -1:
    return client._pass(frame)


cdef int step_break_copy(ClientLink client, Frame *frame) except -1:
    """PostgreSQL ends a connection that says this in a COPY; one that does not owes what nobody has entered."""
    client.server.close_needed = True
    return client._pass(frame)


cdef int step_end_copy(ClientLink client, Frame *frame) except -1:
    client.server.session.end_copy()
    client.copy_synced = False
    return client._pass(frame)


cdef int step_sync_in_copy(ClientLink client, Frame *frame) except -1:
    client.copy_synced = True  # ignored by a server that still copies; sent if it turns out that it no longer did
    return DONE


cdef int step_end_refusal(ClientLink client, Frame *frame) except -1:
    client.state = READY
    client.write(IDLE_READY)
    return DONE


cdef Step FUNCTIONS[24]   # room for every name below; 0 is none
_names = {}


cdef int name_step(str name, Step function) except -1:
    FUNCTIONS[len(_names) + 1] = function
    _names[name] = len(_names) + 1
    return 0


name_step("query", step_query)
name_step("function", step_function)
name_step("parse", step_parse)
name_step("bind", step_bind)
name_step("describe", <Step>describe)
name_step("execute", step_execute)
name_step("close", <Step>close)
name_step("sync", step_sync)
name_step("flush", step_flush)
name_step("terminate", step_terminate)
name_step("drop", step_drop)
name_step("early_copy", step_early_copy)
name_step("forward", step_forward)
name_step("break_copy", step_break_copy)
name_step("end_copy", step_end_copy)
name_step("sync_in_copy", step_sync_in_copy)
name_step("end_refusal", step_end_refusal)

cdef unsigned char TABLE[N_STATES][256]
cdef unsigned char NEEDS[24]
cdef unsigned char WATCH[256]
memset(NEEDS, 0, sizeof(NEEDS))
memset(TABLE, 0, sizeof(TABLE))
memset(WATCH, 0, sizeof(WATCH))
for _state, _steps in STEPS.items():
    for _kind, _step in _steps.items():
        TABLE[<int>STATES.index(_state)][<unsigned char>ord(_kind)] = <unsigned char>_names[_step]
for _step in NEED_SERVER:
    NEEDS[<int>_names[_step]] = 1
for _kind, _seen in SEEN.items():
    WATCH[<unsigned char>ord(_kind)] = <unsigned char>_seen

IDLE_READY = ready_for_query()


cdef class ClientLink(Lessee):
    """A client; `begin` makes a logged-in connection into a relaying one."""

    def __repr__(self):
        return f"<ClientLink {self.id} {STATES[self.state]}{' waiting' if self.waiting_since else ''} {self.server!r}>"

    def begin(self, Leases pool, params, bint sticky, Py_ssize_t max_bytes):
        """Logged in: requests are relayed from now on. `params` is what this session must find at every server."""
        self.pool = pool
        self.params = params
        self.sticky = sticky
        self.max_bytes = max_bytes
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
        if self.left:
            at = self._stream_rest(data, n)
        while at < n:
            verdict = cut(WATCH, data + at, n - at, self.max_bytes, &frame)
            if verdict == CUT_MORE:
                break
            if verdict == CUT_BAD:
                self._bad_length(read_u32(data + at + 1))
                return n
            answer = self._step(&frame)
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

    cdef int _step(self, Frame *frame) except -1:
        cdef int state = self.state, step
        if state == READY and self.server is not None and self.server.session.copying != COPY_NONE:
            if self._copies_in():
                state = COPYING
        step = TABLE[state][frame.type]
        if step == 0:
            self._violation(f"invalid frontend message type {frame.type}")
            return OVER
        self.passing = False  # until the step has given the beginning of the frame to the server
        if NEEDS[step]:
            if self.server is None and self._await_server():
                return WAIT
            if self.server.session.skipping:
                return DONE
            if self.ends_names and self.server.session.count and names_statement(frame):
                return self._await_answers()
        return FUNCTIONS[step](self, frame)

    cdef bint _copies_in(self) noexcept:
        cdef int copying = self.server.session.copying
        return (copying == COPY_IN and not self.server.session.copy_ended) or copying == COPY_BOTH

    cdef int _await_server(self) except -1:
        """Lease a server; 1 when the client has to wait for it (then this frame comes again)."""
        return 0 if self.pool.lease(self) is not None else 1

    cdef int _await_answers(self) except -1:
        """Keep this frame until the answers owed have come; those to an unfinished batch are asked for."""
        cdef bytes flush = FLUSH
        self.server.gather(<unsigned char *>PyBytes_AS_STRING(flush), PyBytes_GET_SIZE(flush))
        self.awaits_answers = self.blocked = True
        return WAIT

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
        if not self.blocked:
            self.resume()

    cpdef refused(self, error):
        """No server: the first unit in line is answered with the error; the client is kept unless it is fatal."""
        cdef bint extended_batch
        if error.severity == "FATAL":
            self.end(error)
            return
        extended_batch = self.kept is not None and self.kept[:1] not in (b"Q", b"F")
        self.write(error_response(error))
        if extended_batch:
            self.state = REFUSED
        else:
            self._drop_first_kept()
            self.write(IDLE_READY)
        self.run_kept()
        if not self.blocked:
            self.resume()

    def _drop_first_kept(self):
        """The refused Query itself, which may not all have arrived."""
        cdef Py_ssize_t size = 1 + <Py_ssize_t>int.from_bytes(self.kept[1:5], "big")
        cdef Py_ssize_t here = min(size, len(self.kept))
        self.left = size - here
        self.passing = False
        self.kept = self.kept[here:] or None

    cpdef server_lost(self, error):
        self.end(error)

    cdef int on_drained(self) except -1:
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
