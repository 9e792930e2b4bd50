"""ServerLink: one connection to a PostgreSQL, and the relay of its replies to whoever leases it.

Theory of operation. Replies are cut into frames and judged by the `ServerSession`; runs of frames that are the
client's go to it in one system call, from the buffer they were received into. What is ours is taken out of the run,
what the server was not asked is put in at its place. When the chunk is used up and the session proves that nothing is
owed, the owner (the pool) gets the connection back.

Rules:
1. A reply that the session does not expect ends the connection; no byte behind it reaches anyone.
2. A frame is given to the lessee of the moment its request was sent: a lease never ends while a reply is owed.
3. Only a few types of reply are looked into (`SPECIAL`); the others pass without being read.
"""

import logging
from collections import OrderedDict

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.string cimport memcpy, memset

from trunkline.errors import CommitOutcomeUnknown, InternalError
from trunkline.failpoints cimport failpoint
from trunkline.net.link cimport Link
from trunkline.protocol.messages import parameter_status, query
from trunkline.protocol.params import Params
from trunkline.pool.answers cimport look_into, say_fakes
from trunkline.pool.holding cimport give_held, hold_back
from trunkline.protocol.scanner cimport (
    CUT_BAD, CUT_MORE, HEADER_BYTES, WATCH_HEAD, WATCH_NONE, WATCH_WHOLE, Cut, Frame, cut, read_u32,
)
from trunkline.protocol.server_session cimport (
    BROKEN, COPY_NONE, FAKE, KEEP, QUERY, SWALLOW, ServerSession, Verdict,
)
from trunkline.pool.histogram cimport Histogram
from trunkline.routing.text.lexer cimport Vocabulary

log = logging.getLogger("trunkline.pool")

# Replies that are looked into; the others only pass. E and S must be whole, the rest have all that matters up front,
# and of a notice what is here will do.
SPECIAL = {"Z": WATCH_WHOLE, "E": WATCH_WHOLE, "S": WATCH_WHOLE, "C": WATCH_HEAD, "1": WATCH_WHOLE,
           "T": WATCH_WHOLE, "n": WATCH_WHOLE, "A": WATCH_WHOLE, "N": WATCH_NONE}

# Replies that may be long; the others are never above SHORT_BYTES, by libpq's rule (fe-protocol3.c, pqParseInput3).
LONG_REPLIES = "TDdVENASt"

cdef unsigned char[256] WATCH, WATCH_ANSWER, LOOK, LONG
memset(WATCH, WATCH_HEAD, 256)  # a frame of which the lessee has only the beginning would take it down with this server
WATCH[<unsigned char>b"A"[0]] = WATCH_NONE        # what may come while nobody has leased this server does not wait for its end
memset(LOOK, 0, 256)
memset(LONG, 0, 256)
for _kind in LONG_REPLIES:
    LONG[<unsigned char>ord(_kind)] = 1
for _kind, _watch in SPECIAL.items():
    WATCH[<unsigned char>ord(_kind)] = <unsigned char>_watch
    LOOK[<unsigned char>ord(_kind)] = 1
memcpy(WATCH_ANSWER, WATCH, 256)
WATCH_ANSWER[c'D'] = WATCH_WHOLE

cdef Vocabulary PLAIN_WORDS = Vocabulary()

cdef enum:
    OWED_LIMIT = 65536      # requests in flight for one client before it is no longer read
    SHORT_BYTES = 30000


cdef class Lessee(Link):
    """Whoever can lease a server: a client, or a task of our own that needs one for a moment."""

    cpdef granted(self):
        """`self.server` is leased and has this lessee's parameters."""
        raise NotImplementedError

    cpdef bint asks_position(self):
        """Whether it wants to know that position, and not only that the transaction has ended."""
        return True

    cpdef wrote_up_to(self, position):
        """Its last transaction, which may have written, ends before this position of the log; None: not known where."""

    cpdef refused(self, error):
        """The wait for a server ended without one."""
        raise NotImplementedError

    cpdef bint outlives(self):
        """Whether it goes on when its server is lost."""
        return False

    cpdef bint asks_again(self, ServerLink server, bytes said):
        """Whether it asks elsewhere, for the server has said this, and none of the answer yet; b"": could it still?"""
        return False

    cpdef ask_again(self, ServerLink server):
        """The server has said so: it is not the lessee's any more."""

    cpdef server_lost(self, ServerLink server, error, bint goes_on):
        """The server that was leased is gone: for a reason of ours (`error`) or by itself; `outlives` was asked before.

        No server: the lessee could not be told that it gets none.
        """
        raise NotImplementedError


cdef class Owner:
    """Who gets a server connection back. Counts what passes, for SHOW STATS."""

    def __cinit__(self):
        self.words = PLAIN_WORDS
        self.xact_times, self.query_times, self.wait_times = Histogram(), Histogram(), Histogram()

    cdef int on_free(self, ServerLink server) except -1:
        """Nothing is owed any more: the lease may end."""
        raise NotImplementedError

    cpdef int before_doubtful(self, Lessee lessee, bytes text, bint ambiguous) except -1:
        """A text that may change the session is about to be sent by Query or Parse; what comes `Before`."""
        raise NotImplementedError

    cpdef int on_doubtful(self, Lessee lessee, bytes text, bint ambiguous, bytes bound) except -1:
        """Such a text is about to run; `bound` is the body of the Bind that runs it, b"" for a simple query."""
        raise NotImplementedError

    cpdef on_lost(self, ServerLink server, str reason):
        """The connection is closed; its lease has ended."""
        raise NotImplementedError

    cpdef on_block(self, ServerLink server):
        """Statement pooling: a unit ended inside a transaction block."""
        raise NotImplementedError

    cpdef on_schema_change(self):
        """DDL has run on one of its servers."""


cdef class ServerLink(Link):
    """A connection to a PostgreSQL; logged in by `pool.opening`, then `begin`."""

    def __init__(self, engine, Owner owner, address):
        Link.__init__(self, engine)
        self.session = ServerSession()
        self.owner = owner
        self.address = address
        self.prepared = OrderedDict()
        self.names_change = self.unnamed_change = -1
        self.cancel_unit = <unsigned long long>-1
        self.params = Params.of({}, {})
        self.opened_at = self.idle_since = self.connected_at

    def __repr__(self):
        return f"<ServerLink {self.id} {getattr(self.place, 'name', 'nowhere')} pid={self.pid} {self.session!r}>"

    def __str__(self):
        """As the log has it."""
        database, user = getattr(self.owner, "database", ""), getattr(self.owner, "user", "")
        return f"db={database} user={user} at={self.address} pid={self.pid}"

    # --- leases -------------------------------------------------------------------------------------------------

    cdef int lease_to(self, Lessee lessee) except -1:
        self.lessee = lessee
        lessee.server = self
        self.begun_at = self.engine.now
        self.begun, self.held, self.schema_prepared = False, None, False  # what came unasked was another lessee's
        self.owner.assignment_count += 1
        return 0

    cdef int unlease(self) except -1:
        if self.lessee is not None:
            self.lessee.server = None
            self.lessee = None
            self.restored = None
            self.position_due = False
            self.resume()  # the pause was for a lessee that did not read, and the next one may
        self.idle_since = self.engine.now
        return 0

    cdef int apply(self, object params) except -1:
        """Make this connection's parameters those of `params`; 1 when a round trip is under way, `setup` hears the end."""
        difference = self.params.difference(params)
        sql = difference.sql()
        for name, value in difference.tell if self.lessee is not None else ():  # facts that it last heard otherwise
            self.lessee.write(parameter_status(name, value))
            self.lessee.params = self.lessee.params.with_reported(name, value)
        if sql is None:
            return 0
        self.run_setup(sql)
        failpoint(b"params_applied")
        if self.params.extra is not params.extra:
            self.params = Params.of(self.params.reported, params.extra)
        return 1

    def adjust(self, params, done):
        """`apply` for Python callers; true when a round trip is under way, after which `done(error fields)` is called."""
        asked = self.apply(params)
        self.setup = done if asked else None
        return bool(asked)

    def ask(self, bytes sql, done, bint wants_rows=False):
        """Run a simple query of our own on a free server; `done(error fields or None)` hears the end.

        The rows that were wanted are in `answer` until the next call, as bodies of DataRow messages.
        """
        self.setup = done
        self.request_at = self.engine.now
        self.run_setup(sql)
        self.answer = [] if wants_rows else None

    def run_setup(self, bytes sql):
        """Ask a simple query of our own; its answer is swallowed and `setup` hears how it ended."""
        self.setup_error = self.answer = None
        self.unnamed = None
        self.request_at = self.engine.now  # a clock that still shows the last client's query would run out at once
        self.session.expect(QUERY, SWALLOW, None)
        self.write(query(sql))

    def forget_session(self):
        """DISCARD ALL has run: nothing of the last session is left."""
        self.prepared.clear()
        self.unnamed, self.doubt = None, 0
        self.params = self.params.with_extra({})

    # --- replies ------------------------------------------------------------------------------------------------

    cdef Py_ssize_t consume(self, unsigned char *data, Py_ssize_t n) except -1:
        cdef Frame frame
        cdef Cut verdict
        cdef Py_ssize_t at = min(self.left, n)
        cdef unsigned char *run = data     # beginning of the bytes that go to the lessee
        self.unit_at = data
        if self.left:
            if self.dropping or self.lessee is None:
                run = data + at
            self.left -= at
            self._after_frame(data + at, &run)
        while at < n:
            verdict = cut(&WATCH[0] if self.answer is None else &WATCH_ANSWER[0], data + at, n - at, 0x7fffffff, &frame)
            if verdict == CUT_MORE:
                if n - at < HEADER_BYTES or LONG[data[at]] or read_u32(data + at + 1) <= SHORT_BYTES:
                    break
                verdict = CUT_BAD  # its end is not waited for
            if verdict == CUT_BAD:
                self.give_run(data + at, &run)
                return self._break_off("a message of impossible length")
            if self._judge(&frame, &run) < 0:
                return n
            at += frame.have
            self.left = frame.size - frame.have
        if self.lessee is not None:
            self.owner.bytes_sent += at
            if run < data + at and not (self.unit_at < data + at and hold_back(self, data + at, &run)):
                self.give_run(data + at, &run)
            self.lessee.flush()
        if self.said_fatal:
            self._break_off("the server has ended the session")  # not at its end of the connection: nobody may use it
        else:
            self._after_chunk(at == n and self.left == 0)
        return at

    cdef int _after_chunk(self, bint boundary) except -1:
        """Back-pressure, then the end of the lease or of a query of our own, if it is proved."""
        cdef Lessee lessee = self.lessee
        if lessee is not None and lessee.unsent is not None:
            self.pause()
        elif lessee is not None and lessee.paused and self.unsent is None and self.session.count < OWED_LIMIT:
            lessee.resume()
        if lessee is not None and lessee.awaits_answers:
            return self._let_go_on(lessee)
        if lessee is None and self.drain is not None and boundary:
            self.drain.step()
            return 0
        if not boundary or self.session.count:
            return 0
        if not self.session.synced:
            self.request_at = self.engine.now  # a batch without its Sync is idle from now on
            return 0
        if self.setup is not None:
            setup, self.setup = self.setup, None
            error, self.setup_error = self.setup_error, None
            setup(error)
        elif lessee is not None and self.session.is_free():
            self.owner.on_free(self)
        elif lessee is not None and self.owner.one_statement and self.session.status != c'I':
            self.owner.on_block(self)
        return 0

    cdef int _let_go_on(self, Lessee lessee) except -1:
        """The lessee has waited for a COPY to begin, or for nothing to be owed that could change how it goes on."""
        cdef ServerSession session = self.session
        if session.count and not session.skipping and (session.copying == COPY_NONE or session.copy_ended):
            return 0
        lessee.awaits_answers = lessee.blocked = False
        lessee.granted()
        return 0

    cdef int _judge(self, Frame *frame, unsigned char **run) except -1:
        """Judge one frame; moves `run` past what is not the lessee's. Negative when the connection is finished."""
        cdef bint look = LOOK[frame.type], ours
        cdef int looked
        cdef object note = None
        cdef Verdict verdict
        if look:
            note = self.session.head_note()
        ours = self.session.next_is_ours()
        verdict = self.session.on_reply(frame.type, frame.data[HEADER_BYTES] if frame.have == HEADER_BYTES + 1 else 0)
        if verdict == BROKEN or (frame.size > SHORT_BYTES and not LONG[frame.type]):
            self.give_run(frame.data, run)
            self._break_off(f"an unexpected message of type {chr(frame.type)!r}")
            return -2
        if look:
            looked = look_into(self, frame, note, ours, run)
            if looked < 0:
                return -2
            if looked:
                verdict = KEEP
        if verdict == KEEP and self.answer is not None and frame.type == c'D' and frame.have == frame.size:
            self.answer.append(PyBytes_FromStringAndSize(<char *>frame.data + HEADER_BYTES, frame.size - HEADER_BYTES))
        if verdict == KEEP or self.lessee is None:
            self.give_run(frame.data, run)
            run[0] = frame.data + frame.have
            self.dropping = True
        else:
            self.dropping = False
        if frame.have == frame.size:
            self._after_frame(frame.data + frame.size, run)
        return 0

    cdef int give_run(self, unsigned char *end, unsigned char **run) except -1:
        """The lessee gets what is its own up to here."""
        if self.lessee is not None and run[0] < end:
            if self.held is not None:
                give_held(self)
            self.lessee.gather(run[0], end - run[0])
            self.begun |= end > self.unit_at
        run[0] = end
        return 0

    cdef inline int _after_frame(self, unsigned char *end, unsigned char **run) except -1:
        """What we answer ourselves comes behind a whole frame of the server's, never inside one."""
        if self.left or not self.session.count:
            return 0
        if self.session.ring[self.session.head].action == FAKE:
            self.give_run(end, run)
            say_fakes(self)
        return 0

    # --- the end ------------------------------------------------------------------------------------------------

    cdef int on_drained(self) except -1:
        if self.lessee is not None:
            self.lessee.resume()
        return 0

    cdef int on_end(self, object error) except -1:
        self.ended_asked = self.session.count > 0
        return self._break_off(error or "server closed the connection")

    cdef int on_failure(self, object error) except -1:
        """An error of our own. A COMMIT whose end may have been lost with what was gathered has no known outcome."""
        self.forget_gathered()
        if self.commit_unit and self.commit_unit >= self.units_done:
            self.drop("internal error", CommitOutcomeUnknown("an internal error came while a COMMIT was under way"))
            return 1
        incident = InternalError.incident()
        self.drop(f"{incident.message}: {type(error).__name__}", incident)
        return 1

    cdef int _break_off(self, str reason) except -1:
        self.drop(reason)
        return 1

    @property
    def mid_reply(self):
        """The lessee has the beginning of a frame without its end: nothing but that end may be sent to it now."""
        return self.left > 0 and not self.dropping and self.lessee is not None

    def drop(self, str reason, error=None):
        """Close this connection; its lessee hears of it."""
        cdef Lessee lessee = self.lessee
        setup, self.setup = self.setup, None
        if self.fd < 0:
            return
        logging_in = self.inbox is not None
        if not logging_in:
            log.info("closing server connection: %s: %s", self, reason)
        if lessee is not None:
            lessee.flush()
        self.torn = self.mid_reply
        self.in_setup = setup is not None
        goes_on = error is None and lessee is not None and not (self.torn or self.said_fatal) and lessee.outlives()
        self.unlease()
        try:
            failpoint(b"server_lost")
            self.close()
            if setup is not None:
                setup({"S": "FATAL", "C": "08006", "M": reason})
        finally:  # whatever fails here, its lessee must not wait for a server that is no more
            if lessee is not None:
                lessee.server_lost(self, error, goes_on)
            if not logging_in:
                self.owner.on_lost(self, reason)
