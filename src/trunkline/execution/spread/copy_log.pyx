"""Where each row of a COPY went: a byte for each, compressed, so that a shard's line can be told by the client's number."""

import zlib
from array import array

from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_GET_SIZE, PyByteArray_Resize
from libc.stdint cimport uint32_t

cdef enum:
    PIECE = 65536            # rows
    LONG = 0x80              # the row has several lines
    TO_ALL = 0x7f            # a header

EVERYWHERE = TO_ALL


cdef class Log:
    """`lines` have come so far."""

    def __cinit__(self):
        self._log, self._old, self._extras = bytearray(), [], array("L")

    cdef int note(self, int shard, uint32_t extra) except -1:
        """A row with so many newlines within it."""
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
        return 0

    def add(self, int shard, uint32_t extra=0):
        """`note` for tests."""
        self.note(shard, extra)

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
