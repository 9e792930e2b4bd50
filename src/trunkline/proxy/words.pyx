"""Statements of a client's in whose place a server hears others: EXPLAIN (ROUTE), and those about what it has written.

Rules:
1. SHOW trunkline.lsn is answered anew by each Bind: its constant is parsed as the unnamed statement in front of that.
2. A token raises what later reads must find replayed, and never lowers it. It is taken when its SET is parsed or run,
   whatever becomes of the transaction.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE

from trunkline.errors import InvalidPosition
from trunkline.execution.positions import SETTING, PREPARED, nothing_set, positions_of, raised, shown, token_of, token_set
from trunkline.protocol.messages import message, query

from trunkline.execution.router cimport ANYWHERE, OTHERWISE_REFUSED
from trunkline.pool.doubts cimport text_of
from trunkline.pool.names cimport Name, read_name
from trunkline.protocol.scanner cimport HEADER_BYTES, Frame
from trunkline.protocol.server_session cimport ServerSession
from trunkline.proxy.client cimport ClientLink
from trunkline.proxy.routed cimport GO, INSTEAD, Route, choose, go
from trunkline.proxy.refusing cimport fail
from trunkline.proxy.steps cimport WAIT, take_leased


cdef bint is_located(ClientLink client) except -1:
    """Where it has written last is known, or will not be known before more has come."""
    cdef ServerSession session = client.server.session
    if not client.server.position_due or session.in_batch():
        return True
    return not session.count and not session.is_free()


cdef int behind_position(ClientLink client, Route own, Frame *frame, const unsigned char *end) except -1:
    """A statement about what the client has written waits until that is known, in full and exactly."""
    cdef ServerSession session = client.server.session
    if session.count:
        return client._await_answers()
    client._flush_requests()
    client.pool.on_free(client.server)
    if client.server is None:
        return choose(client, own, frame, end)
    return WAIT if client.blocked else go(client, own, frame, ANYWHERE)


cdef int say_own(ClientLink client, Route own, Frame *frame) except -1:
    """A statement about what the client has written, on its way to a server that it has."""
    cdef bytes sql
    if frame.type == c'B':
        return bind_shown(own, frame) if own.known.note.shows_position else GO
    sql = text_of(frame, HEADER_BYTES if frame.type == c'Q' else read_name(frame, HEADER_BYTES).end)
    if own.known.note.shows_position:
        own.instead = in_place(frame, shown(token(own)) if frame.type == c'Q' else PREPARED)
        return INSTEAD
    said = token_set(sql)
    if said is None:
        return GO  # it sets nothing, or is not for us
    try:
        raise_to(own, said)
    except InvalidPosition as error:
        return fail(client, frame, error, OTHERWISE_REFUSED)
    own.instead = in_place(frame, nothing_set(sql))
    return INSTEAD


cdef int bind_shown(Route own, Frame *frame) except -1:
    """The token of now, as the unnamed statement, which is what is bound."""
    cdef Name portal = read_name(frame, HEADER_BYTES)
    cdef Name name = read_name(frame, portal.end)
    own.unnamed_instead = message(b"P", b"\0" + shown(token(own)) + b"\0\0\0")
    own.instead = message(b"B", bytes(frame.data[HEADER_BYTES:portal.end]) + b"\0" + bytes(frame.data[name.end:frame.size]))
    return INSTEAD


cdef bytes in_place(Frame *frame, bytes sql):
    """The frame with another statement in the place of its own."""
    cdef Name name
    if frame.type == c'Q':
        return query(sql)
    name = read_name(frame, HEADER_BYTES)
    rest = bytes(frame.data[name.end:frame.size]).split(b"\0", 1)[1]
    return message(b"P", bytes(frame.data[HEADER_BYTES:name.end]) + sql + b"\0" + rest)


cdef int take_instead(ClientLink client, Frame *frame, int step) except -1:
    """The step with `Route.instead` in the place of the frame."""
    cdef Route own = client.route
    cdef bytes instead = own.instead
    cdef object unnamed = client.unnamed
    cdef bint is_bound = own.unnamed_instead is not None
    cdef Frame other
    cdef int taken
    client.server.retain(instead)
    other.type = frame.type
    other.data = <unsigned char *>PyBytes_AS_STRING(instead)
    other.size = other.have = PyBytes_GET_SIZE(instead)
    if is_bound:
        client.unnamed, own.unnamed_instead = own.unnamed_instead, None
    taken = take_leased(client, &other, step)
    if is_bound:
        client.unnamed = unnamed
    return taken


cdef str token(Route own):
    return token_of(own.positions or {}, own.router.sharding.shards)


cdef int raise_to(Route own, str said) except -1:
    own.positions = raised(own.positions, positions_of(said, own.router.sharding.shards))
    return 0


cdef int take_settings(ClientLink client, Route own) except -1:
    """A token that came in another way than by SET, among the client's settings."""
    said = client.params.extra.get(SETTING)
    if said:
        try:
            raise_to(own, said.decode(errors="replace"))
        except InvalidPosition:
            own.positions = dict.fromkeys(range(len(own.pools)), -1)
    return 0
