# Cuts a byte stream into frames: the C side of the contract in scanner.pyx.

cdef enum Cut:
    CUT_WHOLE   # the frame is all here
    CUT_HEAD    # its beginning is here, the rest streams by
    CUT_MORE    # wait for more bytes before looking again
    CUT_BAD     # a length that no message can have

cdef enum Watch:
    WATCH_NONE  # only the header matters
    WATCH_HEAD  # the first HEAD_BYTES must be in one piece
    WATCH_WHOLE # the whole frame must be in one piece, if it is not above WHOLE_BYTES

cdef enum:
    HEADER_BYTES = 5
    HEAD_BYTES = 4096
    WHOLE_BYTES = 65536

cdef struct Frame:
    unsigned char type
    unsigned char *data   # at the type byte
    Py_ssize_t size       # of the whole frame, header included
    Py_ssize_t have       # how much of it is in the buffer


cdef inline unsigned int read_u32(const unsigned char *p) noexcept nogil:
    return (<unsigned int>p[0] << 24) | (<unsigned int>p[1] << 16) | (<unsigned int>p[2] << 8) | p[3]


cdef inline void write_u32(unsigned char *p, unsigned int value) noexcept nogil:
    p[0] = (value >> 24) & 255
    p[1] = (value >> 16) & 255
    p[2] = (value >> 8) & 255
    p[3] = value & 255


cdef inline Cut cut(const unsigned char *watch, unsigned char *buffer, Py_ssize_t n, Py_ssize_t max_bytes,
                    Frame *frame) noexcept nogil:
    # buffer..buffer+n begins at a frame; a length is compared unsigned, before anything is computed from it
    cdef unsigned int length
    cdef Py_ssize_t needed
    if n < HEADER_BYTES:
        return CUT_MORE
    length = read_u32(buffer + 1)
    if length < 4 or length > 0x7fffffff or <Py_ssize_t>length > max_bytes:
        return CUT_BAD
    frame.type = buffer[0]
    frame.data = buffer
    frame.size = 1 + <Py_ssize_t>length
    if frame.size <= n:
        frame.have = frame.size
        return CUT_WHOLE
    frame.have = n
    if watch[frame.type] == WATCH_NONE:
        return CUT_HEAD
    needed = WHOLE_BYTES if watch[frame.type] == WATCH_WHOLE else HEAD_BYTES
    if frame.size > needed:
        return CUT_HEAD if n >= HEAD_BYTES else CUT_MORE
    if watch[frame.type] == WATCH_WHOLE or n < HEAD_BYTES:
        return CUT_MORE
    return CUT_HEAD
