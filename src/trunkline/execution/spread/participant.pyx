"""Participant: one server of one shard, leased in the name of a client whose statement concerns several.

Theory of operation. It is a lessee without a socket: what the server says to it is kept here, as whole messages, until
it is taken with `await`. Requests are entered into the server's session before they are sent, like a client's; so the
server goes back to its pool on the same proof (law 1). Replies that are not taken stop the server from being read.

Rules:
1. It keeps its server until `release`, however often that is free meanwhile.
2. A server that is lost is told by ServerLost to whoever waits for it, or asks it later.
"""

import asyncio

from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_GET_SIZE
from cpython.bytes cimport PyBytes_FromStringAndSize

from trunkline.errors import ServerLost
from trunkline.pool.own import open_own
from trunkline.protocol.messages import message, parse_fields, query
from trunkline.shard_errors import StatementFailed

from trunkline.execution.spread.whole_answers cimport is_bound, whole_answer
from trunkline.pool.server cimport Lessee, ServerLink
from trunkline.protocol.scanner cimport HEADER_BYTES, read_u32

cdef enum:
    HIGH_BYTES = 262144   # kept replies above which the server is not read
    LOW_BYTES = 65536     # and below which it is again
    UNTAKEN_BYTES = 1048576   # taken replies whose room is given back

cdef bytes COPY_FAIL = message(b"f", b"another part of the statement has failed\0")


cdef class Participant(Lessee):
    """`pool` is that of the shard and of the client's user; `params` are the client's."""

    def __init__(self, engine, pool, int shard, params):
        Lessee.__init__(self, engine)
        self.pool, self.shard, self.params = pool, shard, params
        self.sticky = True
        self.notices = []
        self._here = bytearray()

    def __repr__(self):
        return f"<Participant {self.pool.database} {self.server!r}>"

    # --- the lease ------------------------------------------------------------------------------------------------

    def ask_for_server(self):
        """Whether it has a server at once; else it is in line, or its server is being made ready: `lease` waits."""
        self._asked_for = True
        return self.pool.request(self) is not None

    async def lease(self):
        """Until it has a server; a TrunklineError if there is none."""
        if not self._asked_for:
            self.ask_for_server()
        while self.server is None or self.blocked:
            await self._more()

    async def lease_apart(self):
        """The same beside another server of this client: beyond the pool's size, rather than wait for who waits for it."""
        cdef ServerLink server
        size = self.pool.settings.pool_size
        grows = (not size or self.pool.servers < size) and self.pool.pools.room_for(self.pool) != 0
        if (grows or len(self.pool.idle)) and not len(self.pool.waiting):
            await self.lease()
            return
        server = await open_own(self.pool, (), spare=True)
        server.lease_to(self)
        if not server.matches(self.params) and server.apply(self.params):
            self.blocked = True
            self.pool.prepare(server, self)
            while self.blocked:
                await self._more()

    def take_over(self, Lessee client):
        """The server that a client has leased is this participant's from now on; when its transaction began."""
        cdef ServerLink server = client.server
        cdef double begun_at = server.begun_at
        server.unlease()
        server.lease_to(self)
        server.begun_at = begun_at
        return begun_at

    def keeps_tables_to_itself(self):
        """From now on what it creates is temporary, so that no catalog has to be read for it."""
        self.defines_own = True

    def release(self, str reason="its client has what it asked for"):
        """The end of the lease; without the proof that nothing is owed the server is brought back, or closed."""
        cdef ServerLink server = self.server
        if self.waiting_since:
            self.pool.stop_waiting(self)
        self._here.clear()
        self._at = 0
        if server is not None:
            self.sticky = self.awaits_answers = False
            if not server.session.is_free() or server.setup is not None:
                self.pool.abandon(server, reason)
            elif server.doubt or self.pins or server.left or server.kept is not None:
                self.pool.release(server)
            else:
                server.owner.on_free(server)
        self.close()

    cpdef granted(self):
        self._wake()
        if self.on_answer is not None:
            self.on_answer()

    cpdef refused(self, error):
        self.lost = error
        self._wake()

    cpdef server_lost(self, ServerLink server, error, bint goes_on):
        if error is None:
            error = ServerLost("server closed the connection unexpectedly", detail=f"Shard {self.pool.database}.")
        self.lost = error
        self._wake()

    # --- replies --------------------------------------------------------------------------------------------------

    cdef int gather(self, const unsigned char *data, Py_ssize_t n) except -1:
        if n <= 0:
            return 0
        self._here += PyBytes_FromStringAndSize(<const char *>data, n)
        if PyByteArray_GET_SIZE(self._here) - self._at > HIGH_BYTES and self.server is not None:
            self.server.pause()
        return self._wake()

    cdef int flush(self) except -1:
        return 0

    cdef int resume(self) except -1:
        """Its server has taken all that was sent."""
        return self._wake()

    async def drained(self, Py_ssize_t limit):
        """Until its server has no more than so many bytes left to take; ServerLost if it takes none any more."""
        while self.queued > limit:
            await self._more()

    cdef int _wake(self) except -1:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
        if self.on_more is not None:
            self.on_more()
        return 0

    async def _more(self):
        """Until something has come; what hinders is raised."""
        if self.lost is not None:
            raise self.lost
        self.read_on()
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None
        if self.lost is not None and PyByteArray_GET_SIZE(self._here) == self._at:
            raise self.lost

    def read_on(self):
        """The server is read whatever is kept: the message that is waited for is not whole."""
        if self.server is not None and self.server.paused:
            self.server.resume()

    cdef object _next(self):
        """The next message that is here whole, as (type, body), or None. What answers nothing is put aside."""
        cdef Py_ssize_t n = PyByteArray_GET_SIZE(self._here), size
        cdef unsigned char *data = <unsigned char *>PyByteArray_AS_STRING(self._here)
        cdef unsigned char kind
        while n - self._at >= HEADER_BYTES:
            size = 1 + <Py_ssize_t>read_u32(data + self._at + 1)
            if size < HEADER_BYTES or n - self._at < size:
                return None
            kind = data[self._at]
            self._at += size
            if kind == c'N':
                self.notices.append(PyBytes_FromStringAndSize(<char *>data + self._at - size, size))
            elif kind != c'S' and kind != c'A':
                return kind, PyBytes_FromStringAndSize(<char *>data + self._at - size + HEADER_BYTES, size - HEADER_BYTES)
        return None

    cdef int _taken(self) except -1:
        """Give back the room of what was taken, and read on if there is enough of it."""
        cdef Py_ssize_t n = PyByteArray_GET_SIZE(self._here)
        if self._at == n:
            self._here.clear()
            self._at = n = 0
        elif self._at > UNTAKEN_BYTES or self._at > n - self._at:
            del self._here[:self._at]
            n -= self._at
            self._at = 0
        if self.server is not None and self.server.paused and n - self._at < LOW_BYTES:
            self.server.resume()
        return 0

    async def message(self):
        """The next reply as (type byte, body), an ErrorResponse too; ServerLost when none will come."""
        while True:
            found = self._next()
            self._taken()
            if found is not None:
                return found
            await self._more()

    def run_here(self, int kind):
        """A run of whole messages of one type, as they came; b"" if another one is next, None if none is here whole."""
        cdef Py_ssize_t n = PyByteArray_GET_SIZE(self._here), end, size
        cdef unsigned char *data = <unsigned char *>PyByteArray_AS_STRING(self._here)
        cdef bytes run
        end = self._at
        while n - end >= HEADER_BYTES:
            size = 1 + <Py_ssize_t>read_u32(data + end + 1)
            if size < HEADER_BYTES or n - end < size or data[end] != kind:
                break
            end += size
        if end == self._at:
            return b"" if n - end >= HEADER_BYTES and data[end] != kind else None
        run = PyBytes_FromStringAndSize(<char *>data + self._at, end - self._at)
        self._at = end
        self._taken()
        return run

    async def run_of(self, int kind):
        """The same once something is here: a run, or b"" when another message is next."""
        while True:
            run = self.run_here(kind)
            if run is not None:
                return run
            await self._more()

    async def run_of_rows(self):
        """A run of DataRow messages; b"" when another message is next."""
        return await self.run_of(c'D')

    def tell(self, on_more, on_answer):
        """Call `on_answer` whenever nothing is owed any more, and `on_more` when anything else has happened."""
        self.on_more, self.on_answer = on_more, on_answer
        self.awaits_answers = on_answer is not None

    @property
    def bound(self):
        """The answer to a Parse and a Bind is here, and is that they are done."""
        return is_bound(self._here, self._at)

    @property
    def awaits(self):
        """Something is owed to it, and it waits for that to be over."""
        return self.awaits_answers

    @property
    def full(self):
        """Its server is not read, for too much of what it has said is kept."""
        return self.server is not None and self.server.paused

    def whole_answer(self):
        """What is here, if it is all that answers one call: the body of its RowDescription, its rows, and its tag."""
        return whole_answer(self._here, self._at)

    def all_here(self):
        """All that is here and not taken yet."""
        cdef bytes found = bytes(self._here[self._at:])
        self._at = PyByteArray_GET_SIZE(self._here)
        self._taken()
        return found

    # --- requests -------------------------------------------------------------------------------------------------

    def request(self, bytes frames, requests):
        """Send messages; `requests` are the names (REQUEST_NAMES) of those among them that are answered, in order."""
        if self.lost is not None:
            raise self.lost
        cdef ServerLink server = self.server
        server.unnamed = None  # whatever is parsed now, or ended by a simple query, is nobody's
        server.request_at = server.engine.now
        for name in requests:
            server.session.request(name)
        server.write(frames)

    def send_copy(self, bytes frames, bint ends=False):
        """CopyData messages; `ends`: the last one is a CopyDone or a CopyFail."""
        if self.lost is not None:
            raise self.lost
        self.server.session.copy_fed = True
        if ends:
            self.server.session.end_copy()
        self.server.write(frames)

    def flushed(self):
        """A Flush stands behind what has been sent: the answers to that come without a Sync."""
        self.server.session.flush_sent()

    @property
    def queued(self):
        """Bytes that its server has not taken yet."""
        return self.server.unsent_bytes() if self.server is not None else 0

    @property
    def status(self):
        """Of its transaction, as its last ReadyForQuery said: "I", "T" or "E"."""
        return chr(self.server.session.status) if self.server is not None else "I"

    @property
    def is_idle(self):
        """Its last transaction is over, and it has said so."""
        return self.server is not None and self.server.session.status == c'I' and self.server.session.count == 0

    @property
    def running(self):
        """Its server owes something that it will say without hearing more."""
        return self.server is not None and self.server.session.running

    async def ask(self, bytes sql):
        """The rows of a simple query of ours, as texts; StatementFailed in the server's words, or ServerLost."""
        self.request(query(sql), ("query",))
        rows, error = [], None
        while True:
            kind, body = await self.message()
            if kind == c'D':
                rows.append(values_of(body))
            elif kind == c'E':
                error = error or as_error(body)
            elif kind == c'Z':
                break
        if error is not None:
            raise error
        return rows

    @property
    def translates(self):
        """Its server has texts in another encoding than its client."""
        if self.server is None:
            return False
        reported = self.server.params.reported
        return reported.get(b"client_encoding") != reported.get(b"server_encoding")

    @property
    def owes(self):
        """There is something that answers what was asked before, here or to come."""
        return self.server is not None and (self.server.session.count > 0 or PyByteArray_GET_SIZE(self._here) > self._at)

    async def discard(self):
        """Take all that is owed and drop it, and give up a COPY: what comes then answers what is asked then."""
        while True:
            self._here.clear()
            self._at = 0
            if self.server is None or self.server.session.count == 0:
                return
            if self.server.session.mid_copy_in:
                self.send_copy(COPY_FAIL, True)
            await self._more()

    def lose(self, error):
        """Its server does not answer: that goes, and who asks again hears why."""
        self.release("it does not answer")
        self.lost = error

    async def until_ready(self):
        """Take everything up to the next ReadyForQuery."""
        while (await self.message())[0] != c'Z':
            pass


def values_of(bytes row):
    """The values of a DataRow's body; None is NULL. ValueError if it is not one."""
    cdef const unsigned char *data = row
    cdef Py_ssize_t n = len(row), at = 2
    cdef int size
    found = []
    for _ in range(int.from_bytes(row[:2], "big")):
        if n - at < 4:
            raise ValueError("a row is too short")
        size = <int>read_u32(data + at)
        at += 4
        if size < 0:
            found.append(None)
            continue
        if size > n - at:
            raise ValueError("a row is too short")
        found.append(row[at:at + size])
        at += size
    return tuple(found)


def as_error(bytes body):
    """An ErrorResponse of a server's as the error that it is."""
    fields = parse_fields(body)
    error = StatementFailed(fields["C"], fields["M"], detail=fields.get("D"), hint=fields.get("H"))
    error.said = body
    return error
