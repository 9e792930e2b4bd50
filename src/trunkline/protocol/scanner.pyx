"""Cuts a byte stream into frames, without copying and without ever needing a whole large one.

A frame is a type byte and a signed 32-bit length that counts itself (protocol documentation, section 55.1).
Contract:
1. Lengths from 4 to the given maximum are frames; everything else is CUT_BAD, known from the header alone.
2. A frame that the caller's table does not watch never waits for its body.
3. What the scanner asks to keep (CUT_MORE) is always below WHOLE_BYTES, whatever the peer sends.

The inline C functions stand in scanner.pxd; `FrameCutter` is the same code for Python callers, one frame at a time.
"""

from libc.string cimport memset


cdef class FrameCutter:
    """Whole frames of a stream for callers that are not on the hot path (login, console, tests).

    `feed` takes any slice of bytes and returns the frames completed by it as (type, body) pairs. A frame above
    `max_bytes` raises ValueError as soon as its header is known.
    """

    cdef bytearray _buffer
    cdef Py_ssize_t _max_bytes
    cdef unsigned char _watch[256]

    def __cinit__(self, Py_ssize_t max_bytes=WHOLE_BYTES - 1):
        self._buffer = bytearray()
        self._max_bytes = max_bytes
        memset(self._watch, WATCH_WHOLE, 256)

    def feed(self, data):
        cdef list frames = []
        cdef Frame frame
        cdef Py_ssize_t start = 0
        cdef Cut verdict
        self._buffer += data
        cdef unsigned char[::1] view = self._buffer
        while start < view.shape[0]:
            verdict = cut(self._watch, &view[start], view.shape[0] - start, self._max_bytes, &frame)
            if verdict == CUT_BAD:
                raise ValueError("invalid message length")
            if verdict != CUT_WHOLE:
                break
            frames.append((frame.type, bytes(view[start + HEADER_BYTES:start + frame.size])))
            start += frame.size
        del view
        del self._buffer[:start]
        return frames

    @property
    def pending_bytes(self):
        """How many bytes of an unfinished frame are held."""
        return len(self._buffer)


def cut_stream(slices, bytes watched=b"", Py_ssize_t max_bytes=0x7fffffff):
    """The frames of a stream given in `slices`, as (type, size) pairs, cut the way a link does it.

    Only types in `watched` are kept until they are whole; others are reported at their header and streamed. Returns
    (frames, kept, bad): the pairs, the most bytes ever held back, and whether a bad length ended the stream.
    """
    cdef unsigned char watch[256]
    cdef Frame frame
    cdef Cut verdict
    cdef Py_ssize_t left = 0, start, kept = 0, n
    cdef bytes held = b""
    cdef const unsigned char *buffer
    memset(watch, WATCH_NONE, 256)
    for kind in watched:
        watch[<unsigned char>kind] = WATCH_WHOLE
    frames = []
    for piece in slices:
        held += piece
        buffer, n = held, len(held)
        start = min(left, n)
        left -= start
        while start < n:
            verdict = cut(watch, <unsigned char *>buffer + start, n - start, max_bytes, &frame)
            if verdict == CUT_BAD:
                return frames, kept, True
            if verdict == CUT_MORE:
                break
            frames.append((frame.type, frame.size))
            start += frame.have
            left = frame.size - frame.have
        held = held[start:]
        kept = max(kept, len(held))
    return frames, kept, False
