# The server's half of a session: what each side of the C code may use of it.
from cpython.ref cimport PyObject

cdef enum Request:
    NOTHING      # no reply is owed
    QUERY
    FUNCTION
    SYNC
    PARSE
    PARSE_UNNAMED
    BIND
    DESCRIBE
    EXECUTE
    CLOSE
    REQUESTS     # how many there are

cdef enum Action:
    FORWARD      # the reply belongs to the client
    SWALLOW      # we asked, the client must not see it
    FAKE         # the server was not asked: we answer, in this place of the order

cdef enum Verdict:
    GIVE         # forward this frame
    KEEP         # it was ours: do not forward
    BROKEN       # no server may say this now

cdef enum Copying:
    COPY_NONE
    COPY_IN
    COPY_OUT
    COPY_BOTH

cdef struct Owed:
    unsigned char request
    unsigned char action
    unsigned char mark   # of the owner's, for when the answer is lost; nothing here reads it
    PyObject *note

cdef class ServerSession:
    cdef Owed *ring
    cdef Py_ssize_t capacity, head
    cdef readonly Py_ssize_t count
    cdef readonly Py_ssize_t units          # ReadyForQuery messages still owed
    cdef Py_ssize_t flushed                 # requests in front of the last Flush that are not answered yet
    cdef readonly unsigned long long dropped_units  # that were owed, and will never come
    cdef readonly unsigned char status      # of the last ReadyForQuery: I, T or E
    cdef readonly unsigned char copying
    cdef readonly bint copy_ended           # CopyDone or CopyFail went to the server
    cdef readonly bint broke_copy           # the error of this unit came in the middle of a COPY
    cdef bint copy_fed                      # CopyData went to the server since the COPY began
    cdef readonly bint skipping             # the server ignores everything until Sync
    cdef readonly bint synced               # the last thing that happened was the last ReadyForQuery owed
    cdef readonly bint tainted              # something happened after which nothing can be proved
    cdef readonly bint failed               # the unit under way has had its error
    cdef readonly list undone               # (request, action, note, failed) dropped by an error, oldest first

    cdef int expect(self, Request request, Action action, object note) except -1
    cdef Verdict on_reply(self, unsigned char kind, unsigned char status) except *
    cdef int pop_fake(self) except -1
    cdef object head_note(self)
    cdef bint owes_names(self) noexcept
    cdef bint next_is_ours(self) noexcept
    cdef void end_copy(self) noexcept
    cdef int _grow(self) except -1
    cdef void _pop(self) noexcept
    cdef int _fail(self) except -1
    cdef void _ignore_syncs(self) noexcept
    cdef void _on_ready(self, unsigned char status) noexcept
    cdef Verdict _on_error(self, Owed *head, Verdict verdict) except *
    cdef void _on_copy(self, int effect) noexcept

    cdef inline bint in_batch(self) noexcept:
        # an error may have the server skip what is sent now
        return self.count > 0 and self.ring[(self.head + self.count - 1) & (self.capacity - 1)].request > SYNC

    cdef inline bint batch_is_open(self) noexcept:
        # a batch was begun, its answers may have been flushed, and no Sync has ended it
        return self.in_batch() or (self.count == 0 and not self.synced)

    cdef inline void flush_sent(self) noexcept:
        # a Flush behind all that is owed: the server answers these without hearing more of us
        self.flushed = self.count

    cdef inline void mark(self, int mark) noexcept:
        # of the request entered last; one that the server will skip was not entered
        if self.count and not self.skipping:
            self.ring[(self.head + self.count - 1) & (self.capacity - 1)].mark = <unsigned char>mark

    cdef inline bint is_free(self) noexcept:
        # law 1: positive proof, never absence of error
        return self.synced and self.count == 0 and self.status == c'I' and not self.copying and not self.tainted
