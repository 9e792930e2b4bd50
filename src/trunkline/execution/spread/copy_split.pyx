"""The rows of a COPY FROM STDIN, cut as PostgreSQL cuts them and put before the shards of their keys.

Theory of operation. Data come in pieces of any size; whole rows are appended to what their shard gets next (`take`),
byte for byte as they came, and a part of a row is kept. Only the fields of the key are looked at: compiled where the
key is one column in its usual form, else by `place`, whose answers are kept. A header goes to every shard. Of each row
it is noted where it went, so that a line of which a shard complains can be told by its number in the client's data.

Rules:
1. Rows end where PostgreSQL's do (CopyReadLineText): a newline that is not escaped, or not in quotes.
2. A row that PostgreSQL would refuse for its form goes to a shard that will say so: where the key cannot be found, to
   the home shard; where its line ends otherwise than the first did, to the shard of the first row.
"""

from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_GET_SIZE, PyByteArray_Resize
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int64_t
from libc.string cimport memchr, memcmp, memcpy

from trunkline.execution.spread.copy_fields import unescaped, unquoted

from trunkline.execution.spread.copy_fields cimport has_marker, unescaped_return, unquoted_return
from trunkline.execution.spread.copy_log cimport Log
from trunkline.routing.plans.evaluation cimport NO_FAMILY, ReadyPlan

cdef enum:
    TEXT_FORM = 0, CSV_FORM = 1, BINARY_FORM = 2
    MAX_PLACES = 50000       # keys whose shards are kept
    EVERYWHERE = 0x7f        # in the log: a header
    UNKNOWN_END = 0, NEWLINE = 1, RETURN_NEWLINE = 2
    MAX_MESSAGE = 0x3fffffff

TEXT, CSV, BINARY = TEXT_FORM, CSV_FORM, BINARY_FORM


class Unsplit(Exception):
    """These rows are not cut as PostgreSQL would; `line` is the client's."""

    def __init__(self, reason, line):
        super().__init__(reason)
        self.line = line


cdef class Splitter:
    """One COPY's data in text or CSV. `place` gives the mask of a key; `home` is the number of the home shard."""

    def __init__(self, int shards, int home, int form, keys, place, ready=None, *, bytes delimiter=b"\t",
                 bytes null=b"\\N", bytes quote=b'"', bytes escape=b'"', default=None, bint header=False,
                 bint force_null=False, bint force_not_null=False, every=0, bint csv_marker=False,
                 moments=None):
        if not 0 < len(keys) <= MAX_KEYS or shards >= EVERYWHERE:
            raise ValueError("a key of too many columns, or too many shards")
        self.shards, self.home, self.form, self.first = shards, home, form, -1
        self.key_count = len(keys)
        for i in range(self.key_count):
            self.keys[i] = keys[i]
        self.last_key = max(keys)
        self.place, self.places = place, {}
        self.ready = ready if ready is not None and self.key_count == 1 and (<ReadyPlan>ready).family != NO_FAMILY else None
        self.delimiter, self.null, self.default = delimiter[0], null, default
        self.quote, self.escape = quote[0], escape[0]
        self.header, self.forced_null, self.forced_not_null = header, force_null, force_not_null
        self.has_marker = form == TEXT_FORM or csv_marker
        self.every = every or (<int64_t>1 << shards) - 1
        self.data, self.log = bytearray(), Log()
        self.moments = moments
        self.out = [bytearray() for _ in range(shards)]

    # --- data -----------------------------------------------------------------------------------------------------

    def feed(self, bytes data):
        """More data; Unsplit if its rows cannot be cut."""
        cdef Py_ssize_t done
        if self.ended:
            return
        self.data += data
        self.looks = self.moments is not None and self.moments.may_be_in(self.data)
        done = self._lines(False)
        if done:
            del self.data[:done]
            self.scan -= done

    def end(self):
        """No more data: what is left is a row."""
        if len(self.data) and not self.ended:
            self._lines(True)
        self.data = bytearray()

    def take(self, int shard):
        """What a shard gets next, as messages (CopyData, section 55.7); empty if there is nothing."""
        cdef bytearray out = self.out[shard]
        cdef Py_ssize_t size = len(out)
        if not size:
            return b""
        self.out[shard] = bytearray()
        if size < MAX_MESSAGE:
            return b"".join((b"d", (size + 4).to_bytes(4, "big"), out))
        return b"".join([b"d" + (len(out[at : at + MAX_MESSAGE]) + 4).to_bytes(4, "big") + out[at : at + MAX_MESSAGE]
                         for at in range(0, size, MAX_MESSAGE)])

    cdef int _append(self, int shard, const unsigned char *row, Py_ssize_t n) except -1:
        cdef bytearray out = <bytearray>self.out[shard]
        cdef Py_ssize_t size = PyByteArray_GET_SIZE(out)
        PyByteArray_Resize(out, size + n)
        memcpy(PyByteArray_AS_STRING(out) + size, row, n)
        return 0

    cdef int _everywhere(self, const unsigned char *row, Py_ssize_t n) except -1:
        cdef int shard
        for shard in range(self.shards):
            if self.every >> shard & 1:
                self._append(shard, row, n)
        return 0

    # --- lines ----------------------------------------------------------------------------------------------------

    cdef Py_ssize_t _lines(self, bint last) except -1:
        """All whole rows; returns how many bytes they have."""
        cdef const unsigned char *data = <const unsigned char *>PyByteArray_AS_STRING(self.data)
        cdef Py_ssize_t n = PyByteArray_GET_SIZE(self.data), start = 0, end
        while start < n and not self.ended:
            end = self._csv_end(data, n) if self.form == CSV_FORM else self._text_end(data, start, n)
            if end < 0:
                if not last:
                    break
                end = n
            self._row(data + start, end - start, end == n and data[n - 1] != c"\n")
            start = self.scan = end
            self.in_quote = self.escaped = False
            self.extra = 0
        return n if self.ended else start

    cdef Py_ssize_t _text_end(self, const unsigned char *data, Py_ssize_t start, Py_ssize_t n) noexcept:
        """Behind the row's newline; -1 if that has not come."""
        cdef const unsigned char *found
        cdef Py_ssize_t at, slashes
        while self.scan < n:
            found = <const unsigned char *>memchr(data + self.scan, c"\n", n - self.scan)
            if found is NULL:
                self.scan = n
                return -1
            at = found - data
            self.scan = at + 1
            slashes = 0
            while at - 1 - slashes >= start and data[at - 1 - slashes] == c"\\":
                slashes += 1
            if slashes % 2 == 0:
                return at + 1
        return -1

    cdef Py_ssize_t _csv_end(self, const unsigned char *data, Py_ssize_t n) noexcept:
        cdef const unsigned char *found
        cdef const unsigned char *quote
        cdef unsigned char c
        cdef Py_ssize_t limit
        cdef bint escapes = self.escape != self.quote
        while self.scan < n:
            if not self.in_quote and not self.escaped:
                found = <const unsigned char *>memchr(data + self.scan, c"\n", n - self.scan)
                limit = found - data if found is not NULL else n
                quote = <const unsigned char *>memchr(data + self.scan, self.quote, limit - self.scan)
                if quote is NULL:
                    self.scan = limit + (found is not NULL)
                    return limit + 1 if found is not NULL else -1
                self.scan = quote - data
            c = data[self.scan]
            self.scan += 1
            if escapes and self.in_quote and c == self.escape:
                self.escaped = not self.escaped
            if c == self.quote and not self.escaped:
                self.in_quote = not self.in_quote
            if not escapes or c != self.escape:
                self.escaped = False
            if c == c"\n":
                if not self.in_quote:
                    return self.scan
                self.extra += 1
        return -1

    cdef int _row(self, const unsigned char *row, Py_ssize_t n, bint unfinished) except -1:
        """One row with its newline, or (the last) without."""
        cdef Py_ssize_t body = n if unfinished else n - 1
        cdef bint odd = self._ends_oddly(row, body, unfinished)
        cdef int shard
        if self.end_of_line == RETURN_NEWLINE and body and row[body - 1] == c"\r" and not unfinished:
            body -= 1
        if body == 2 and row[0] == c"\\" and row[1] == c"." and not unfinished and self.has_marker:
            self.ended = True
            return 0
        if self.form == TEXT_FORM and has_marker(row, body) and not (body == 2 and unfinished):
            raise Unsplit("an end-of-data marker that is not alone on its line", self.log.lines + 1)
        if self.header and not self.begun:
            self.begun = True
            self.log.note(EVERYWHERE, self.extra, body)
            return self._everywhere(row, n)
        if self.looks and self.moments.are_in(PyBytes_FromStringAndSize(<const char *>row, body)):
            raise Unsplit("a word for the time, which each shard would take for its own", self.log.lines + 1)
        shard = (self.first if self.first >= 0 else self.home) if odd else self._shard(row, body)
        if self.first < 0:
            self.first = shard
        self.log.note(shard, self.extra, body)
        self.rows += 1
        if self.starts is not None:
            self.starts.append(len(self.out[0]))
        return self._append(shard, row, n)

    cdef bint _ends_oddly(self, const unsigned char *row, Py_ssize_t body, bint unfinished) except -1:
        """Whether there is a carriage return where PostgreSQL does not take one; the first line says where it does."""
        cdef const unsigned char *found = <const unsigned char *>memchr(row, c"\r", body)
        cdef bint at_end
        if found is NULL:
            if self.end_of_line == UNKNOWN_END and not unfinished:
                self.end_of_line = NEWLINE
            return self.end_of_line == RETURN_NEWLINE and not unfinished
        if self.form == CSV_FORM and memchr(row, self.quote, body) is not NULL:
            found = unquoted_return(row, body, self.quote, self.escape)
        elif self.form == TEXT_FORM:
            found = unescaped_return(row, body)
        if found is NULL:
            if self.end_of_line == UNKNOWN_END and not unfinished:
                self.end_of_line = NEWLINE
            return self.end_of_line == RETURN_NEWLINE and not unfinished
        at_end = found - row == body - 1 and not unfinished
        if self.end_of_line == UNKNOWN_END:
            if not at_end:
                raise Unsplit("lines that end with a carriage return", self.log.lines + 1)
            self.end_of_line = RETURN_NEWLINE
        return not at_end or self.end_of_line != RETURN_NEWLINE

    # --- keys -----------------------------------------------------------------------------------------------------

    cdef int _shard(self, const unsigned char *row, Py_ssize_t n) except -1:
        """The number of a row's shard."""
        cdef Field *field = &self.fields[0]
        cdef int64_t mask = -1
        cdef Py_ssize_t start, end
        if self.form == CSV_FORM:
            self._csv_fields(row, n)
        else:
            self._text_fields(row, n)
        for i in range(self.key_count):
            if not self.fields[i].found:
                return self.home
        start, end = field.start, field.end
        if self.form == CSV_FORM and field.quoted and end - start > 1 and row[start] == self.quote and row[end - 1] == self.quote:
            start += 1
            end -= 1
        if (self.ready is not None and self.default is None and not self.forced_null and end - start < MAX_MESSAGE
                and self._is_plain(row + start, end - start) and (field.quoted or not self._is_null(row + start, end - start))):
            mask = self.ready._of_text(row + start, end - start, False)
        if mask < 0:
            mask = self._by_values(tuple([self._value(row, &self.fields[i]) for i in range(self.key_count)]))
        return number_of(mask, self.home)

    cdef bint _is_plain(self, const unsigned char *at, Py_ssize_t n) noexcept:
        if self.form == TEXT_FORM:
            return memchr(at, c"\\", n) is NULL
        return memchr(at, self.quote, n) is NULL and (self.escape == self.quote or memchr(at, self.escape, n) is NULL)

    cdef bint _is_null(self, const unsigned char *at, Py_ssize_t n) noexcept:
        return n == PyBytes_GET_SIZE(self.null) and memcmp(at, PyBytes_AS_STRING(self.null), n) == 0

    def _by_values(self, tuple key):
        mask = self.places.get(key)
        if mask is None:
            if len(self.places) >= MAX_PLACES:
                self.places.clear()
            mask = self.places[key] = self.place(key)
        return mask

    cdef object _value(self, const unsigned char *row, Field *field):
        """The value of a field as text; None is NULL (CopyReadAttributesText, CopyReadAttributesCSV)."""
        raw = PyBytes_FromStringAndSize(<const char *>row + field.start, field.end - field.start)
        if self.default is not None and raw == self.default and not field.quoted:
            raise Unsplit("the key of a row is its default", self.log.lines + 1)
        if self.form == TEXT_FORM:
            return None if raw == self.null else unescaped(raw)
        if not field.quoted:
            return None if raw == self.null and not self.forced_not_null else raw
        value = unquoted(raw, self.quote, self.escape)
        return None if self.forced_null and value == self.null else value

    cdef void _found(self, int number, Py_ssize_t start, Py_ssize_t end, bint quoted) noexcept:
        for i in range(self.key_count):
            if self.keys[i] == number:
                self.fields[i].start, self.fields[i].end = start, end
                self.fields[i].found, self.fields[i].quoted = True, quoted

    cdef void _text_fields(self, const unsigned char *row, Py_ssize_t n) noexcept:
        cdef Py_ssize_t at = 0, start = 0
        cdef int number = 0, i
        for i in range(self.key_count):
            self.fields[i].found = False
        while number <= self.last_key:
            while at < n and row[at] != self.delimiter:
                at += 2 if row[at] == c"\\" else 1
            at = min(at, n)
            self._found(number, start, at, False)
            if at >= n:
                return
            at += 1
            start = at
            number += 1

    cdef void _csv_fields(self, const unsigned char *row, Py_ssize_t n) noexcept:
        cdef Py_ssize_t at = 0, start
        cdef int number = 0, i
        cdef bint inside, quoted
        for i in range(self.key_count):
            self.fields[i].found = False
        while number <= self.last_key:
            start, inside, quoted = at, False, False
            while at < n and (inside or row[at] != self.delimiter):
                if inside and row[at] == self.escape and at + 1 < n and (row[at + 1] == self.escape or row[at + 1] == self.quote):
                    at += 2
                    continue
                if row[at] == self.quote:
                    inside = not inside
                    quoted = True
                at += 1
            at = min(at, n)
            self._found(number, start, at, quoted)
            if at >= n:
                return
            at += 1
            number += 1

    def line_of(self, int shard, Py_ssize_t line):
        """The number of the client's line that a shard calls `line`."""
        return self.log.line_of(shard, line)

    def batch_of(self, Py_ssize_t line):
        """Which rows the client's line would have been written with by one PostgreSQL."""
        return self.log.batch_of(line)


cdef int number_of(int64_t mask, int home) noexcept:
    """Of the one bit; the home shard for a row that no shard has a place for, which it will say."""
    cdef int number = 0
    if mask <= 0 or mask & (mask - 1):
        return home
    while not mask >> number & 1:
        number += 1
    return number
