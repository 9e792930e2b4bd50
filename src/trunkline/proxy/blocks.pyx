"""Transaction blocks of a client of a database with shards: where they begin, and may begin anew.

Rules:
1. BEGIN waits (`Route.held`) for the first statement that says where; the server hears it first, as a query of ours.
2. A block in which nothing was done that a shard has to do with may begin anew on another (`Route.history`): what was
   said in it is said again there.
"""

import struct

from trunkline.errors import ServerRefused, TrunklineError
from trunkline.execution.local_settings import with_values
from trunkline.execution.spread.binding import Bound
from trunkline.protocol.messages import IDLE_READY, command_complete, ready_for_query
from trunkline.proxy.lost_block import LostBlock
from trunkline.proxy.statements import body_of

from trunkline.execution.whole cimport WholeRouter
from trunkline.pool.server cimport ServerLink
from trunkline.protocol.scanner cimport HEADER_BYTES, Frame
from trunkline.protocol.server_session cimport ServerSession
from trunkline.proxy.client cimport BOUND, ClientLink
from trunkline.proxy.read_only cimport only_reads
from trunkline.proxy.routed cimport Route
from trunkline.proxy.steps cimport WAIT

cdef bytes IN_BLOCK = ready_for_query(b"T")
cdef bytes FAILED_READY = ready_for_query(b"E")


cdef bint answer_block(ClientLink client, Route own, Frame *frame) except *:
    """BEGIN and the end of a block in which nothing was asked: nobody but us need know of them."""
    cdef str tag = own.router.reading.tag
    if not tag or client.pool.one_statement:
        return False
    if tag in ("BEGIN", "START TRANSACTION"):
        if own.held is not None:
            return False  # the server has a warning for that
        own.held = [own.router.text]
        own.only_reads = own.readers is not None and only_reads(own)
        own.router.count(own.known, own.outcome, -1)
        client.write(command_complete(tag) + IN_BLOCK)
        return True
    if own.held is None:
        return False
    own.held = None
    own.router.count(own.known, own.outcome, -1)
    client.write(command_complete(tag) + IDLE_READY)
    return True


cdef bytes ready_without_server(Route own):
    """The answer to a Sync behind which nothing is open but perhaps the block that waits."""
    return IDLE_READY if own.held is None else IN_BLOCK


cdef bytes give_up_block(ClientLink client):
    """There is no server for it: the block that waited for one has failed. The ReadyForQuery that says so."""
    cdef Route own = client.route
    if own is None or own.held is None:
        return IDLE_READY
    own.held = None
    client.lost = LostBlock(client, True, None, client.engine.now)
    return FAILED_READY


cdef int begin_block(ClientLink client, Route own) except -1:
    """Its server hears of the block first, while the statement waits."""
    cdef ServerLink server = client.server
    client.blocked = True
    server.ask(b"; ".join(own.held), lambda error: block_begun(client, own, server, error))
    return WAIT


def block_begun(ClientLink client, Route own, ServerLink server, error):
    """The server is in the block; what waited for that comes again. Lost before, another one has to begin it."""
    if client.server is not server:
        return
    client.blocked = False
    if error is not None:
        client.pool.abandon(server, "a block could not be begun there")
        client.refused(ServerRefused(error["C"], error["M"]))
        return
    own.beginning = list(own.held)
    own.history, own.held = own.held, None
    client.granted()


cdef int note_history(ClientLink client, Route own, Frame *frame) except -1:
    """What the block would have to be told elsewhere. It begins with BEGIN: what was said before has no effect in it."""
    cdef bint keeps_portal = frame.type == c'B' and frame.data[HEADER_BYTES] != 0
    cdef bint begins_within = own.router.reading.tag and not own.history and client.batch & BOUND  # of one without it
    if keeps_portal or begins_within or not own.router.reading.repeatable:
        own.history = None
    elif own.router.reading.said_again and (own.history or own.router.reading.tag):
        own.history.append((<WholeRouter>own.router).said_text() if own.router.whole else own.router.text)
    return 0


cdef int note_configured(ClientLink client, Route own, Frame *frame) except -1:
    """set_config() is called: who takes part in this transaction later is told the same, or does not take part."""
    cdef object text = None
    if own.router.reading.of_settings and frame.have == frame.size:
        body = bytes(frame.data[HEADER_BYTES:frame.have])
        text = with_values(body[: len(body) - 1], (), ()) if frame.type == c'Q' else bound_text(client, body)
    own.configured = True
    if text is None or own.beginning is None:
        own.beginning = own.history = None
        return 0
    own.beginning = own.beginning + [text]
    if own.history is not None:
        own.history.append(text)
    return 0


def bound_text(ClientLink client, bytes body):
    """What a Bind of settings says, as one text; None where it is not understood."""
    try:
        bound = Bound(body)
        sql, types = body_of(client, bound.statement)
    except (TrunklineError, ValueError, IndexError, struct.error):
        return None
    return with_values(sql, types, bound.values)


cdef bint may_leave(ClientLink client, Route own, ServerSession session) noexcept:
    """Nothing is lost with this server: statements were defined or described, in a block that may begin anew or in none."""
    if client.sticky or (not session.synced and client.batch & BOUND):
        return False
    return own.history is not None if session.status == c'T' else session.status == c'I' and not session.synced
