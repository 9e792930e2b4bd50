# Parse messages that come in pieces: the C side of the contract in large.pyx.
from trunkline.pool.server cimport Lessee
from trunkline.protocol.scanner cimport Frame
from trunkline.protocol.statement cimport Statement

cdef enum:
    REMEMBERED_BYTES = 4 << 20   # a Parse above this is not remembered: it keeps its client at the server that got it


cdef class Assembly:
    cdef Statement statement     # that gets the body; None for the unnamed one
    cdef bytes head              # of the unnamed Parse, which stands for it until it is whole
    cdef list pieces


cdef inline bint is_partial(Frame *frame) noexcept:
    """Whether more of this frame is still to come."""
    return frame.have < frame.size


cdef int assemble_unnamed(Lessee client, Frame *frame, bytes head) except -1
cdef int go_on(Lessee client, const unsigned char *data, Py_ssize_t n, bint ends) except -1
cdef int parse_partial(Lessee client, Frame *frame, bytes name, Py_ssize_t start) except -1
cdef int parse_too_large(Lessee client, Frame *frame, bint unnamed) except -1
