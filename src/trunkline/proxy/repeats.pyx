"""Reads that a replica has failed, asked again elsewhere, once, if nothing of the answer was given to the client.

Theory of operation. A request is kept (`Route.asked`) when it is sent to a replica, one piece for each ReadyForQuery
that is owed. If the replica is lost, or says what is in `ELSEWHERE` or `PRIMARY`, what is still owed is put in front of
what the client has said since, and consumed again as if it had only come now.

Rules:
1. All that is owed is repeated, in its order, or nothing is.
2. What is repeated is not kept, so the second failure is told.
3. Names that the pieces have given are taken back first: a Parse that comes again must not find its own name taken.
4. What a standby does not do is remembered: of the template, or, of serializable transactions, of the client.
"""

import re

from trunkline.pool.undo import take_back

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE

from trunkline.pool.server cimport ServerLink
from trunkline.protocol.scanner cimport read_u32
from trunkline.protocol.server_session cimport ServerSession
from trunkline.proxy.client cimport READY, ClientLink
from trunkline.proxy.routed cimport Route

# A conflict with recovery, or the end of the server; and what a hot standby does not do.
ELSEWHERE = frozenset((b"40001", b"40P01", b"57P01", b"57P02", b"57P03", b"57P04"))
PRIMARY = frozenset((b"25006", b"0A000", b"55000"))
REASON = "what it was asked is asked elsewhere"

# By the function of PostgreSQL that says so, which is never translated: a plan that is out of date (every server would
# say that), and a session whose transactions are serializable.
_OUTDATED = b"\0RRevalidateCachedQuery\0"
_SERIALIZABLE = b"\0RGetSerializableTransactionSnapshot\0"
_CODE = re.compile(rb"\0C([0-9A-Z]{5})\0")

cdef enum:
    KEPT_BYTES = 65536   # in flight for one client; a client with more has nothing repeated


cdef int keep(ClientLink client, Route own, const unsigned char *start) except -1:
    """A request that ends at `Route.read_end` is about to be sent to a replica."""
    cdef ServerLink server = client.server
    cdef long long unit = server.units_done + server.session.units
    cdef Py_ssize_t size = own.read_end - start
    if not server.session.count:
        own.asked.clear()
        own.asked_bytes, own.answered, own.names_before = 0, 0, None
        own.asked_unit = unit if not own.spent else -1
    elif own.asked_bytes + size > KEPT_BYTES and own.asked_unit >= 0:
        forget_answered(own, server)
    if own.asked_unit < 0:
        return 0
    if unit != own.asked_unit + len(own.asked) or own.asked_bytes + size > KEPT_BYTES:
        own.asked_unit = -1
        return 0
    own.asked.append(PyBytes_FromStringAndSize(<const char *>start, size))
    own.asked_bytes += size
    return keep_names(client, own, unit) if own.bodies is not None else 0


cdef int forget_answered(Route own, ServerLink server) except -1:
    """Of a pipeline that never ends."""
    del own.asked[: max(0, <long long>server.units_done - own.asked_unit)]
    own.asked_unit, own.answered = server.units_done, 0
    own.asked_bytes = sum(map(len, own.asked))
    own.names_before = [one for one in own.names_before or () if one[0] >= server.units_done]
    return 0


cdef int keep_names(ClientLink client, Route own, long long unit) except -1:
    """What the names that this request gives to statements have meant before it."""
    for name in own.bodies:
        if name:
            before = client.names.get(name) if client.names is not None else None
            own.names_before = [*(own.names_before or ()), (unit, name, before)]
    return 0


cdef bint is_all_kept(Route own, ServerLink server) noexcept:
    """Whether what is still owed can be said again."""
    cdef ServerSession session = server.session
    cdef long long done = <long long>server.units_done - own.asked_unit
    return own.asked_unit >= 0 and done >= 0 and 0 < session.units == len(own.asked) - done and not session.in_batch()


cdef bint may_ask_again(ClientLink client, Route own, ServerLink server, bytes said) except -1:
    """Whether what is owed is asked again, now that the server has said this; b"": whether it could be."""
    if own.in_reads and _SERIALIZABLE in said:
        own.serializable = own.is_serializable_by_default = True  # its next block is the primary's
    if not own.on_replica or server.begun or server.setup is not None or server.session.tainted:
        return False
    if client.state != READY or client.left or not client.outlives() or not is_all_kept(own, server):
        return False
    if not said:
        return True
    found = _CODE.search(said)
    code = found[1] if found is not None else b""
    if code not in ELSEWHERE and (code not in PRIMARY or _OUTDATED in said):
        return False
    own.said = said
    return True


cdef bint repeat_lost(ClientLink client, Route own, ServerLink server) except -1:
    """The server, which was the client's, is gone; False if that has to be told."""
    if not own.on_replica or server.begun or client.state != READY or client.left or not is_all_kept(own, server):
        return False
    answered = server.units_done
    server.session.lose()
    take_back(server, client)
    put_in_front(client, own, server, answered)
    return True


cdef int ask_elsewhere(ClientLink client, Route own, ServerLink server) except -1:
    """The server has failed the one request that it owes, and goes on."""
    client.pool.abandon(server, REASON)
    return put_in_front(client, own, server, server.units_done)


cdef int put_in_front(ClientLink client, Route own, ServerLink server, long long answered) except -1:
    """All that is not answered comes again, as soon as whoever is at work now is done."""
    cdef list again = own.asked[answered - own.asked_unit :]
    if answered == own.asked_unit:
        again[0] = without_first(again[0], own.answered)
    for unit, name, before in reversed(own.names_before or ()):
        if unit >= answered:
            client.name(name, before)
    server.owner.repeated += len(again)
    own.shunned = None if is_for_primary(own) else client.pool
    own.spent, own.on_replica = len(again), False
    own.asked.clear()
    own.asked_unit, own.names_before = -1, None
    client.passing = client.awaits_answers = client.ends_names = False
    client.batch = 0
    if <long long>server.cancel_unit == answered:  # that was to be stopped there
        client.session.clients.cancels.want(client)
    client.kept = b"".join(again) + (client.kept or b"")
    client.blocked = own.repeating = True
    client.pool.pools.soon(lambda: on_repeat(client, own))
    return 0


cdef bint is_for_primary(Route own) except -1:
    """Whether the server has said that no standby answers this, which is remembered."""
    said, own.said = own.said, None
    if said is None or _CODE.search(said)[1] not in PRIMARY:
        return False
    if _SERIALIZABLE in said:
        own.serializable = own.is_serializable_by_default = True
    else:
        own.barred, own.writes = True, b"\0C25006\0" in said
    return True


def on_repeat(ClientLink client, Route own):
    """What was put in front is consumed."""
    if not own.repeating:
        return
    own.repeating = False
    if client.fd >= 0 and not client.closing:
        client.blocked = False
        client.granted()


cdef bytes without_first(bytes piece, int count):
    """The frames of a request behind so many of them."""
    cdef const unsigned char *data = <const unsigned char *>PyBytes_AS_STRING(piece)
    cdef Py_ssize_t at = 0
    while count and at + 5 <= PyBytes_GET_SIZE(piece):
        at += 1 + read_u32(data + at + 1)
        count -= 1
    return piece[at:]


cdef int unit_passed(Route own) except -1:
    """A request has been taken to its end: that it was one which is repeated does not concern the next."""
    if own.spent:
        own.spent -= 1
        own.barred = False
    return 0
