"""The merge of several streams of rows that are each in order, in bounded memory.

Theory of operation. `feed` takes whole DataRow messages of one stream as they were received; `take` gives those of the
answer as far as they are known: it stops where a stream without an end has no row here. Of each stream the first row
is read, its hidden columns become one key (sort_keys), and the least key is next. Rows that agree in the first
`unique` keys are one: the first of them stands for all, and the columns of aggregates are put together from all.

Bounds. A row is read only within its message, a message only within what was fed; every length is checked as the
signed number that it is. Who feeds asks `wants` before: what is kept is then WANTED and one piece more, of each.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int32_t, uint32_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy, memset

from collections import deque

from trunkline.shard_errors import MergeError
from trunkline.execution.merge.sort_keys cimport Buffer, Order, append, put_key, release, reserve

cdef Py_ssize_t WANTED = 65536       # bytes of a stream that are here before more is asked for
cdef Py_ssize_t PIECE = 65536        # bytes of the answer after which `take` stops

cdef struct Head:                    # the first row of a stream, if `columns` is not NULL
    const unsigned char *columns     # behind the number of columns
    const unsigned char *hidden      # the first hidden column
    const unsigned char *end
    Buffer key
    Py_ssize_t unique                # how much of the key says that a row is the same


cdef inline int32_t read_int(const unsigned char *at) noexcept:
    return <int32_t>(<uint32_t>at[0] << 24 | <uint32_t>at[1] << 16 | <uint32_t>at[2] << 8 | at[3])


cdef inline void write_int(unsigned char *at, int32_t value) noexcept:
    at[0], at[1], at[2], at[3] = value >> 24 & 255, value >> 16 & 255, value >> 8 & 255, value & 255


cdef const unsigned char *behind(const unsigned char *at, const unsigned char *end) except NULL:
    """What follows a column that begins here."""
    cdef int32_t n
    if end - at < 4:
        raise MergeError("a column that does not end")
    n = read_int(at)
    if n < -1 or n > end - at - 4:
        raise MergeError("a column that does not end")
    return at + 4 + (n if n > 0 else 0)


cdef inline int compare(const unsigned char *a, Py_ssize_t n, const unsigned char *b, Py_ssize_t m) noexcept:
    cdef int found = memcmp(a, b, n if n < m else m)
    return found if found else (n > m) - (n < m)


cdef enum Verdict:
    LEAVE_OUT
    GIVE


cdef class Stream:
    """What one shard has sent and is not merged yet."""

    cdef Head head
    cdef object pieces               # deque of bytes behind the current piece
    cdef bytes piece
    cdef Py_ssize_t at, kept         # within the piece; bytes that are here
    cdef bint ended

    def __cinit__(self):
        memset(&self.head, 0, sizeof(Head))

    def __init__(self):
        self.pieces = deque()
        self.piece = b""

    def __dealloc__(self):
        release(&self.head.key)


cdef class Merger:
    cdef list streams
    cdef int visible, hidden, keys
    cdef Py_ssize_t unique           # number of keys; -1: all rows stay
    cdef Order *orders
    cdef list combines
    cdef Py_ssize_t offset, limit    # rows to leave out; to give, -1 for all
    cdef bint ties
    cdef readonly bint done
    cdef readonly Py_ssize_t rows
    cdef Buffer out
    cdef Buffer group                # the columns of the row that stands for its group
    cdef Buffer group_key
    cdef Buffer last_key             # of the last row that was given
    cdef bint has_group
    cdef list accumulators

    def __cinit__(self):
        self.orders = NULL
        memset(&self.out, 0, sizeof(Buffer))
        memset(&self.group, 0, sizeof(Buffer))
        memset(&self.group_key, 0, sizeof(Buffer))
        memset(&self.last_key, 0, sizeof(Buffer))

    def __init__(self, int streams, int visible, int hidden, orders, unique, combines, offset, limit, bint ties):
        cdef int i
        if self.orders is not NULL or streams < 1 or visible < 0 or hidden < len(orders):
            raise ValueError("no such merge")
        self.streams = [Stream() for _ in range(streams)]
        self.visible, self.hidden, self.keys = visible, hidden, len(orders)
        self.unique = -1 if unique is None else unique
        self.combines = list(combines)
        self.offset, self.limit, self.ties = offset, -1 if limit is None else limit, ties
        self.done = False
        self.orders = <Order *>calloc(self.keys + 1, sizeof(Order))
        if self.orders is NULL:
            raise MemoryError
        for i in range(self.keys):
            self.orders[i].kind, self.orders[i].descending, self.orders[i].nulls_first = orders[i]

    def __dealloc__(self):
        free(self.orders)
        release(&self.out)
        release(&self.group)
        release(&self.group_key)
        release(&self.last_key)

    # --- in

    def feed(self, int stream, bytes rows):
        """Whole DataRow messages of a stream."""
        cdef Stream one = self.streams[stream]
        if one.ended:
            raise MergeError("rows behind the end")
        one.pieces.append(rows)
        one.kept += PyBytes_GET_SIZE(rows)
        if one.head.columns is NULL:
            self.advance(one)

    def end(self, int stream):
        """A stream has no more rows."""
        cdef Stream one = self.streams[stream]
        one.ended = True

    def wants(self, int stream):
        """Whether more rows of a stream should be fed now."""
        cdef Stream one = self.streams[stream]
        return not one.ended and not self.done and one.kept < WANTED

    def lacks(self, int stream):
        """Whether the answer cannot go on without more rows of a stream, or its end."""
        cdef Stream one = self.streams[stream]
        return one.head.columns is NULL and not one.ended

    cdef int advance(self, Stream one) except -1:
        """Read the next row of a stream, if it is here."""
        cdef const unsigned char *at
        cdef const unsigned char *end
        cdef Py_ssize_t size
        one.head.columns = NULL
        while one.at >= PyBytes_GET_SIZE(one.piece):
            if not one.pieces:
                one.piece, one.at, one.kept = b"", 0, 0
                return 0
            one.kept -= PyBytes_GET_SIZE(one.piece)
            one.piece, one.at = one.pieces.popleft(), 0
        at = <const unsigned char *>PyBytes_AS_STRING(one.piece) + one.at
        size = PyBytes_GET_SIZE(one.piece) - one.at
        if size < 7 or at[0] != c'D':
            raise MergeError("no row where there should be one")
        if read_int(at + 1) < 6 or read_int(at + 1) > size - 1:
            raise MergeError("a row that does not end")
        end = at + 1 + read_int(at + 1)
        one.at += end - at
        if (at[5] << 8 | at[6]) != self.visible + self.hidden:
            raise MergeError("a row with another number of columns")
        self.read_row(&one.head, at + 7, end)
        return 0

    cdef int read_row(self, Head *head, const unsigned char *at, const unsigned char *end) except -1:
        cdef int i
        cdef int32_t n
        head.end, head.key.size = end, 0
        head.hidden = at
        for i in range(self.visible):
            head.hidden = behind(head.hidden, end)
        head.unique = 0
        cdef const unsigned char *column = head.hidden
        cdef const unsigned char *next
        for i in range(self.hidden):
            next = behind(column, end)
            if i < self.keys:
                n = read_int(column)
                put_key(&head.key, &self.orders[i], column + 4, n)
                if i + 1 == self.unique:
                    head.unique = head.key.size
            column = next
        if column != end:
            raise MergeError("a row that is longer than its columns")
        head.columns = at
        return 0

    # --- out

    def take(self):
        """Rows of the answer, whole messages; nothing while a stream has to be fed first, or when it is done."""
        cdef Stream least
        cdef Verdict verdict
        while not self.done and self.out.size < PIECE:
            if self.limit == 0 and not (self.ties and self.last_key.size):
                self.done = True
                break
            least = self.least()
            if least is None:
                break
            if self.unique >= 0:
                self.take_into_group(&least.head)
            else:
                verdict = self.judge(&least.head.key)
                if verdict == GIVE:
                    self.put_row(least.head.columns, least.head.hidden)
            if not self.done:
                self.advance(least)
        try:
            return PyBytes_FromStringAndSize(<const char *>self.out.data, self.out.size)
        finally:
            self.out.size = 0

    cdef Stream least(self):
        """The stream whose row is next; None if one has none here yet, or all are at their ends."""
        cdef Stream found = None
        cdef Stream one
        cdef bint waits = False
        for one in self.streams:
            if one.head.columns is NULL:
                if not one.ended:
                    waits = True
                    if self.keys or self.unique >= 0:
                        return None
                continue
            if found is None or compare(one.head.key.data, one.head.key.size,
                                        found.head.key.data, found.head.key.size) < 0:
                found = one
        if found is None and not waits:
            if self.has_group:
                self.give_group()
            self.done = True
        return found

    cdef Verdict judge(self, Buffer *key) except *:
        """What becomes of the next row of the answer. `done` is set where it is over."""
        if self.offset > 0:
            self.offset -= 1
            return LEAVE_OUT
        if self.limit == 0:
            if compare(key.data, key.size, self.last_key.data, self.last_key.size):
                self.done = True
                return LEAVE_OUT
        elif self.limit > 0:
            self.limit -= 1
            if self.limit == 0 and self.ties:
                append(&self.last_key, key.data, key.size)
        self.rows += 1
        return GIVE

    cdef int put_row(self, const unsigned char *columns, const unsigned char *end) except -1:
        cdef Py_ssize_t n = end - columns
        if n > 0x7FFFFFF0:
            raise MergeError("a row that is too long")
        reserve(&self.out, n + 7)
        cdef unsigned char *at = self.out.data + self.out.size
        at[0] = c'D'
        write_int(at + 1, <int32_t>(n + 6))
        at[5], at[6] = self.visible >> 8 & 255, self.visible & 255
        memcpy(at + 7, columns, n)
        self.out.size += n + 7
        return 0

    # --- groups

    cdef int take_into_group(self, Head *head) except -1:
        """The next row is of the same group as the last, or the first of another."""
        if self.has_group and compare(head.key.data, head.unique, self.group_key.data, self.group_key.size) == 0:
            self.accumulate(head)
            return 0
        if self.has_group:
            self.give_group()
            if self.done:
                return 0
        self.has_group = True
        self.group.size = self.group_key.size = 0
        append(&self.group, head.columns, head.hidden - head.columns)
        append(&self.group_key, head.key.data, head.unique)
        self.accumulators = [make() for _, _, make in self.combines]
        self.accumulate(head)
        return 0

    cdef int accumulate(self, Head *head) except -1:
        if not self.combines:
            return 0
        cdef list cells = cells_of(head.columns, head.end)
        for (column, parts, _), one in zip(self.combines, self.accumulators):
            one.add(cells[column], [cells[part] for part in parts])
        return 0

    cdef int give_group(self) except -1:
        cdef bytes row
        self.has_group = False
        if self.judge(&self.group_key) != GIVE:
            return 0
        if not self.combines:
            return self.put_row(self.group.data, self.group.data + self.group.size)
        cdef list cells = cells_of(self.group.data, self.group.data + self.group.size)
        for (column, _, _), one in zip(self.combines, self.accumulators):
            cells[column] = one.value()
        row = b"".join([NULL_CELL if cell is None else len(cell).to_bytes(4, "big") + cell for cell in cells])
        return self.put_row(<const unsigned char *>PyBytes_AS_STRING(row),
                            <const unsigned char *>PyBytes_AS_STRING(row) + PyBytes_GET_SIZE(row))


NULL_CELL = b"\xff\xff\xff\xff"


cdef list cells_of(const unsigned char *at, const unsigned char *end):
    """The columns of a row whose lengths have been checked."""
    cdef list found = []
    cdef const unsigned char *next
    while at < end:
        next = behind(at, end)
        found.append(None if read_int(at) < 0 else (<const char *>at)[4:next - at])
        at = next
    return found


def rows_of(bytes rows):
    """Each of several DataRow messages of our own making."""
    cdef Py_ssize_t at = 0, size, n = PyBytes_GET_SIZE(rows)
    cdef const unsigned char *data = <const unsigned char *>PyBytes_AS_STRING(rows)
    found = []
    while n - at >= 7:
        size = <Py_ssize_t>read_int(data + at + 1) + 1
        if size < 7 or size > n - at:
            raise MergeError("a row that does not end")
        found.append(rows[at:at + size])
        at += size
    return found


def cells_of_row(bytes row):
    """The columns of one of them."""
    cdef const unsigned char *data = <const unsigned char *>PyBytes_AS_STRING(row)
    if PyBytes_GET_SIZE(row) < 7:
        raise MergeError("no row")
    return cells_of(data + 7, data + PyBytes_GET_SIZE(row))
