"""A client of a database with shards: which pool its next request leases from, and whether its server is the right one.

Theory of operation. A client without a server is between transactions: the frames that are here are looked at up to the
first statement that says where (`look_ahead`), and the lease is asked of that shard's pool; from there on it is relayed
like any other. A client that has a server is in the middle of something: each statement is decided again, and goes on if
it concerns the same shard, or none in particular. Where a block begins, and begins anew, is in blocks.pyx.

Rules:
1. No statement reaches a server of a shard that it was not decided for.
2. What is refused in the middle of something is made to fail there (refusing.pyx).
3. What only reads the system's catalogs goes to the server that its client keeps, as drivers ask there about types.
4. While a long text is planned in a thread (long_texts.pyx), its client waits as for a server, and is decided for anew.
5. What begins after DDL waits in the same way until the catalog has been read anew (execution/new_catalog.py).
"""

from trunkline.pool.policy import reachable
from trunkline.proxy.collector import KEPT_BYTES as ROOM, Collector

from trunkline.execution.readers cimport Readers
from trunkline.execution.router cimport (
    ANYWHERE, APART, EXPLAINED, OTHERWISE_REFUSED, OVER_SEVERAL, REFUSED, SESSION, Router,
)
from trunkline.pool.leases cimport Leases
from trunkline.pool.names cimport Name, read_name, to_bytes
from trunkline.protocol.scanner cimport HEADER_BYTES, Frame, read_u32
from trunkline.protocol.server_session cimport ServerSession
from trunkline.proxy.client cimport BOUND, ClientLink
from trunkline.proxy.handing cimport (
    comes_again, goes_over, hand_over, left_to_server, may_be_handed_over, note_beginning)
from trunkline.proxy.blocks cimport answer_block, begin_block, may_leave, note_configured, note_history
from trunkline.proxy.reads cimport NOT_A_READ, forget_positions, go_to_replica, note_write, read_at, stay_at_replica
from trunkline.proxy.read_only cimport begins_reads, goes_on_reading, note_end, only_primary
from trunkline.proxy.refusing cimport fail, refuse
from trunkline.proxy.repeats cimport keep, unit_passed
from trunkline.proxy.words cimport behind_position, in_place, is_located, raise_to, say_own, take_settings
from trunkline.proxy.long_texts cimport await_catalog, begin_again, leave_to_plan, wait_for_plan
from trunkline.proxy.steps cimport DONE, WAIT

cdef enum:
    SHORT_BIND = 8192        # one that is longer has parameters
    SEVERAL = -11            # it concerns several shards, and can be run over them
    MORE = -10               # the frames that are here do not say yet

cdef Py_ssize_t KEPT_BYTES = ROOM
cdef bytes READ_ONLY = b"default_transaction_read_only"
cdef tuple YES = (b"on", b"true", b"yes", b"1")


cdef class Route:
    """What one client needs for it; `find_pools` gives those of its user, by the number of the shard."""

    def __init__(self, Router router, find_pools, Readers readers=None, several=None):
        self.router = router
        self.several = several
        self.find_pools = find_pools
        self.readers = readers
        self.asked, self.cursors = [], {}
        self.asked_unit = -1

    def read_behind(self, str token):
        """What is read from now on must have been replayed, by a token of some client's; InvalidPosition."""
        raise_to(self, token)

    @property
    def waits(self):
        """Its client is kept waiting by us, and not in a line for a server."""
        return self.awaited is not None or self.waited or self.repeating


cdef int route(ClientLink client, Frame *frame, const unsigned char *end) except -1:
    """Before a step that needs a server; `end` is the end of what is here behind the frame."""
    cdef Route own = client.route
    own.known, own.frame_readable = None, False
    if own.generation != own.router.generation:
        read_shards(client, own)
    elif own.params is not client.params:
        read_params(client, own)
    own.awaited = None
    if client.server is None:
        return choose(client, own, frame, end)
    if own.held is not None:
        return begin_block(client, own)
    return agree(client, own, frame, end)


cdef int read_shards(ClientLink client, Route own) except -1:
    """A number of the router's may be another shard's than before; -1 is one that has none any more."""
    pools, own.pools = own.pools, own.find_pools()
    if pools is not None and pools != own.pools:
        forget_positions(own)
    own.shard = own.pools.index(client.pool) if client.pool in own.pools else -1
    own.generation = own.router.generation
    return read_params(client, own)


cdef int read_params(ClientLink client, Route own) except -1:
    own.params = client.params
    own.context, own.hint = own.router.session_of(client.params, client.pool.user)
    if own.readers is not None:
        take_settings(client, own)
    isolation = client.params.extra.get(b"default_transaction_isolation")
    reads_only = client.params.reported.get(READ_ONLY, client.params.extra.get(READ_ONLY, b"off"))
    own.reads_by_default = reads_only.lower() in YES
    own.serializable = own.is_serializable_by_default if isolation is None else isolation.lower() == b"serializable"
    return 0


# --- without a server -------------------------------------------------------------------------------------------------

cdef int choose(ClientLink client, Route own, Frame *frame, const unsigned char *end) except -1:
    """Lease from the shard that the statement concerns; or answer it here, or wait for more of it."""
    cdef int decision
    cdef bint reads = own.readers is not None and own.held is None and not (client.sticky or own.serializable)
    own.frame_readable = False
    own.beginning = None
    if own.local is not None and own.held is None:
        forget_local(client, own)
    reads = reads and read_at(client, own, frame, end) != NOT_A_READ
    if reads and own.router.whole:
        decision, own.known, own.outcome, own.frame_readable = 0, own.router.known, own.router.outcome, True
    else:
        decision = look_ahead(client, own, frame, end)
    if decision == MORE:
        return WAIT
    if decision == APART:
        return wait_for_plan(client, own)
    if decision == SESSION and frame.type == c'Q' and answer_block(client, own, frame):
        return DONE
    if decision == SEVERAL:
        return hand_over(client, own, frame)
    if decision == REFUSED and own.held is None:
        return refuse(client, own, frame)
    own.on_replica, own.asked_unit, own.block_ends = False, -1, False
    own.shard = decision if decision >= 0 else reachable(own.pools, own.router.home)
    own.in_reads = not reads and begins_reads(client, own, frame, end)
    if (reads or own.in_reads) and go_to_replica(client, own):
        return WAIT if own.waited else refuse(client, own, frame)
    own.in_reads &= own.on_replica
    if not own.on_replica:
        move_to(client, <Leases>own.pools[own.shard])
    own.history = []
    if client._await_server():
        return WAIT
    if own.held is not None:
        return begin_block(client, own)
    if own.on_replica and not own.in_reads:
        keep(client, own, frame.data)
    return go(client, own, frame, decision)


cdef int look_ahead(ClientLink client, Route own, Frame *frame, const unsigned char *end) except? -99:
    """Where the first statement of those that are here has to go that says so; a batch is looked at up to its end."""
    cdef Frame ahead = frame[0]
    cdef int decision
    cdef dict bodies = None
    if own.planned is not None:
        begin_again(own)
    while ahead.type in b"PBDEC" or ahead.data == frame.data:
        if ahead.have < ahead.size and own.router.whole and (ahead.type != c'B' or ahead.size > SHORT_BIND):
            return 0  # it need not be read to know where it goes
        if ahead.have < ahead.size:
            return collect(client, frame, end, ahead.data + ahead.size - frame.data)
        if ahead.type == c'P' and bodies is None:
            bodies = {}
        decision = decide(client, own, &ahead, bodies)
        if ahead.data == frame.data:
            own.known, own.outcome = own.router.known, own.router.outcome
            own.frame_readable = own.router.readable
        if goes_over(client, own, &ahead, decision):
            return SEVERAL
        if decision >= 0 or decision == APART or ahead.type not in b"PBDEC":
            return decision
        if decision == REFUSED or decision == EXPLAINED:
            return decision if ahead.data == frame.data else ANYWHERE  # what comes before it is answered first
        ahead.data += ahead.size
        if end - ahead.data < HEADER_BYTES:
            return collect(client, frame, end, end - frame.data + 1)
        ahead.type = ahead.data[0]
        ahead.size = 1 + <Py_ssize_t>read_u32(ahead.data + 1)
        ahead.have = min(ahead.size, end - ahead.data)
        if ahead.size < HEADER_BYTES or ahead.size > client.max_bytes:
            break  # no message is like that: it is refused when its turn comes
    return ANYWHERE


cdef int note_sent(ClientLink client, Frame *frame, int taken) except -1:
    """Behind a step, whose answer it returns: a statement that runs counts, and the first of a unit has its time."""
    cdef Route own = client.route
    if own.on_replica and taken == DONE and not client.server.session.count:
        own.answered += 1  # in its place, by us
    if taken != DONE or frame.type not in b"QBF":
        return taken
    if own.spent and frame.type == c'Q':
        unit_passed(own)
    if own.known is not None:
        own.router.count(own.known, own.outcome, own.shard)
        if own.known.advances and own.ids is not None:
            own.ids.advanced(own.known.ready.plan.ids, own.beginning[0] if own.beginning else None)
        if client.server is not None and client.server.timed is None:
            client.server.timed = own.known
    if own.readers is not None and not (own.frame_readable or own.on_replica) and client.server is not None \
            and may_write(own):
        note_write(client, own)
    return taken


cdef bint may_write(Route own):
    """A statement that is the primary's only because replicas have refused it does not, unless they refused a write."""
    return own.known is None or own.known.writes or (not own.known.special and bool(own.known.ready.plan.primary))


cdef int end_batch(Route own) except -1:
    """Its Sync is here."""
    own.planned = None
    return unit_passed(own) if own.spent else 0


cdef int collect(ClientLink client, Frame *frame, const unsigned char *end, Py_ssize_t needed) except? -99:
    """Keep everything from this frame on, until there are so many bytes of it."""
    if needed > KEPT_BYTES or end - frame.data > KEPT_BYTES // 2:
        Collector(client, needed)
    return MORE


cdef int decide(ClientLink client, Route own, Frame *frame, dict bodies) except? -99:
    """Where this one has to go, or why it goes nowhere; `bodies` as for `place_of`."""
    cdef int decision
    own.router.forget()
    own.router.planned = own.planned
    decision = place_of(client, own, frame, bodies)
    if own.router.stale is not None and own.router.whole:
        own.router.readable = False
    elif own.router.stale is not None and frame.type in b"QPB" and decision != SESSION and not goes_on(client, own):
        return await_catalog(own, decision)
    if own.router.executes and client.names and decision != REFUSED:
        return own.router.refuse_execute()
    return decision if decision != REFUSED or not client.sticky else left_to_server(client, own)


cdef bint goes_on(ClientLink client, Route own) except -1:
    """It has changed the schema, and may hold locks that the reading waits for; or is waited for; or means the same."""
    stale, known = own.router.stale, own.router.known
    if client.server is not None and ((client.server.schema_changed and stale.lets_definer)
                                      or (stale.lets_end and not client.server.session.is_free())):
        return True
    return stale.lets(known.ready.plan if known is not None else None)


cdef int place_of(ClientLink client, Route own, Frame *frame, dict bodies) except? -99:
    """Where this one has to go; `bodies` are those of the statements that this batch has defined so far, by name."""
    cdef Name name, portal
    if frame.type == c'Q':
        return own.router.of_text(frame.data + HEADER_BYTES, frame.size - HEADER_BYTES, own.context, own.hint)
    if frame.type == c'P':
        name = read_name(frame, HEADER_BYTES)
        if not name.end:
            return ANYWHERE  # malformed, as the server will say
        bodies[to_bytes(name)] = bytes(frame.data[name.end:frame.size])
        return own.router.of_parse(frame.data + name.end, frame.size - name.end, own.context, own.hint)
    if frame.type == c'B':
        portal = read_name(frame, HEADER_BYTES)
        name = read_name(frame, portal.end) if portal.end else portal
        if not name.end:
            return ANYWHERE
        statement = statement_of(client, to_bytes(name), bodies)
        return own.router.of_bind(statement, frame.data + name.end, frame.size - name.end, own.context, own.hint)
    return own.router.home if frame.type == c'F' else ANYWHERE


cdef object statement_of(ClientLink client, bytes name, dict bodies):
    """What a Bind means by a name: a Statement, or the body of a Parse; None if there is none."""
    if bodies is not None and name in bodies:
        return bodies[name]
    if not name:
        return client.unnamed[HEADER_BYTES + 1:] if client.unnamed is not None else None
    return client.names.get(name) if client.names is not None else None


cdef int move_to(ClientLink client, Leases pool) except -1:
    """Lease from this pool from now on."""
    if client.pool is not pool:
        client.pool = pool
        client.move(pool.clients)
    return 0


cdef int forget_local(ClientLink client, Route own) except -1:
    """The transaction is over: what it has changed is in the client's settings, or undone."""
    own.local = None
    return read_params(client, own)


cdef int note_setting(ClientLink client, Route own) except -1:
    """One of trunkline's own settings holds from now on, in this transaction."""
    if own.local is None:
        own.local = dict(client.params.extra)
    own.local[own.router.said[0]] = own.router.said[1]
    own.hint = own.router.hint_of(own.local)
    return 0


cdef int go(ClientLink client, Route own, Frame *frame, int decision) except -1:
    """The step may be taken; what has to be told another server, if the block should begin anew there, is kept."""
    cdef bint alone
    own.instead = None
    if own.known is not None and own.known.special and own.readers is not None:
        return say_own(client, own, frame)
    if frame.type == c'Q':
        own.planned = None
    if decision == EXPLAINED:
        own.instead = in_place(frame, own.router.instead)
        return INSTEAD
    if frame.type == c'B' and (decision < 0 or own.router.reading.is_catalog or own.in_reads):
        decision = decide(client, own, frame, None)  # what was decided last is what comes behind it in its batch
    if own.in_reads:
        note_end(own, frame)
    if frame.type == c'Q' or frame.type == c'B':
        alone = not client.server.session.units and not client.batch & BOUND
        client.defines_own = alone and own.router.reading.temporary
        own.configured = own.configured and not alone
    if decision >= 0 and not own.router.reading.is_catalog and not (own.in_reads and own.router.whole):
        own.history = None
    elif not own.router.whole and (frame.type == c'Q' or frame.type == c'B') and own.router.reading.plan.configures:
        note_configured(client, own, frame)
    elif own.history is not None and (frame.type == c'Q' or frame.type == c'B'):
        note_history(client, own, frame)
    if decision == SESSION and frame.type != c'P':
        note_beginning(own)
        if own.router.said is not None:
            note_setting(client, own)
    return GO


# --- with a server ----------------------------------------------------------------------------------------------------

cdef int agree(ClientLink client, Route own, Frame *frame, const unsigned char *end) except -1:
    """The statement goes to the server that the client has, or waits for the end of what it is in the middle of."""
    cdef ServerSession session = client.server.session
    cdef bint failed = session.status == c'E' and session.count == 0
    cdef int decision
    if failed:
        own.history = None  # not all was done of what has been said since the block began
    if own.on_replica and not is_in_reads(own, session):
        return stay_at_replica(client, own, frame, end)
    if frame.type not in b"QPBF" or (failed and frame.type != c'Q'):
        return GO
    decision = look_ahead(client, own, frame, end)
    if decision == MORE:
        return WAIT
    if failed and not is_several(frame):
        note_end(own, frame)
        return GO  # it ends the failed block, or fails in it
    if decision == APART:
        return leave_to_plan(client, own)
    if decision == SEVERAL:
        return hand_over(client, own, frame)
    if decision == REFUSED and own.router.outcome == OVER_SEVERAL and comes_again(client, own):
        return WAIT if client.server is not None else choose(client, own, frame, end)
    if decision == REFUSED:
        return fail(client, frame, own.router.refusal, own.outcome)
    if own.known is not None and own.known.special and own.readers is not None and not is_located(client):
        return behind_position(client, own, frame, end)
    stays = not own.in_reads or goes_on_reading(own, decision)
    follows = own.router.reading.is_catalog and (client.sticky or session.status == c'T')
    if stays and (decision < 0 or decision == own.shard or follows):
        return go(client, own, frame, decision)
    if session.count:
        return client._await_answers()
    client._flush_requests()
    if session.is_free() and not client.sticky:
        client.pool.on_free(client.server)
    elif may_leave(client, own, session):
        if session.status == c'T':
            own.held, own.history = own.history, None
        client.pool.abandon(client.server, "its client goes on at another shard")
    if client.server is None:
        return choose(client, own, frame, end)
    if client.blocked:
        return WAIT
    if stays and may_be_handed_over(client, own, frame):
        return hand_over(client, own, frame)
    error = own.router.spans(own.shard, decision, client.sticky) if stays else only_primary(own)
    return fail(client, frame, error, OTHERWISE_REFUSED)


cdef bint is_in_reads(Route own, ServerSession session) except -1:
    """In a transaction that only reads; behind its end it is like anybody at a replica, unless that has failed."""
    if own.block_ends and not session.in_batch():
        own.in_reads = own.block_ends = False
    if not own.in_reads and session.count == 0 and session.status != c'I':
        own.in_reads = True
    return own.in_reads


cdef bint is_several(Frame *frame):
    """A simple query that may hold more than one statement: one behind the end of a failed block would run."""
    return b";" in bytes(frame.data[HEADER_BYTES:frame.have]).rstrip(b"; \t\r\n\0")
