"""Texts that may change a session, on their way: what has to be done before they are sent, and when they run.

The compiled side of `pool.session_state`, which decides.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE

from trunkline.protocol.messages import SYNC as SYNC_BYTES
from trunkline.routing.session_effects import State

from trunkline.pool.prepared cimport begin, ensure_prepared, send_parse
from trunkline.pool.server cimport MEANING_FIRST, NAMES_FIRST, WAIT_FIRST, Lessee, Owner, ServerLink
from trunkline.protocol.scanner cimport HEADER_BYTES, Frame
from trunkline.protocol.server_session cimport PARSE, SWALLOW, SYNC
from trunkline.protocol.statement cimport Statement
from trunkline.routing.lexer cimport AMBIGUOUS, DOUBTFUL, Vocabulary, glance

cdef int PREPARED = State.PREPARED
cdef bytes SYNC_MESSAGE = SYNC_BYTES


cdef int bind_statement(Lessee client, Statement statement, Frame *frame) except -1:
    cdef Vocabulary words = client.server.owner.words
    cdef const unsigned char *body
    if statement.words is not words:
        body = <const unsigned char *>PyBytes_AS_STRING(statement.body)
        statement.sight = glance(words, body, PyBytes_GET_SIZE(statement.body))
        statement.words = words
    client.bound_sight = statement.sight
    return run_doubtful(client, statement.body, statement.sight, frame)


cdef bytes text_of(Frame *frame, Py_ssize_t start):
    """The string at an offset of a frame, or as much of it as is here."""
    return PyBytes_FromStringAndSize(<char *>frame.data + start, frame.have - start).split(b"\0", 1)[0]


cdef int prepare_doubtful(Lessee client, Frame *frame, Py_ssize_t start, int sight) except -1:
    """Before a text that may change the session is sent; 1 if the client has to wait first."""
    cdef int before
    cdef bytes text
    if not client.server.owner.exact:  # what is left to find out is whether it needs a database for itself
        text = text_of(frame, start)
        return client.server.owner.before_doubtful(client, text, sight & AMBIGUOUS) if b"database" in text.lower() else 0
    before = client.server.owner.before_doubtful(client, text_of(frame, start), sight & AMBIGUOUS)
    if before & WAIT_FIRST:
        return 1
    if before & MEANING_FIRST and client.names:
        begin(client)
        for statement in client.names.values():
            ensure_prepared(client.server, statement)
    return give_names(client) if before & NAMES_FIRST else 0


cdef int run_doubtful(Lessee client, bytes text, int sight, Frame *frame) except -1:
    """A statement with this text is about to run; it may change the session."""
    cdef Owner owner = client.server.owner
    cdef bytes bound = b""
    if not (sight & DOUBTFUL and owner.exact):
        return 0
    if frame.type == c'B':
        bound = PyBytes_FromStringAndSize(<char *>frame.data + HEADER_BYTES, frame.have - HEADER_BYTES)
    return owner.on_doubtful(client, text.split(b"\0", 1)[0], sight & AMBIGUOUS, bound)


cdef int give_names(Lessee client) except -1:
    """SQL is about to speak of prepared statements: this server has to know them by the names the client gave them."""
    cdef ServerLink server = client.server
    cdef Statement statement
    cdef bint alone = server.session.count == 0
    begin(client)
    client.names_are_its_own = True
    server.doubt |= PREPARED
    if not client.names:
        return 0
    for name, statement in client.names.items():
        server.session.expect(PARSE, SWALLOW, None)
        server.retain(statement.body)
        send_parse(server, name, <unsigned char *>PyBytes_AS_STRING(statement.body), PyBytes_GET_SIZE(statement.body))
    if alone:  # an error of one of them is none of what the client says next
        server.session.expect(SYNC, SWALLOW, None)
        server.gather(<unsigned char *>PyBytes_AS_STRING(SYNC_MESSAGE), PyBytes_GET_SIZE(SYNC_MESSAGE))
    client.names.clear()
    return 0
