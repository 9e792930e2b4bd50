"""A client of a database whose reads are split: which of its requests go to a replica, and when it comes back.

Rules:
1. Only a whole request goes there: a query, or a batch up to its Sync, of nothing but statements that a replica may
   answer, all at one shard, outside a transaction block. A client that keeps its server reads from the primary.
2. A client that has written reads from a replica that is known to have replayed that, or from the primary.
"""

from libc.math cimport INFINITY

from trunkline.errors import ServerRefused, ServerUnavailable, StatementRefused

from trunkline.execution.router cimport ANYWHERE, OTHERWISE_REFUSED
from trunkline.pool.leases cimport Leases
from trunkline.protocol.scanner cimport HEADER_BYTES, Frame, read_u32
from trunkline.protocol.server_session cimport ServerSession
from trunkline.proxy.client cimport ClientLink
from trunkline.proxy.routed cimport GO, Route, choose, decide, move_to
from trunkline.proxy.refusing cimport fail
from trunkline.proxy.repeats cimport keep
from trunkline.proxy.steps cimport WAIT

KEPT = "this client keeps its server, which is a replica"


cdef int read_at(ClientLink client, Route own, Frame *frame, const unsigned char *end) except? -99:
    """The shard at which a replica may answer the request, or ANYWHERE; NOT_A_READ if none may, or it is not all here."""
    cdef Frame ahead = frame[0]
    cdef bint binds = False
    cdef int found = ANYWHERE, decision
    cdef dict bodies = None
    while ahead.type in b"QPBDEC" and ahead.have == ahead.size:
        if ahead.type == c'P' and bodies is None:
            bodies = {}
        if ahead.type in b"QPB":
            decision = decide(client, own, &ahead, bodies)
            if own.barred and own.router.known is not None:
                own.router.known.readable = False  # whichever of them it was
                own.router.known.writes |= own.writes
            elif not own.router.readable or decision < ANYWHERE or (found >= 0 and 0 <= decision != found):
                return NOT_A_READ
            found = max(found, decision)
            if ahead.type == c'Q':
                own.read_end, own.bodies = ahead.data + ahead.size, None
                return found if not own.barred else NOT_A_READ
            binds |= ahead.type == c'B'
        ahead.data += ahead.size
        if end - ahead.data < HEADER_BYTES:
            return NOT_A_READ
        ahead.type = ahead.data[0]
        ahead.size = 1 + <Py_ssize_t>read_u32(ahead.data + 1)
        ahead.have = min(ahead.size, end - ahead.data)
        if ahead.size < HEADER_BYTES or ahead.type == c'Q':
            return NOT_A_READ
    own.read_end, own.bodies = ahead.data + ahead.size, bodies
    return found if binds and ahead.type == c'S' and ahead.have == ahead.size and not own.barred else NOT_A_READ


cdef bint go_to_replica(ClientLink client, Route own) except -1:
    """Lease from a replica of the shard, if there is one that will do; True if that is waited for, or refused."""
    cdef Leases pool = None, shunned = own.shunned
    cdef bint waited = own.waited
    position = own.positions.get(own.shard) if own.positions is not None else None
    own.shunned, own.waited = None, False
    if own.until is not None and own.until.get(own.shard, 0.0) > client.engine.now:
        position = -1
    if position != -1:
        pool = own.readers.choice(own.shard, 0 if position is None else position, shunned)
    if pool is not None:
        own.on_replica = True
        move_to(client, pool)
        return False
    if own.readers.any(own.shard):
        if position is None or position == -1 or waited or shunned is not None:
            return False
        wait_for_replay(client, own, position)
        return True
    error = own.readers.refusal(own.shard)
    if error is not None:
        own.router._refuse(error)
    return error is not None


cdef int wait_for_replay(ClientLink client, Route own, position) except -1:
    """Apart, for a function with a closure in it makes one each time that it is called."""
    client.blocked = own.waited = True
    own.readers.wait(own.shard, position, lambda: on_waited(client, own))
    return 0


def on_waited(ClientLink client, Route own):
    """A replica has replayed what the client wrote, or it has waited long enough."""
    if not client.blocked or not own.waited or client.fd < 0 or client.closing:
        return
    client.blocked = False
    client.granted()


cdef int note_write(ClientLink client, Route own) except -1:
    """A statement that may write is on its way: until its position is known, its client reads from the primary."""
    if not own.readers.waits:
        return forget_unknown(own)
    client.server.position_due = not client.sticky
    if own.readers.sticky_s:
        stick(own, INFINITY)
        return forget_unknown(own)
    return note_position(own, None)


cdef int forget_unknown(Route own) except -1:
    """A token that says `?` holds until the next write; one that names a position is read behind whatever is written."""
    if own.positions is not None and own.positions.get(own.shard) == -1:
        del own.positions[own.shard]
    return 0


cdef int stick(Route own, double until) except -1:
    if own.until is None:
        own.until = {}
    own.until[own.shard] = until
    return 0


cdef int note_end_of_write(ClientLink client, Route own, position) except -1:
    """Its transaction is over: what it reads has to have been replayed up to there, or is the primary's for a while."""
    sticky_s = own.readers.sticky_s
    return stick(own, client.engine.now + sticky_s) if sticky_s else note_position(own, position)


cdef int forget_positions(Route own) except -1:
    """The shards have other numbers now."""
    if own.positions is not None:
        own.positions = dict.fromkeys(range(len(own.pools)), -1)
    return 0


cdef bint leave_replica(ClientLink client, error) except -1:
    """No server of the replica could be had: the request goes elsewhere. False if that was not why it is refused."""
    cdef Route own = client.route
    if own is None or not own.on_replica or not isinstance(error, (ServerUnavailable, ServerRefused)):
        return False
    own.on_replica, own.shunned = False, client.pool
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
    cdef int found
    if frame.type not in b"QPBF" or session.in_batch():
        own.frame_readable = True
        return GO  # all of the batch has been looked at
    found = read_at(client, own, frame, end)
    if found == ANYWHERE or found == own.shard:
        own.known, own.outcome, own.frame_readable = own.router.known, own.router.outcome, True
        keep(client, own, frame.data)
        return GO
    if session.count:
        return client._await_answers()
    client._flush_requests()
    if session.is_free():
        client.pool.on_free(client.server)
    if client.server is None:
        return choose(client, own, frame, end)
    return WAIT if client.blocked else fail(client, frame, StatementRefused(KEPT), OTHERWISE_REFUSED)
