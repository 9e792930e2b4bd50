"""Parse messages larger than the receive buffer: remembered piece by piece while they stream to the server.

Without that, such a statement would be known to one server only, and its client would have to stay there: an application
that inserts a thousand rows in one statement would take a server away from everybody else.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE

from trunkline.protocol.statement import unshared
from trunkline.routing.session.session_effects import State

from trunkline.pool.prepared cimport UNSEEN, current_unit, extended, make_room, pass_parse
from trunkline.pool.server cimport Lessee, ServerLink
from trunkline.protocol.scanner cimport HEADER_BYTES, Frame
from trunkline.protocol.server_session cimport FORWARD, PARSE, PARSE_UNNAMED
from trunkline.protocol.statement cimport Statement
from trunkline.routing.text.lexer cimport glance

cdef int LARGE = State.LARGE


cdef class Assembly:
    """What is here so far of one Parse."""


cdef int parse_too_large(Lessee client, Frame *frame, bint unnamed) except -1:
    """Too large to remember: this server is the client's from now on, with whatever it holds."""
    cdef bytes before = client.unnamed
    client.sticky = True
    client.pins |= LARGE
    if unnamed:
        client.server.unnamed_change = current_unit(client.server)
        client.unnamed = client.server.unnamed = None
        client.unnamed_sight = UNSEEN
    return extended(client, frame, PARSE_UNNAMED, before if before is not None else b"")


cdef int parse_partial(Lessee client, Frame *frame, bytes name, Py_ssize_t start) except -1:
    """Too large to be here at once: shared with no other client, for it is sent before all of it is known."""
    cdef ServerLink server = client.server
    cdef Statement statement = unshared()
    make_room(server, 1)  # now, for nothing can be sent between its pieces
    client.names[name] = statement
    server.prepared[statement] = None
    server.session.expect(PARSE, FORWARD, (name, None, statement, "new"))
    assemble_named(client, frame, start, statement)
    return pass_parse(client, statement.server_name, frame, start)


cdef int assemble_named(Lessee client, Frame *frame, Py_ssize_t start, Statement statement) except -1:
    """The body of `statement` begins at `start`; nobody but this client can speak of it before it is whole."""
    cdef Assembly assembly = Assembly.__new__(Assembly)
    assembly.statement = statement
    assembly.pieces = [PyBytes_FromStringAndSize(<char *>frame.data + start, frame.have - start)]
    client.assembly = assembly
    return 0


cdef int assemble_unnamed(Lessee client, Frame *frame, bytes head) except -1:
    cdef Assembly assembly = Assembly.__new__(Assembly)
    assembly.head = head
    assembly.pieces = [head]
    client.assembly = assembly
    return 0


cdef int go_on(Lessee client, const unsigned char *data, Py_ssize_t n, bint ends) except -1:
    """The next piece of the frame that is being assembled, perhaps its last."""
    cdef Assembly assembly = client.assembly
    cdef bytes whole
    assembly.pieces.append(PyBytes_FromStringAndSize(<char *>data, n))
    if not ends:
        return 0
    client.assembly = None
    whole = b"".join(assembly.pieces)
    if assembly.statement is not None:
        assembly.statement.body = whole
    elif client.unnamed is assembly.head:  # otherwise an error has taken it back meanwhile
        become_whole(client, assembly.head, whole)
    return 0


cdef int become_whole(Lessee client, bytes head, bytes whole) except -1:
    cdef Py_ssize_t start = HEADER_BYTES + 1
    client.unnamed = whole
    if client.server is not None:
        if client.server.unnamed is head:
            client.server.unnamed = whole
        client.unnamed_sight = glance(client.server.owner.words, <const unsigned char *>PyBytes_AS_STRING(whole) + start,
                                      PyBytes_GET_SIZE(whole) - start)
    return 0
