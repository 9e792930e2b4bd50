"""The server's half of a session: a queue of the replies still owed, and the proof that none is.

Theory of operation. Each message that PostgreSQL answers is entered in the queue before it is sent; each reply is
judged by the entry at its head. An entry is to forward, to swallow (we asked) or to fake (we answer, in its place in
the order). Injected Parse, replayed parameters, faked CloseComplete and pipelines all are entries of this one queue.

Rules:
1. `REPLIES` is the protocol (documentation, sections 55.2 and 55.8): a (request, reply) that is not in it is a breach,
   and the connection is not used again.
2. An error in the extended protocol makes the server skip everything up to Sync (postgres.c, ignore_till_sync): so do
   we, and what was skipped is listed in `undone`, oldest first, for its effects to be taken back.
3. The server is free only on proof (`is_free`).
"""

from cpython.mem cimport PyMem_Free, PyMem_Realloc
from cpython.ref cimport Py_INCREF, Py_XDECREF
from libc.string cimport memset

cdef enum Effect:
    BREACH     # not in the table
    PASS       # part of the head's reply
    END        # the head's reply ends with it
    READY      # ReadyForQuery
    ERROR      # ends an extended request and skips to Sync; part of the reply to a simple one
    ASYNC      # may come at any moment and answers nothing
    NOTIFY     # as ASYNC, and always the client's
    COPYING_IN
    COPYING_OUT
    COPYING_BOTH

SIMPLE = {
    "T": PASS, "D": PASS, "C": PASS, "I": PASS, "d": PASS, "c": PASS,
    "G": COPYING_IN, "H": COPYING_OUT, "W": COPYING_BOTH, "E": ERROR, "Z": READY,
}
ANY_TIME = {"N": ASYNC, "S": ASYNC, "A": NOTIFY}

REPLIES = {
    NOTHING: {"E": PASS},  # a server that is shutting down says so unasked
    QUERY: SIMPLE,
    FUNCTION: {"V": PASS, "E": ERROR, "Z": READY},
    SYNC: {"E": ERROR, "Z": READY},
    PARSE: {"1": END, "E": ERROR},
    PARSE_UNNAMED: {"1": END, "E": ERROR},
    BIND: {"2": END, "E": ERROR},
    DESCRIBE: {"t": PASS, "T": END, "n": END, "E": ERROR},
    EXECUTE: {"D": PASS, "C": END, "I": END, "s": END, "d": PASS, "c": PASS,
              "G": COPYING_IN, "H": COPYING_OUT, "W": COPYING_BOTH, "E": ERROR},
    CLOSE: {"3": END, "E": ERROR},
}

# The same table, indexed by request and reply byte.
cdef unsigned char EFFECTS[REQUESTS][256]
memset(EFFECTS, BREACH, sizeof(EFFECTS))
for _request, _replies in REPLIES.items():
    for _kind, _effect in {**_replies, **ANY_TIME}.items():
        EFFECTS[<int>_request][<unsigned char>ord(_kind)] = <unsigned char>_effect

# Request and action names, for tests and for __repr__.
REQUEST_NAMES = ("nothing", "query", "function", "sync", "parse", "parse_unnamed", "bind", "describe", "execute", "close")
ACTION_NAMES = ("forward", "swallow", "fake")
VERDICT_NAMES = ("give", "keep", "broken")


cdef class ServerSession:
    """What one server connection still owes. Pure: no socket, no clock."""

    def __cinit__(self):
        self.status = c'I'
        self.synced = True
        self.undone = []

    def __dealloc__(self):
        cdef Py_ssize_t i
        for i in range(self.count):
            Py_XDECREF(self.ring[(self.head + i) & (self.capacity - 1)].note)
        PyMem_Free(self.ring)

    cdef int expect(self, Request request, Action action, object note) except -1:
        """Enter a request; to be called before its bytes are sent. Requests that the server will skip are not entered."""
        cdef Owed *slot
        if request == SYNC:
            self.skipping = False
        elif self.skipping:
            return 0
        if self.count == self.capacity:
            self._grow()
        slot = &self.ring[(self.head + self.count) & (self.capacity - 1)]
        slot.request, slot.action, slot.mark, slot.note = request, action, 0, NULL
        if note is not None:
            Py_INCREF(note)
            slot.note = <PyObject *>note
        self.count += 1
        self.units += request <= SYNC
        self.synced = False
        return 1

    cdef Verdict on_reply(self, unsigned char kind, unsigned char status) except *:
        """Judge one reply; `status` is the first byte of its body."""
        cdef Owed *head = &self.ring[self.head] if self.count else NULL
        cdef int request = head.request if head else NOTHING
        cdef int effect = EFFECTS[request][kind]
        cdef Verdict verdict = KEEP if head and head.action == SWALLOW and effect != NOTIFY else GIVE
        if effect == PASS:
            self.tainted |= request == NOTHING
            self.copying = COPY_NONE if kind == c'C' else self.copying
        elif effect == END:
            self.copying = COPY_NONE
            self._pop()
        elif effect == READY:
            if status != c'I' and status != c'T' and status != c'E':
                self.tainted = True
                return BROKEN
            self._on_ready(status)
        elif effect == ERROR:
            verdict = self._on_error(head, verdict)
        elif effect >= COPYING_IN:
            self._on_copy(effect)
        elif effect == BREACH:
            self.tainted = True
            return BROKEN
        return verdict

    cdef void _on_ready(self, unsigned char status) noexcept:
        self.copying = COPY_NONE
        self.failed = self.broke_copy = False
        self.status = status
        self.units -= 1
        self._pop()
        self.synced = self.count == 0

    cdef Verdict _on_error(self, Owed *head, Verdict verdict) except *:
        self.broke_copy |= self.mid_copy
        self.copying = COPY_NONE
        self.failed = True
        if head.request <= SYNC:
            return verdict
        self._fail()
        return GIVE  # an injected Parse that fails is the answer to the client's Bind behind it

    cdef void _on_copy(self, int effect) noexcept:
        self.copying = effect - COPYING_IN + COPY_IN
        self.copy_ended = self.copy_fed = False
        if self.copying == COPY_IN:
            self._ignore_syncs()

    cdef void _ignore_syncs(self) noexcept:
        """A server in COPY FROM STDIN ignores Sync (postgres.c, copyfromparse.c): those sent behind it are no debt."""
        cdef Owed *head
        cdef Owed *after
        while self.count > 1:
            head = &self.ring[self.head]
            after = &self.ring[(self.head + 1) & (self.capacity - 1)]
            if after.request != SYNC:
                return
            after[0] = head[0]
            head.note = NULL
            self.head = (self.head + 1) & (self.capacity - 1)
            self.count -= 1
            self.units -= 1
            self.dropped_units += 1
            self.flushed -= self.flushed > self.count

    cdef int _fail(self) except -1:
        """The head failed: it and all up to the next Sync are dropped, into `undone`."""
        cdef Owed *head
        cdef bint failed = True
        while self.count:
            head = &self.ring[self.head]
            if head.request == SYNC:
                return 0
            self.units -= head.request <= SYNC  # a Query that the server skips is never answered
            self.dropped_units += head.request <= SYNC
            note = <object>head.note if head.note else None
            if note is not None:
                self.undone.append((<int>head.request, <int>head.action, note, failed))
            failed = False
            self._pop()
        self.skipping = True
        return 0

    def owed(self):
        """What is owed, as (request, action, mark), oldest first."""
        cdef list owed = []
        cdef Owed *head
        cdef Py_ssize_t i
        for i in range(self.count):
            head = &self.ring[(self.head + i) & (self.capacity - 1)]
            owed.append((REQUEST_NAMES[head.request], ACTION_NAMES[head.action], <int>head.mark))
        return owed

    def lose(self):
        """The connection is gone: what was `owed`, all of which goes to `undone`."""
        cdef list owed = self.owed()
        cdef Owed *head
        while self.count:
            head = &self.ring[self.head]
            if head.request > SYNC:
                self._fail()
                continue
            if head.note:
                self.undone.append((<int>head.request, <int>head.action, <object>head.note, True))
            self.units -= 1
            self._pop()
        self.synced = False
        return owed

    cdef int pop_fake(self) except -1:
        """The request whose reply is ours to give now, or NOTHING."""
        cdef int request
        if not self.count or self.ring[self.head].action != FAKE:
            return NOTHING
        request = self.ring[self.head].request
        self._pop()
        return request

    cdef object head_note(self):
        """What was noted with the request being answered."""
        if not self.count or not self.ring[self.head].note:
            return None
        return <object>self.ring[self.head].note

    cdef bint owes_names(self) noexcept:
        """Whether requests are under way that name a statement."""
        cdef Py_ssize_t i
        cdef Owed *slot
        for i in range(self.count):
            slot = &self.ring[(self.head + i) & (self.capacity - 1)]
            if slot.note and (slot.request == PARSE or slot.request == BIND or slot.request == DESCRIBE):
                return True
        return False

    cdef bint next_is_ours(self) noexcept:
        """Whether the reply that comes next answers a request of our own."""
        return self.count > 0 and self.ring[self.head].action == SWALLOW

    cdef void end_copy(self) noexcept:
        self.copy_ended = True

    cdef void _pop(self) noexcept:
        cdef PyObject *note = self.ring[self.head].note
        self.ring[self.head].note = NULL
        self.head = (self.head + 1) & (self.capacity - 1)
        self.count -= 1
        self.flushed -= self.flushed > 0
        Py_XDECREF(note)

    cdef int _grow(self) except -1:
        cdef Py_ssize_t i, old = self.capacity, new = max(8, 2 * old)
        cdef Owed *ring = <Owed *>PyMem_Realloc(self.ring, new * sizeof(Owed))
        if ring is NULL:
            raise MemoryError
        for i in range(self.head):  # the part that had wrapped around moves behind the rest
            ring[old + i] = ring[i]
        self.ring, self.capacity = ring, new
        return 0

    def __repr__(self):
        owed = [REQUEST_NAMES[self.ring[(self.head + i) & (self.capacity - 1)].request] for i in range(min(self.count, 8))]
        return f"<ServerSession {chr(self.status)} owes {self.count} {owed}{' tainted' if self.tainted else ''}>"

    # For playbook tests, in the words of the tables above.

    def request(self, str name, str action="forward", note=None):
        """Enter a request by name; false when the server will skip it."""
        return bool(self.expect(REQUEST_NAMES.index(name), ACTION_NAMES.index(action), note))

    def reply(self, str kind, str status="\0"):
        """Judge a reply by its type letter; returns the verdict's name."""
        return VERDICT_NAMES[self.on_reply(<unsigned char>ord(kind), <unsigned char>ord(status))]

    def fake(self):
        """The name of the request that is ours to answer now, or None."""
        request = self.pop_fake()
        return REQUEST_NAMES[request] if request else None

    def copy_done(self):
        """CopyDone or CopyFail was sent."""
        self.end_copy()

    def flush(self):
        """Flush was sent."""
        self.flush_sent()

    @property
    def running(self):
        """The server owes something that it will say without hearing more of us: until then it is its turn."""
        return self.units > 0 or self.flushed > 0

    @property
    def mid_copy(self):
        """In a COPY whose end the server has not heard, or not said."""
        return self.copying != COPY_NONE and not self.copy_ended

    @property
    def mid_copy_in(self):
        """The server waits for more data, or for their end."""
        return self.copying == COPY_IN and not self.copy_ended

    @property
    def copies_both_ways(self):
        return self.copying == COPY_BOTH

    @property
    def unsynced(self):
        """A Sync has to come before the server says that it is ready."""
        return self.skipping or (not self.synced and not self.count) or self.in_batch()

    @property
    def free(self):
        return self.is_free()
