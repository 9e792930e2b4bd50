"""Where each row of a COPY went: a byte for each, compressed, so that a shard's line can be told by the client's number.

And which rows one PostgreSQL would have written together: it finds the duplicates among them when it has read them all
(CopyMultiInsertInfoIsFull in copyfrom.c).
"""

import zlib
from array import array
from bisect import bisect_left

from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_GET_SIZE, PyByteArray_Resize
from libc.stdint cimport uint32_t

cdef enum:
    PIECE = 65536            # rows
    LONG = 0x80              # the row has several lines
    TO_ALL = 0x7f            # a header
    BATCH_ROWS = 1000        # MAX_BUFFERED_TUPLES
    BATCH_BYTES = 65535      # MAX_BUFFERED_BYTES

EVERYWHERE = TO_ALL


cdef class Log:
    """`lines` have come so far."""

    def __cinit__(self):
        self._log, self._old, self._extras, self._ends = bytearray(), [], array("L"), array("Q")

    cdef int note(self, int shard, uint32_t extra, Py_ssize_t body) except -1:
        """A row of so many bytes with so many newlines within it; in binary format bytes do not count."""
        cdef Py_ssize_t size = PyByteArray_GET_SIZE(self._log)
        if size >= PIECE:
            self._old.append(zlib.compress(self._log, 1))
            self._log = bytearray()
            size = 0
        PyByteArray_Resize(self._log, size + 1)
        PyByteArray_AS_STRING(self._log)[size] = <char>(shard | (LONG if extra else 0))
        if extra:
            self._extras.append(extra)
        self.lines += 1 + <Py_ssize_t>extra
        if shard != TO_ALL:
            self._rows += 1
            self._bytes += body
            if self._rows >= BATCH_ROWS or self._bytes >= BATCH_BYTES:
                self._ends.append(self.lines)
                self._rows = self._bytes = 0
        return 0

    def add(self, int shard, uint32_t extra=0, Py_ssize_t body=0):
        """`note` for tests."""
        self.note(shard, extra, body)

    def batch_of(self, Py_ssize_t line):
        """How many times one PostgreSQL would have written rows before it has read the client's `line`."""
        return bisect_left(self._ends, line)

    def line_of(self, int shard, Py_ssize_t line):
        """The number of the client's line that a shard calls `line`."""
        cdef Py_ssize_t theirs = 0, ours = 0, size
        extras = iter(self._extras)
        for piece in (*[zlib.decompress(one) for one in self._old], bytes(self._log)):
            for entry in <bytes>piece:
                size = 1 + (next(extras) if entry & LONG else 0)
                ours += size
                if entry & ~LONG == shard or entry & ~LONG == TO_ALL:
                    theirs += size
                    if theirs >= line:
                        return ours - (theirs - line)
        return ours + 1
