"""Texts that may change a session, on their way: what has to be done before they are sent, and when they run.

The compiled side of `pool.session_state`, which decides.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE

from trunkline.protocol.messages import FLUSH as FLUSH_BYTES
from trunkline.protocol.messages import SYNC as SYNC_BYTES
from trunkline.routing.session.session_effects import State

from trunkline.pool.prepared cimport begin, ensure_prepared, send_parse
from trunkline.pool.server cimport MEANING_FIRST, NAMES_FIRST, WAIT_FIRST, Lessee, Owner, ServerLink
from trunkline.protocol.scanner cimport HEADER_BYTES, Frame
from trunkline.protocol.server_session cimport PARSE, SWALLOW, SYNC
from trunkline.protocol.statement cimport Statement
from trunkline.routing.text.lexer cimport AMBIGUOUS, DOUBTFUL, Vocabulary, glance

cdef int PREPARED = State.PREPARED
cdef bytes SYNC_MESSAGE = SYNC_BYTES, FLUSH_MESSAGE = FLUSH_BYTES


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
    return tell_statements(client, before) if before & (NAMES_FIRST | MEANING_FIRST) else 0


cdef int tell_statements(Lessee client, int before) except -1:
    """Parses of ours come first: apart from all else, for an error there would have the server skip what the client says."""
    cdef ServerLink server = client.server
    cdef bint apart
    if client.names and server.session.count:
        return wait_for_answers(client)
    server.batch_cut &= server.session.status != c'I'
    apart = server.session.synced and not server.batch_cut
    begin(client)
    if before & MEANING_FIRST and client.names and server.session.status != c'E':
        for statement in client.names.values():
            ensure_prepared(server, statement)
    if before & NAMES_FIRST:
        give_names(client)
    if apart and server.session.count:
        server.session.expect(SYNC, SWALLOW, None)
        server.gather(<unsigned char *>PyBytes_AS_STRING(SYNC_MESSAGE), PyBytes_GET_SIZE(SYNC_MESSAGE))
    return 0


cdef int wait_for_answers(Lessee client) except -1:
    """Until those that are owed have come, nothing is known of the transaction; the text comes again."""
    if client.server.session.in_batch():
        client.server.session.flush_sent()
        client.server.gather(<unsigned char *>PyBytes_AS_STRING(FLUSH_MESSAGE), PyBytes_GET_SIZE(FLUSH_MESSAGE))
    client.awaits_answers = client.blocked = True
    return 1


cdef bint may_reset(Owner owner, bytes text):
    """In session pooling a reset has to go back to the startup packet too; the rest is the server's business."""
    cdef bytes lower
    if owner.tracks:
        return False
    lower = text.lower()
    return b"reset" in lower or b"discard" in lower or b"default" in lower


cdef int run_doubtful(Lessee client, bytes text, int sight, Frame *frame) except -1:
    """A statement with this text is about to run; it may change the session."""
    cdef Owner owner = client.server.owner
    cdef bytes bound = b""
    if not sight & DOUBTFUL or not (owner.exact or may_reset(owner, text)):
        return 0
    if frame.type == c'B':
        bound = PyBytes_FromStringAndSize(<char *>frame.data + HEADER_BYTES, frame.have - HEADER_BYTES)
    return owner.on_doubtful(client, text.split(b"\0", 1)[0], sight & AMBIGUOUS, bound)


cdef int give_names(Lessee client) except -1:
    """SQL is about to speak of prepared statements: this server has to know them by the names the client gave them."""
    cdef ServerLink server = client.server
    cdef Statement statement
    client.names_are_its_own = True
    server.doubt |= PREPARED
    if not client.names:
        return 0
    for name, statement in client.names.items():
        server.session.expect(PARSE, SWALLOW, None)
        server.retain(statement.body)
        send_parse(server, name, <unsigned char *>PyBytes_AS_STRING(statement.body), PyBytes_GET_SIZE(statement.body))
    client.names.clear()
    return 0
