# Names of statements, as they stand in Parse, Bind, Describe and Close.
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.string cimport memchr

from trunkline.protocol.scanner cimport HEADER_BYTES, Frame

cdef enum:
    NAME_BYTES = 63     # NAMEDATALEN - 1

cdef struct Name:
    const char *text
    Py_ssize_t size
    Py_ssize_t end       # offset behind its zero byte, from the frame's first byte; 0 when there is none


cdef inline Name read_name(Frame *frame, Py_ssize_t start) noexcept:
    """The zero-terminated string at an offset of a frame."""
    cdef Name name
    cdef const char *found
    name.text, name.size, name.end = NULL, 0, 0
    if start < frame.have:
        found = <const char *>memchr(frame.data + start, 0, frame.have - start)
        if found != NULL:
            name.text = <const char *>frame.data + start
            name.size = found - name.text
            name.end = start + name.size + 1
    return name


cdef inline bytes to_bytes(Name name):
    """A statement's name; PostgreSQL tells names apart by their first 63 bytes (prepare.c, a table keyed by NAMEDATALEN)."""
    return PyBytes_FromStringAndSize(name.text, min(name.size, NAME_BYTES))


cdef inline bytes as_said(Name name):
    """The same for PostgreSQL's errors, which repeat all of it."""
    return PyBytes_FromStringAndSize(name.text, name.size)


cdef inline bint of_statement(Frame *frame) noexcept:
    """Whether a Describe or Close is about a statement, not a portal."""
    return (frame.type == c'D' or frame.type == c'C') and frame.have > HEADER_BYTES and frame.data[HEADER_BYTES] == c'S'


cdef inline bint names_statement(Frame *frame) noexcept:
    """Whether a Parse, Bind, Describe or Close is about a statement with a name."""
    cdef Name name
    if frame.type == c'B':
        name = read_name(frame, HEADER_BYTES)
        name = read_name(frame, name.end) if name.end else name
    elif frame.type == c'P':
        name = read_name(frame, HEADER_BYTES)
    elif of_statement(frame):
        name = read_name(frame, HEADER_BYTES + 1)
    else:
        return False
    return name.size > 0
