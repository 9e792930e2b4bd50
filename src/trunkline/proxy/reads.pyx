"""A client of a database whose reads are split: which of its requests go to a replica, and when it comes back.

Rules:
1. Only a whole request goes there: a query, or a batch up to its Sync, of nothing but statements that a replica may
   answer, outside a transaction block. A client that keeps its server reads from the primary.
2. A client that has written reads from a replica that is known to have replayed that, or from the primary.
"""

from trunkline.pool.leases cimport Leases
from trunkline.protocol.scanner cimport HEADER_BYTES, Frame, read_u32
from trunkline.protocol.server_session cimport ServerSession
from trunkline.proxy.client cimport ClientLink
from trunkline.proxy.routed cimport GO, Route, choose, decide, move_to
from trunkline.proxy.steps cimport WAIT


cdef bint is_read(ClientLink client, Route own, Frame *frame, const unsigned char *end) except -1:
    """Whether all of the request is here, and a replica may answer it."""
    cdef Frame ahead = frame[0]
    cdef bint binds = False
    cdef dict bodies = None
    if ahead.type == c'Q':
        if ahead.have < ahead.size:
            return False
        decide(client, own, &ahead, None)
        return own.router.readable
    while ahead.type in b"PBDEC" and ahead.have == ahead.size:
        if ahead.type == c'P' and bodies is None:
            bodies = {}
        if ahead.type == c'P' or ahead.type == c'B':
            decide(client, own, &ahead, bodies)
            if not own.router.readable:
                return False
            binds |= ahead.type == c'B'
        ahead.data += ahead.size
        if end - ahead.data < HEADER_BYTES:
            return False
        ahead.type = ahead.data[0]
        ahead.size = 1 + <Py_ssize_t>read_u32(ahead.data + 1)
        ahead.have = min(ahead.size, end - ahead.data)
        if ahead.size < HEADER_BYTES:
            return False
    return binds and ahead.type == c'S'


cdef bint go_to_replica(ClientLink client, Route own) except -1:
    """Lease from a replica of the shard, if there is one that will do; True if that is waited for."""
    cdef Leases pool
    position = own.positions.get(own.shard) if own.positions is not None else None
    if position == -1:
        return False
    pool = own.readers.choice(own.shard, 0 if position is None else position)
    if pool is None:
        if position is None or own.waited:
            own.waited = False
            return False
        client.blocked = own.waited = True
        own.readers.wait(own.shard, position, lambda: on_waited(client, own))
        return True
    own.waited = False
    own.on_replica = True
    move_to(client, pool)
    return False


def on_waited(ClientLink client, Route own):
    """A replica has replayed what the client wrote, or it has waited long enough."""
    if not client.blocked or not own.waited or client.fd < 0 or client.closing:
        return
    client.blocked = False
    client.granted()


cdef int note_write(ClientLink client, Route own) except -1:
    """A statement that may write is on its way: until its position is known, its client reads from the primary."""
    if own.readers.waits:
        note_position(own, None)
        client.server.position_due = not client.sticky
    return 0


cdef int forget_positions(Route own) except -1:
    """The shards have other numbers now."""
    if own.positions is not None:
        own.positions = dict.fromkeys(range(len(own.pools)), -1)
    return 0


cdef bint leave_replica(ClientLink client) except -1:
    """No server of the replica could be had: the request goes elsewhere. False if that was not why it is refused."""
    cdef Route own = client.route
    if own is None or not own.on_replica or client.pool.trouble is None:
        return False
    own.on_replica = False
    client.blocked = False
    client.granted()
    return True


cdef int note_position(Route own, position) except -1:
    """What the client reads at this shard from now on has to have been replayed up to there; None: up to where?"""
    if own.positions is None:
        own.positions = {}
    own.positions[own.shard] = -1 if position is None else position
    return 0


cdef int stay_at_replica(ClientLink client, Route own, Frame *frame, const unsigned char *end) except -1:
    """The next request may follow those before it to the same replica; anything else waits for their answers."""
    cdef ServerSession session = client.server.session
    own.frame_readable = True
    if frame.type not in b"QPBF" or session.in_batch():
        return GO  # all of the batch has been looked at
    if is_read(client, own, frame, end):
        own.known, own.outcome = own.router.known, own.router.outcome
        return GO
    if session.count:
        return client._await_answers()
    client._flush_requests()
    if session.is_free():
        client.pool.on_free(client.server)
    if client.server is None:
        return choose(client, own, frame, end)
    return WAIT if client.blocked else GO
