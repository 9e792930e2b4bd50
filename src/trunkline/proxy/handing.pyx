"""A client whose statement concerns several shards: from the relay to `several.Several`, and back.

Rules:
1. It is handed over with nothing owed to it: in no transaction, in a block whose beginning is known
   (`Route.beginning`), so that other shards can be told it, or in a batch, whose implicit transaction goes on as a
   block of ours. Else the statement is refused.
2. The frame that leads to it is kept, and is the first that the other session reads.
"""

from trunkline.pool.server cimport ServerLink
from trunkline.protocol.scanner cimport Frame
from trunkline.proxy.client cimport BOUND, ClientLink
from trunkline.proxy.routed cimport Route
from trunkline.proxy.steps cimport WAIT


cdef bint may_be_handed_over(ClientLink client, Route own, Frame *frame) except -1:
    """Whether what it asks now can be run over several shards."""
    cdef ServerLink server = client.server
    if own.several is None or client.sticky or client.listening is not None or client.pool.one_statement:
        return False
    if server is None or begins_anew(client, own):
        return True
    if server.session.count or server.doubt or server.setup is not None or server.session.skipping \
            or client.before_block is not None or own.on_replica or own.in_reads:
        return False
    if server.session.status == c'T':
        return own.beginning is not None
    # a simple query would leave the implicit transaction of the batch open until its Sync (see steps.enter)
    return server.session.status == c'I' and not server.session.synced and client.batch & BOUND != 0 and frame.type != c'Q'


cdef bint begins_anew(ClientLink client, Route own) noexcept:
    """Nothing was done in its block that a shard has to do with: it goes over without the server that it has."""
    cdef ServerLink server = client.server
    return own.history is not None and server.session.status == c'T' and server.session.synced \
        and not server.session.count and server.setup is None and not client.batch & BOUND


cdef bint comes_again(ClientLink client, Route own) except -1:
    """Whether its statement may yet be handed over: when it is owed nothing, or without the server that it has."""
    cdef ServerLink server = client.server
    if own.several is None or client.sticky:
        return False
    if server.session.count:
        client._await_answers()
        return True
    if client.batch & BOUND or server.session.status != c'I':
        return False
    client._flush_requests()
    client.pool.abandon(server, "its client goes on at several shards")
    return True


cdef int hand_over(ClientLink client, Route own) except -1:
    """The session that goes on begins when this chunk is left; the server of its block is the session's at once."""
    cdef ServerLink server = client.server
    if server is not None and begins_anew(client, own):
        own.held = own.history
        client._flush_requests()
        client.pool.abandon(server, "its block begins anew at several shards")
        server = None
    beginning = own.held if server is None else own.beginning
    unsynced = server is not None and not server.session.synced
    if server is not None:
        client._flush_requests()
        if server.session.status == c'I':
            beginning = None
    own.held = own.beginning = own.history = None
    own.planned = None
    client.batch = 0
    client.blocked = True
    own.several(client, own, beginning or (), unsynced)
    return WAIT


def hand_back(ClientLink client, bytes rest):
    """It is relayed again, in no transaction; `rest` is what it has said already."""
    client.blocked = False
    client.close_inbox(rest)


cdef int note_beginning(Route own) except -1:
    """A statement about the session has been sent: one that begins a block, or is part of how it begins, is kept."""
    if own.router.reading.tag in ("BEGIN", "START TRANSACTION"):
        own.beginning = [own.router.text]
    elif own.router.reading.said_again and own.beginning is not None:
        own.beginning = own.beginning + [own.router.text]
    elif own.router.reading.chained:
        own.beginning = None  # how the block that begins there begins is not known
    return 0
