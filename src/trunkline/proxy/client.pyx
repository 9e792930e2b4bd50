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

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.string cimport memchr, memcpy, memset

from trunkline.errors import MessageTooLarge, ProtocolViolation
from trunkline.protocol.messages import FLUSH, error_response, ready_for_query
from trunkline.protocol.statement import intern

from trunkline.net.link cimport Link
from trunkline.pool.leases cimport Leases
from trunkline.pool.server cimport Lessee, ServerLink
from trunkline.protocol.scanner cimport (
    CUT_BAD, CUT_HEAD, CUT_MORE, HEADER_BYTES, WATCH_HEAD, WATCH_WHOLE, Cut, Frame, cut, read_u32, write_u32,
)
from trunkline.protocol.server_session cimport (
    BIND, CLOSE, COPY_BOTH, COPY_IN, COPY_NONE, DESCRIBE, EXECUTE, FAKE, FORWARD, FUNCTION, PARSE, PARSE_UNNAMED, QUERY,
    SWALLOW, SYNC, Request,
)
from trunkline.protocol.statement cimport Statement

# --- the table ------------------------------------------------------------------------------------------------------

STATES = ("ready", "copying", "refused")

STEPS = {
    "ready": {
        "Q": "query", "F": "function", "P": "parse", "B": "bind", "D": "describe", "E": "execute", "C": "close",
        "S": "sync", "H": "flush", "X": "terminate",
        "d": "early_copy", "c": "early_copy", "f": "early_copy",
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

# How much of a frame a step must see at once; the others need only the header.
SEEN = {"P": WATCH_WHOLE, "D": WATCH_WHOLE, "C": WATCH_WHOLE, "B": WATCH_HEAD}

cdef enum:
    READY, COPYING, REFUSED, N_STATES
    WAIT = 1             # a step's answer: keep this frame and all behind it
    DONE = 0
    OVER = 2             # this client is finished
    OWED_LIMIT = 65536   # requests in flight before it is no longer read
    UNREAD_LIMIT = 131072
    NAME_BYTES = 63

ctypedef int (*Step)(ClientLink client, Frame *frame) except -1

cdef struct Name:
    const char *text
    Py_ssize_t size
    Py_ssize_t end       # offset behind its zero byte, from the frame's first byte; 0 when there is none


cdef inline Name read_name(Frame *frame, Py_ssize_t start) noexcept:
    """The zero-terminated string at an offset of a frame."""
    cdef Name name
    cdef const char *found
    name.text, name.size, name.end = NULL, 0, 0
    if start < frame.have:
        found = <const char *>memchr(frame.data + start, 0, frame.have - start)
        if found != NULL:
            name.text = <const char *>frame.data + start
            name.size = found - name.text
            name.end = start + name.size + 1
    return name


cdef inline bytes to_bytes(Name name):
    """A statement's name; PostgreSQL tells names apart by their first 63 bytes (prepare.c, a table keyed by NAMEDATALEN)."""
    return PyBytes_FromStringAndSize(name.text, min(name.size, NAME_BYTES))


# --- steps: one short function an entry -------------------------------------------------------------------------------

cdef int step_query(ClientLink client, Frame *frame) except -1:
    return simple(client, frame, QUERY)


cdef int step_function(ClientLink client, Frame *frame) except -1:
    return simple(client, frame, FUNCTION)


cdef inline int simple(ClientLink client, Frame *frame, Request request) except -1:
    cdef ServerLink server = client.server
    if server is None and client._await_server():
        return WAIT
    server = client.server
    if server.session.skipping:
        return DONE
    begin(client, server)
    server.session.expect(request, FORWARD, None)
    client.unnamed = server.unnamed = None  # a simple Query ends the unnamed statement
    return client._pass(frame)


cdef inline int begin(ClientLink client, ServerLink server) except -1:
    """A request is about to go out: the clock of the query starts if none is under way."""
    if server.session.count == 0:
        server.request_at = client.engine.now
    return 0


cdef inline int extended(ClientLink client, Frame *frame, Request request, object note) except -1:
    begin(client, client.server)
    client.server.session.expect(request, FORWARD, note)
    return client._pass(frame)


cdef int step_parse(ClientLink client, Frame *frame) except -1:
    cdef Name name
    if client.server is None and client._await_server():
        return WAIT
    if client.server.session.skipping:
        return DONE
    client.pool.client_parse_count += 1
    if not client.pool.tracks:
        client.pool.server_parse_count += 1
        return extended(client, frame, PARSE_UNNAMED, None)
    name = read_name(frame, HEADER_BYTES)
    if not name.end:
        return extended(client, frame, PARSE_UNNAMED, b"")  # malformed: PostgreSQL says so in its own words
    if frame.have < frame.size:
        client.sticky = True  # too large to remember: this server is the client's from now on
        return extended(client, frame, PARSE_UNNAMED, b"")
    if name.size == 0 or not client.pool.max_prepared:
        return parse_unnamed(client, frame, name.size == 0)
    return parse_named(client, frame, to_bytes(name), name.end)


cdef int parse_unnamed(ClientLink client, Frame *frame, bint unnamed) except -1:
    cdef bytes before = client.unnamed
    begin(client, client.server)
    client.pool.server_parse_count += 1
    client.server.session.expect(PARSE_UNNAMED, FORWARD, before if before is not None else b"")
    if unnamed:
        client.unnamed = client.server.unnamed = PyBytes_FromStringAndSize(<char *>frame.data, frame.size)
    return client._pass(frame)


cdef int parse_named(ClientLink client, Frame *frame, bytes name, Py_ssize_t start) except -1:
    cdef ServerLink server = client.server
    cdef Statement before, statement
    if client.names is None:
        client.names = {}
    before = client.names.get(name)
    begin(client, server)
    if before is not None:  # PostgreSQL's own 42P05, by asking for a name that is taken on the server too
        server.ensure_prepared(before)
        server.session.expect(PARSE, FORWARD, (name, before, before, "taken"))
        return reparse(server, frame, start, before.server_name)
    statement = intern(PyBytes_FromStringAndSize(<char *>frame.data + start, frame.size - start))
    client.names[name] = statement
    if statement not in server.prepared:
        server.session.expect(PARSE, FORWARD, (name, None, statement, "new"))
        reparse(server, frame, start, statement.server_name)
        return server.remember(statement)
    server.prepared.move_to_end(statement)
    if server.session.count == 0 and server.session.status != c'E':
        server.session.expect(PARSE, FAKE, (name, None, statement, "known"))
        return server.say_fakes_now()
    # not known whether PostgreSQL would take a Parse now (a transaction may have failed): have it say so itself
    server.session.expect(PARSE, FORWARD, (name, None, statement, "known"))
    server.unnamed = None
    return reparse(server, frame, start, b"")


cdef inline int reparse(ServerLink server, Frame *frame, Py_ssize_t start, bytes name) except -1:
    server.send_parse(name, frame.data + start, frame.size - start)
    return DONE


cdef int step_bind(ClientLink client, Frame *frame) except -1:
    cdef Name portal, name
    if client.server is None and client._await_server():
        return WAIT
    if client.server.session.skipping:
        return DONE
    client.pool.bind_count += 1
    if not client.pool.tracks:
        return extended(client, frame, BIND, None)
    portal = read_name(frame, HEADER_BYTES)
    name = read_name(frame, portal.end) if portal.end else portal
    if not name.end:
        return extended(client, frame, BIND, None)
    if name.size == 0:
        return with_unnamed(client, frame, BIND)
    return renamed(client, frame, BIND, portal.end, name)


cdef int step_describe(ClientLink client, Frame *frame) except -1:
    cdef Name name
    if client.server is None and client._await_server():
        return WAIT
    if client.server.session.skipping:
        return DONE
    name = read_name(frame, HEADER_BYTES + 1)
    if not client.pool.tracks or not name.end or frame.data[HEADER_BYTES] != c'S':
        return extended(client, frame, DESCRIBE, None)
    if name.size == 0:
        return with_unnamed(client, frame, DESCRIBE)
    return renamed(client, frame, DESCRIBE, HEADER_BYTES + 1, name)


cdef inline int with_unnamed(ClientLink client, Frame *frame, Request request) except -1:
    """Uses the unnamed statement, which may have been parsed on another server."""
    cdef ServerLink server = client.server
    begin(client, server)
    if client.unnamed is not None and server.unnamed is not client.unnamed:
        server.ensure_unnamed(client.unnamed)
    elif client.unnamed is None and server.unnamed is not None:
        forget_unnamed(server)
    return extended(client, frame, request, None)


cdef int forget_unnamed(ServerLink server) except -1:
    """Another client's unnamed statement is still there: close it, so that 26000 is the answer."""
    cdef unsigned char *closing = server.scratch(HEADER_BYTES + 2)
    closing[0] = c'C'
    write_u32(closing + 1, 6)
    closing[HEADER_BYTES] = c'S'
    closing[HEADER_BYTES + 1] = 0
    server.session.expect(CLOSE, SWALLOW, None)
    server.unnamed = None
    return server.gather(closing, HEADER_BYTES + 2)


cdef int renamed(ClientLink client, Frame *frame, Request request, Py_ssize_t start, Name name) except -1:
    """Bind or Describe of a named statement: our name for the client's, the rest as it is."""
    cdef ServerLink server = client.server
    cdef Statement statement = None
    cdef Py_ssize_t size
    cdef unsigned char *head
    if client.names is not None:
        statement = client.names.get(to_bytes(name))
    if statement is None:
        return extended(client, frame, request, None)  # PostgreSQL's own 26000
    begin(client, server)
    server.ensure_prepared(statement)
    server.session.expect(request, FORWARD, statement)
    size = PyBytes_GET_SIZE(statement.server_name)
    if frame.size - 1 + size - name.size > 0x7fffffff:
        return client._violation("invalid message length")
    head = server.scratch(start + size)
    memcpy(head, frame.data, start)
    write_u32(head + 1, <unsigned int>(frame.size - 1 + size - name.size))
    memcpy(head + start, PyBytes_AS_STRING(statement.server_name), size)
    server.gather(head, start + size)
    client.passing = True
    return server.gather(frame.data + name.end - 1, frame.have - name.end + 1)


cdef int step_execute(ClientLink client, Frame *frame) except -1:
    if client.server is None and client._await_server():
        return WAIT
    if client.server.session.skipping:
        return DONE
    return extended(client, frame, EXECUTE, None)


cdef int step_close(ClientLink client, Frame *frame) except -1:
    cdef Name name
    if client.server is None and client._await_server():
        return WAIT
    if client.server.session.skipping:
        return DONE
    name = read_name(frame, HEADER_BYTES + 1)
    if not client.pool.tracks or not name.end or frame.data[HEADER_BYTES] != c'S':
        return extended(client, frame, CLOSE, None)
    if name.size == 0:
        client.unnamed = client.server.unnamed = None
    elif client.names is not None and (statement := client.names.pop(to_bytes(name), None)) is not None:
        begin(client, client.server)
        client.server.session.expect(CLOSE, FAKE, (to_bytes(name), statement))
        return client.server.say_fakes_now()
    return extended(client, frame, CLOSE, None)


cdef int step_sync(ClientLink client, Frame *frame) except -1:
    cdef ServerLink server = client.server
    if server is None:
        client.write(IDLE_READY)  # nothing is open: the answer is known
        return DONE
    begin(client, server)
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
    cdef bytes flush = FLUSH
    if server is None or server.session.skipping or not server.session.count:
        return step_drop(client, frame)
    server.gather(<unsigned char *>PyBytes_AS_STRING(flush), PyBytes_GET_SIZE(flush))  # lest its answer waits for Sync
    client.awaits_copy = client.blocked = True
    return WAIT


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
name_step("describe", step_describe)
name_step("execute", step_execute)
name_step("close", step_close)
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
cdef unsigned char WATCH[256]
memset(TABLE, 0, sizeof(TABLE))
memset(WATCH, 0, sizeof(WATCH))
for _state, _steps in STEPS.items():
    for _kind, _step in _steps.items():
        TABLE[<int>STATES.index(_state)][<unsigned char>ord(_kind)] = <unsigned char>_names[_step]
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
        return FUNCTIONS[step](self, frame)

    cdef bint _copies_in(self) noexcept:
        cdef int copying = self.server.session.copying
        return (copying == COPY_IN and not self.server.session.copy_ended) or copying == COPY_BOTH

    cdef int _await_server(self) except -1:
        """Lease a server; 1 when the client has to wait for it (then this frame comes again)."""
        return 0 if self.pool.lease(self) is not None else 1

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
