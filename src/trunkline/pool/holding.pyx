"""What a server says of an answer before the first row, while its request may yet be asked of another server.

Theory of operation. That a statement is parsed and bound, and which columns it has, every server says alike. Where a
chunk ends behind nothing but that, and the lessee would ask elsewhere if the server failed now, it is copied
(`ServerLink.held`) and goes out in front of what comes next; so an error, or the end of the server, still finds nothing
of the answer told. PostgreSQL sends such messages together with what follows, so this is rare; a chunk that ends with
an answer costs one comparison.

Rule: what is held is of the answer under way, and nothing is given to the lessee before it.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.string cimport memset

from trunkline.pool.server cimport ServerLink
from trunkline.protocol.scanner cimport HEADER_BYTES, read_u32

cdef enum:
    HELD_BYTES = 65536   # the columns of a table that has as many as can be

cdef unsigned char[256] BEFORE_ROWS
memset(BEFORE_ROWS, 0, 256)
for _kind in "123tTn":
    BEFORE_ROWS[<unsigned char>ord(_kind)] = 1


cdef bint hold_back(ServerLink server, unsigned char *end, unsigned char **run) except -1:
    """The chunk ends in the middle of an answer: hold back what is here of it, if that is right; moves `run` past it."""
    cdef unsigned char *start = max(run[0], server.unit_at)
    cdef unsigned char *at = start
    cdef Py_ssize_t size
    if server.begun or server.left:
        return False
    while end - at >= HEADER_BYTES and BEFORE_ROWS[at[0]]:
        size = 1 + <Py_ssize_t>read_u32(at + 1)
        if size < HEADER_BYTES or size > end - at:
            return False
        at += size
    if at != end or end - start + (len(server.held) if server.held is not None else 0) > HELD_BYTES:
        return False
    if not server.lessee.asks_again(server, b""):
        return False
    server.give_run(start, run)
    server.held = (server.held or b"") + PyBytes_FromStringAndSize(<char *>start, end - start)
    run[0] = end
    return True


cdef int give_held(ServerLink server) except -1:
    """Its turn has come: gathers at the lessee, in front of all that follows."""
    held, server.held = server.held, None
    server.lessee.retain(held)
    server.lessee.gather(<unsigned char *>PyBytes_AS_STRING(held), PyBytes_GET_SIZE(held))
    return 0
