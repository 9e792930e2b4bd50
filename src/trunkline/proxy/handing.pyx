"""A client whose statement concerns several shards: from the relay to `several.Several`, and back.

Rules:
1. It is handed over with nothing owed to it: in no transaction, in a block whose beginning is known
   (`Route.beginning`), so that other shards can be told it, or in a batch, whose implicit transaction goes on as a
   block of ours. Else the statement is refused.
2. The frame that leads to it is kept, and is the first that the other session reads.
"""

import re

from trunkline.proxy.batches import MOST_BYTES as READ_BYTES
from trunkline.routing.plans.plan import Verdict

from trunkline.execution.router cimport OVER_SEVERAL, REFUSED, SESSION, TO_HOME
from trunkline.pool.names cimport Name, read_name, to_bytes
from trunkline.pool.server cimport ServerLink
from trunkline.protocol.scanner cimport HEADER_BYTES, Frame
from trunkline.proxy.client cimport BOUND, ClientLink
from trunkline.proxy.routed cimport Route
from trunkline.proxy.steps cimport WAIT

cdef object HOME = Verdict.HOME
cdef Py_ssize_t MOST_BYTES = READ_BYTES
OF_CURSORS = re.compile(rb"\s*(?:/\*.*?\*/\s*)*(?:fetch|move|close)\b", re.IGNORECASE | re.DOTALL)
DECLARES = re.compile(rb"\s*(?:/\*.*?\*/\s*)*declare\b", re.IGNORECASE | re.DOTALL)
DISCARDS = re.compile(rb"\s*discard\s+all\b", re.IGNORECASE)


cdef bint goes_over(ClientLink client, Route own, Frame *frame, int decision) except -1:
    """Whether a frame of which this was decided is run over several shards."""
    if decision == REFUSED and own.router.outcome == OVER_SEVERAL:
        return may_be_handed_over(client, own, frame)
    if decision == SESSION and own.cursors and DISCARDS.match(own.router.text) is not None:
        if own.held is None and (client.server is None or client.server.session.status == c'I'):
            own.cursors.clear()  # in a block it fails
        return False
    return own.cursors and is_of_cursors(own, frame, decision) and may_be_handed_over(client, own, frame)


cdef bint may_be_handed_over(ClientLink client, Route own, Frame *frame) except -1:
    """Whether what it asks now can be run over several shards."""
    cdef ServerLink server = client.server
    if own.several is None or client.sticky or client.listening is not None or client.pool.one_statement:
        return False
    if server is None or begins_anew(client, own):
        return True
    if server.session.count or server.doubt or server.setup is not None or server.session.skipping \
            or own.on_replica or own.in_reads:
        return False
    if server.session.status == c'T':
        return own.beginning is not None
    # a simple query would leave the implicit transaction of the batch open until its Sync (see steps.enter)
    return server.session.status == c'I' and not server.session.synced and client.batch & BOUND != 0 and frame.type != c'Q' \
        and not own.configured


cdef bint begins_anew(ClientLink client, Route own) noexcept:
    """Nothing was done in its block that a shard has to do with: it goes over without the server that it has."""
    cdef ServerLink server = client.server
    return own.history is not None and server.session.status == c'T' \
        and not server.session.count and server.setup is None and not client.batch & BOUND


cdef bint is_of_cursors(Route own, Frame *frame, int decision) except -1:
    """Whether it may be about a cursor that the client has over several shards, beyond the transaction of that."""
    cdef Name name
    if frame.type == c'D' or frame.type == c'C':
        if frame.have < frame.size or frame.size <= HEADER_BYTES or frame.data[HEADER_BYTES] != c'P':
            return False
        name = read_name(frame, HEADER_BYTES + 1)
        return name.end and to_bytes(name).decode(errors="replace") in own.cursors
    if decision == SESSION:
        return OF_CURSORS.match(own.router.text) is not None
    if frame.type == c'Q' or frame.type == c'P':  # another cursor of that name would be at one shard
        name.end = HEADER_BYTES if frame.type == c'Q' else read_name(frame, HEADER_BYTES).end
        return name.end and DECLARES.match(bytes(frame.data[name.end:frame.have])) is not None
    return False


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


cdef int hand_over(ClientLink client, Route own, Frame *frame) except -1:
    """The session that goes on begins when this chunk is left; the server of its block is the session's at once."""
    cdef ServerLink server = client.server
    unsynced = server is not None and not server.session.synced
    if server is not None and begins_anew(client, own):
        own.held = own.history
        client._flush_requests()
        client.pool.abandon(server, "its block begins anew at several shards")
        server = None
    beginning = own.held if server is None else own.beginning
    if server is not None:
        client._flush_requests()
        if server.session.status == c'I':
            beginning = None
    own.held = own.beginning = own.history = None
    own.planned = None
    client.batch = 0
    client.blocked = True
    said = bytes(frame.data[:client.chunk_end - frame.data]) if client.chunk_end - frame.data <= MOST_BYTES else b""
    own.several(client, own, beginning or (), unsynced, said)
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


cdef int left_to_server(ClientLink client, Route own) except? -99:
    """In session pooling a client's sequences are its server's business, where all is at home; what else is refused stays so."""
    plan = own.router.reading.plan
    if plan.draws is None or plan.verdict is not HOME or client.pool.tracks:
        return REFUSED
    own.router.outcome = TO_HOME
    return own.router.home
