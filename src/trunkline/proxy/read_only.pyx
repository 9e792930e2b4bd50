"""Transactions that only read, by their BEGIN or by the session's default: the whole of them is a replica's.

Theory of operation. A block goes to a replica with its BEGIN, or, where that is held for a shard, with the first
statement. As long as nothing was asked in it that depends on where, it can begin anew at the primary (`Route.history`),
as one of a database with shards can at another shard.

Rules:
1. What a replica would answer otherwise than the primary begins the block anew there, or is made to fail in it.
2. A replica refuses to write by itself, in the words that PostgreSQL has for any READ ONLY transaction.
3. SERIALIZABLE is the primary's: a standby cannot be that.
"""

from trunkline.errors import StatementRefused

from trunkline.execution.router cimport ANYWHERE, EXPLAINED
from trunkline.protocol.scanner cimport HEADER_BYTES, Frame, read_u32
from trunkline.proxy.client cimport ClientLink
from trunkline.proxy.routed cimport Route, decide

HINT = "Begin the transaction READ WRITE, or with this statement: then the primary runs all of it."
cdef tuple BEGINS = ("BEGIN", "START TRANSACTION")


cdef bint begins_reads(ClientLink client, Route own, Frame *frame, const unsigned char *end) except -1:
    """Whether the block that begins here, or has been held up to here, is a replica's."""
    if own.readers is None or client.sticky or client.pool.one_statement:
        return False
    if own.held is None:
        if own.known is None or own.known.note.tag not in BEGINS:
            return False
        own.only_reads = only_reads(own)
    return own.only_reads and is_all_reading(client, own, frame, end)


cdef bint only_reads(Route own) except -1:
    """By the BEGIN, and the defaults of its session."""
    reading = own.known.note
    if reading.isolation == "serializable" or (own.serializable and not reading.isolation):
        return False
    return own.reads_by_default if reading.reads_only is None else reading.reads_only


cdef bint is_all_reading(ClientLink client, Route own, Frame *frame, const unsigned char *end) except -1:
    """Whether a replica may answer it, and what is here of its batch."""
    cdef Frame ahead = frame[0]
    cdef dict bodies = None
    while ahead.type in b"QPBDEC" and ahead.have == ahead.size:
        if ahead.type == c'P' and bodies is None:
            bodies = {}
        if ahead.type in b"QPB" and not goes_on_reading(own, decide(client, own, &ahead, bodies)):
            return False
        ahead.data += ahead.size
        if ahead.type == c'Q' or end - ahead.data < HEADER_BYTES:
            return True
        ahead.type = ahead.data[0]
        ahead.size = 1 + <Py_ssize_t>read_u32(ahead.data + 1)
        ahead.have = min(ahead.size, end - ahead.data)
        if ahead.size < HEADER_BYTES:
            return True
    return ahead.data != frame.data


cdef bint goes_on_reading(Route own, int decision) except -1:
    """Whether the statement that was decided last may run in the middle of such a block."""
    if own.router.known is None:
        return decision == ANYWHERE or decision == EXPLAINED  # the server says what is wrong, or what we have it say
    return own.router.known.block_readable


cdef int note_end(Route own, Frame *frame) except -1:
    """What comes behind a COMMIT or ROLLBACK is not the block's any more."""
    tag = own.router.reading.tag
    if (frame.type == c'Q' or frame.type == c'B') and tag and tag not in BEGINS:
        own.block_ends = True
    return 0


cdef object only_primary(Route own):
    """Why the statement that was decided last fails in its block."""
    why = own.router.known.ready.plan.always_primary if own.router.known is not None else "It is not looked into."
    text = "this statement needs the primary, and its READ ONLY transaction is at a replica"
    return StatementRefused(text, detail=why, hint=HINT)
