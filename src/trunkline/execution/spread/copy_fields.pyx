"""Rows and fields of COPY data in text and CSV format, as PostgreSQL reads them (copyfromparse.c)."""

from libc.string cimport memchr

cdef dict ESCAPES = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}


cdef bint has_marker(const unsigned char *row, Py_ssize_t n) noexcept:
    """Whether a backslash and a point stand in a row of text."""
    cdef const unsigned char *found = <const unsigned char *>memchr(row, c"\\", n)
    cdef Py_ssize_t at
    if found is NULL:
        return False
    at = found - row
    while at + 1 < n:
        if row[at] == c"\\":
            if row[at + 1] == c".":
                return True
            at += 1
        at += 1
    return False


cdef const unsigned char *unescaped_return(const unsigned char *row, Py_ssize_t n) noexcept:
    cdef Py_ssize_t at = 0
    while at < n:
        if row[at] == c"\r":
            return row + at
        at += 2 if row[at] == c"\\" else 1
    return NULL


cdef const unsigned char *unquoted_return(const unsigned char *row, Py_ssize_t n, unsigned char quote,
                                          unsigned char escape) noexcept:
    cdef Py_ssize_t at
    cdef bint inside = False, escaped = False
    for at in range(n):
        if row[at] == c"\r" and not inside:
            return row + at
        if escape != quote and inside and row[at] == escape:
            escaped = not escaped
        if row[at] == quote and not escaped:
            inside = not inside
        if escape == quote or row[at] != escape:
            escaped = False
    return NULL


def unescaped(bytes raw):
    """What a field of text says."""
    cdef Py_ssize_t at = 0, n = len(raw), end
    if b"\\" not in raw:
        return raw
    parts = []
    while at < n:
        found = raw.find(b"\\", at)
        if found < 0 or found + 1 >= n:
            parts.append(raw[at:] if found < 0 else raw[at:found] + b"\\")
            break
        parts.append(raw[at:found])
        c = raw[found + 1 : found + 2]
        end = found + 2
        if c in b"01234567":
            while end < n and end < found + 4 and raw[end : end + 1] in (b"0", b"1", b"2", b"3", b"4", b"5", b"6", b"7"):
                end += 1
            parts.append(bytes([int(raw[found + 1 : end], 8) & 0xFF]))
        elif c == b"x" and raw[end : end + 1].isalnum() and raw[end : end + 1].lower() <= b"f":
            end += 1
            if raw[end : end + 1].isalnum() and raw[end : end + 1].lower() <= b"f":
                end += 1
            parts.append(bytes([int(raw[found + 2 : end], 16)]))
        else:
            parts.append(ESCAPES.get(c, c))
        at = end
    return b"".join(parts)


def unquoted(bytes raw, int quote, int escape):
    """What a field of CSV says that has quotes."""
    cdef Py_ssize_t at = 0, n = len(raw)
    cdef bint inside = False
    value = bytearray()
    while at < n:
        c = raw[at]
        at += 1
        if inside and c == escape and at < n and raw[at] in (escape, quote):
            value.append(raw[at])
            at += 1
        elif c == quote:
            inside = not inside
        else:
            value.append(c)
    return bytes(value)
