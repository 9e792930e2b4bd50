"""What a client was told that its statement returns, and whether another server would say the same.

PostgreSQL refuses a prepared statement whose result has been changed by DDL ("cached plan must not change result type"),
for its client reads the rows by the description it was given. A server that hears of the statement only after the DDL
cannot know. So where a client was told, a server new to the statement is asked for its description before it is bound;
where that differs, the request is refused in PostgreSQL's words.

Types of users have other numbers on each shard, and what a row says of them is the same: between two shards only their
sizes are compared.
"""

import struct

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE

from trunkline.protocol.messages import FLUSH as FLUSH_BYTES
from trunkline.protocol.messages import message
from trunkline.protocol.statement import Statement as StatementType
from trunkline.protocol.statement import retire

from trunkline.pool.prepared cimport begin, ensure_prepared
from trunkline.pool.server cimport Lessee, ServerLink
from trunkline.protocol.scanner cimport HEADER_BYTES, Frame
from trunkline.protocol.server_session cimport DESCRIBE, SWALLOW
from trunkline.protocol.statement cimport Statement

cdef bytes FLUSH = FLUSH_BYTES
cdef int FIRST_USER_OID = 16384  # FirstNormalObjectId
cdef int FIXED_BYTES = 18  # of a column in a RowDescription, behind its name


cdef Promise look_again(Lessee client, Statement statement) except *:
    """Whether this server returns what the client was told; for `ASKED`, the client waits, and its request comes again."""
    cdef ServerLink server = client.server
    cdef bytes asked
    if statement in server.prepared:
        # in a failed transaction that is what the server says
        return CHANGED if server.prepared[statement] is not None and server.session.status != c'E' else KEPT
    begin(client)
    ensure_prepared(server, statement)
    server.session.expect(DESCRIBE, SWALLOW, statement)
    asked = message(b"D", b"S" + statement.server_name + b"\0") + FLUSH
    server.retain(asked)
    server.gather(<unsigned char *>PyBytes_AS_STRING(asked), PyBytes_GET_SIZE(asked))
    client.awaits_answers = client.blocked = True
    return ASKED


cdef int on_description(ServerLink server, Frame *frame, object note, bint ours) except -1:
    """A RowDescription or NoData; `note` is of the request it answers, which may be about a statement."""
    cdef Statement statement
    cdef bytes types
    if type(note) is tuple:
        note = note[2]
    if type(note) is not StatementType:
        return 0
    statement = note
    types = row_types(frame)
    if types is None:
        return 0
    types = (<object>server.owner).database.encode() + b"\0" + types
    if statement.row_types is None:
        statement.row_types = types
    elif columns_of(types) != columns_of(statement.row_types) and not mean_the_same(
            server.owner, types, statement.row_types):
        statement.changed = True
        retire(statement)  # who prepares this text from now on gets the new result
        if ours:
            server.prepared[statement] = types
    return 0


cdef bytes columns_of(bytes types):
    """What they are, without the name of the pool that has said so."""
    return types[types.index(b"\0") + 1:]


cdef bint mean_the_same(object pool, bytes one, bytes other):
    """Whether these are of two shards, and differ in the numbers of types of users alone."""
    cdef list heads = [said[:said.index(b"\0")].decode()[len(pool.family) + 1:].split("/")[0] for said in (one, other)]
    if heads[0] == heads[1] or len(pool.pools.config.shards_of(pool.family)) < 2:
        return False
    return without_own_numbers(one) == without_own_numbers(other)


cdef list without_own_numbers(bytes types):
    cdef list found = []
    cdef Py_ssize_t at = types.index(b"\0") + 1, end
    while at < len(types):
        end = types.index(b"\0", at)
        number, rest = struct.unpack_from("!I6s", types, end + 1)
        found.append((types[at:end], min(number, FIRST_USER_OID), rest))
        at = end + 11
    return found


cdef bytes row_types(Frame *frame):
    """Names and types of the columns; where they come from may change (equalRowTypes in tupdesc.c). None where not all
    of it is here, or it ends in a column."""
    cdef list parts = []
    cdef bytes body
    cdef Py_ssize_t at = 2, end
    if frame.have < frame.size:
        return None
    body = PyBytes_FromStringAndSize(<char *>frame.data + HEADER_BYTES, frame.size - HEADER_BYTES)
    while at < len(body):
        end = body.find(b"\0", at)
        if end < 0 or end + FIXED_BYTES >= len(body):
            return None
        parts.append(body[at:end + 1])
        parts.append(body[end + 7:end + 17])  # behind table and column: type, size, modifier
        at = end + 1 + FIXED_BYTES
    return b"".join(parts)
