"""Prepared statements that follow a client from server to server: Parse, Bind, Describe and Close on their way.

A client's statement name stands for a `Statement`, which every server knows by one name of ours. A server that does not
know it yet gets a Parse of ours in front of the client's request, whose answer is swallowed. The unnamed statement is
remembered whole and parsed again where another client has used the server in between.

Rules:
1. Wrong names get PostgreSQL's own errors: an unknown one is sent as it is, a taken one is asked for under the name that
   is taken on the server too.
2. ParseComplete is said by us only where PostgreSQL would certainly say it; else the server is asked.
3. Each change of who knows what is noted with the request, so that an error takes it back (`undo`).

All functions take a lessee that has a server which is not skipping, and return 0; or 1 if the lessee has to wait first,
and this frame comes again.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.string cimport memcpy

from trunkline.pool.undo import NOBODYS, UnnamedBefore
from trunkline.protocol.statement import intern
from trunkline.routing.session.session_effects import State

from trunkline.failpoints cimport failpoint
from trunkline.pool.answers cimport say_fakes_now
from trunkline.pool.doubts cimport bind_statement, prepare_doubtful, run_doubtful
from trunkline.pool.large cimport REMEMBERED_BYTES, assemble_unnamed, is_partial, parse_partial, parse_too_large
from trunkline.pool.names cimport NAME_BYTES, Name, as_said, names_statement, of_statement, read_name, to_bytes
from trunkline.pool.row_types cimport ASKED, KEPT, Promise, is_doubtful, look_again
from trunkline.pool.server cimport Lessee, ServerLink
from trunkline.protocol.scanner cimport HEADER_BYTES, Frame, write_u32
from trunkline.protocol.server_session cimport (
    BIND, CLOSE, DESCRIBE, FAKE, FORWARD, PARSE, PARSE_UNNAMED, SWALLOW, Request,
)
from trunkline.protocol.statement cimport Statement
from trunkline.routing.text.lexer cimport DOUBTFUL, ENDS_NAMES

cdef int PREPARED = State.PREPARED
cdef bytes NOBODYS_NAME = b"trunkline_nobodys"

cdef bint hangs_on_answers(ServerLink server, Frame *frame) noexcept:
    """Whether it uses a statement, and an error may yet take back what an earlier unit has done to statements."""
    cdef long long finished = server.units_done + server.session.dropped_units
    cdef long long change
    if server.names_change < finished and server.unnamed_change < finished:
        return False
    if names_statement(frame):
        change = server.names_change
    elif frame.type == c'B' or (frame.type == c'D' and of_statement(frame)):
        change = server.unnamed_change
    elif server.session.in_batch() and (frame.type == c'Q' or frame.type == c'P' or of_statement(frame)):
        change = server.unnamed_change  # it ends the unnamed statement, which is there again if an error skips it
    else:
        return False
    return change >= finished and change != current_unit(server)  # in its own unit both are done, or neither


cdef object unnamed_before(Lessee client):
    """What is there again if an error has the server skip what now ends it; the first request of a batch is not skipped."""
    return UnnamedBefore(client.unnamed, client.server.unnamed) if client.server.session.in_batch() else None


# --- Parse ------------------------------------------------------------------------------------------------------------

cdef int parse(Lessee client, Frame *frame) except -1:
    cdef ServerLink server = client.server
    cdef Name name
    cdef int sight
    server.owner.client_parse_count += 1
    if not server.owner.tracks:
        server.owner.server_parse_count += 1
        name = read_name(frame, HEADER_BYTES)
        sight = see(client, frame, name.end) if name.end else 0
        if sight & DOUBTFUL:
            prepare_doubtful(client, frame, name.end, sight)
        return extended(client, frame, PARSE_UNNAMED, None)
    name = read_name(frame, HEADER_BYTES)
    if not name.end:
        return extended(client, frame, PARSE_UNNAMED, None)  # malformed: PostgreSQL says so in its own words
    sight = see(client, frame, name.end)
    if sight & DOUBTFUL and prepare_doubtful(client, frame, name.end, sight):
        return 1
    if is_partial(frame) and frame.size > REMEMBERED_BYTES:
        return parse_too_large(client, frame, name.size == 0)
    client.ends_names |= sight & ENDS_NAMES
    if name.size and client.names_are_its_own:
        return extended(client, frame, PARSE, None)
    if name.size == 0 or not server.owner.max_prepared:
        client.unnamed_sight = sight if name.size == 0 else client.unnamed_sight
        return parse_unnamed(client, frame, name.size == 0)
    return parse_named(client, frame, name, sight)


cdef int parse_unnamed(Lessee client, Frame *frame, bint unnamed) except -1:
    client.server.owner.server_parse_count += 1
    extended(client, frame, PARSE_UNNAMED, (unnamed_before(client) or NOBODYS) if unnamed else None)
    if unnamed:
        client.server.unnamed_change = current_unit(client.server)
        client.unnamed = client.server.unnamed = PyBytes_FromStringAndSize(<char *>frame.data, frame.have)
        if is_partial(frame):
            assemble_unnamed(client, frame, client.unnamed)
    return 0


cdef int parse_named(Lessee client, Frame *frame, Name said, int sight) except -1:
    cdef ServerLink server = client.server
    cdef Statement before, statement
    cdef bytes name = to_bytes(said)
    cdef Py_ssize_t start = said.end
    if client.names is None:
        client.names = {}
    before = client.names.get(name)
    begin(client)
    if before is not None:
        ensure_prepared(server, before)
        server.session.expect(PARSE, FORWARD, (as_said(said), before, before, "taken"))
        return pass_parse(client, before.server_name, frame, start)
    if is_partial(frame):
        return parse_partial(client, frame, name, start)
    statement = intern(PyBytes_FromStringAndSize(<char *>frame.data + start, frame.size - start), client.params.meaning,
                       server.owner.family)
    statement.sight |= sight
    if statement.words is not None and statement in client.names.values():
        client.twice_named = True
    statement.words = server.owner.words
    client.names[name] = statement
    if statement not in server.prepared:
        server.session.expect(PARSE, FORWARD, (name, None, statement, "new"))
        pass_parse(client, statement.server_name, frame, start)
        failpoint(b"after_parse_forwarded")
        return remember(server, statement)
    return parse_known(server, frame, start, name, statement)


cdef int parse_known(ServerLink server, Frame *frame, Py_ssize_t start, bytes name, Statement statement) except -1:
    """The server knows the statement already, from another client."""
    server.prepared.move_to_end(statement)
    if server.session.count == 0 and server.session.status != c'E':
        server.session.expect(PARSE, FAKE, (name, None, statement, "known"))
        return say_fakes_now(server)
    server.names_change = server.unnamed_change = current_unit(server)
    # not known whether PostgreSQL would take a Parse now (a transaction may have failed): have it say so itself
    server.session.expect(PARSE, FORWARD, (name, None, statement, "known"))
    server.unnamed = b""  # one that is nobody's
    return send_parse(server, b"", frame.data + start, frame.size - start)


# --- Bind, Describe, Close ----------------------------------------------------------------------------------------------

cdef int bind(Lessee client, Frame *frame) except -1:
    cdef Name portal, name
    client.server.owner.bind_count += 1
    if not client.server.owner.tracks:
        return extended(client, frame, BIND, None)
    portal = read_name(frame, HEADER_BYTES)
    name = read_name(frame, portal.end) if portal.end else portal
    if not name.end:
        return extended(client, frame, BIND, None)
    if name.size == 0:
        return bind_unnamed(client, frame)
    return renamed(client, frame, BIND, portal.end, name)


cdef int describe(Lessee client, Frame *frame) except -1:
    cdef Name name = read_name(frame, HEADER_BYTES + 1)
    if not client.server.owner.tracks or not name.end or frame.data[HEADER_BYTES] != c'S':
        return extended(client, frame, DESCRIBE, None)
    if name.size == 0:
        return with_unnamed(client, frame, DESCRIBE)
    return renamed(client, frame, DESCRIBE, HEADER_BYTES + 1, name)


cdef int close(Lessee client, Frame *frame) except -1:
    cdef ServerLink server = client.server
    cdef Name name = read_name(frame, HEADER_BYTES + 1)
    if not server.owner.tracks or not name.end or frame.data[HEADER_BYTES] != c'S':
        return extended(client, frame, CLOSE, None)
    if name.size == 0:
        server.unnamed_change = current_unit(server)
        extended(client, frame, CLOSE, unnamed_before(client))
        client.unnamed = server.unnamed = None
        return 0
    server.doubt |= PREPARED if client.names_are_its_own else 0
    if client.names is not None and (statement := client.names.pop(to_bytes(name), None)) is not None:
        begin(client)
        if server.session.count:
            server.names_change = current_unit(server)
        server.session.expect(CLOSE, FAKE, (to_bytes(name), statement))
        return say_fakes_now(server)
    return extended(client, frame, CLOSE, None)


cdef inline int with_unnamed(Lessee client, Frame *frame, Request request) except -1:
    """Uses the unnamed statement, which may have been parsed on another server."""
    cdef ServerLink server = client.server
    begin(client)
    if client.unnamed is not None and server.unnamed is not client.unnamed:
        ensure_unnamed(server, client.unnamed)
    elif client.unnamed is None and server.unnamed is not None:
        forget_unnamed(server)
    return extended(client, frame, request, None)


cdef int bind_unnamed(Lessee client, Frame *frame) except -1:
    client.bound_sight = client.unnamed_sight
    if client.unnamed_sight & DOUBTFUL and client.server.owner.exact:
        text = client.unnamed[HEADER_BYTES + 1:] if client.unnamed is not None else b""
        run_doubtful(client, text, client.unnamed_sight, frame)
    return with_unnamed(client, frame, BIND)


cdef int renamed(Lessee client, Frame *frame, Request request, Py_ssize_t start, Name name) except -1:
    """Bind or Describe of a named statement: our name for the client's, the rest as it is."""
    cdef ServerLink server = client.server
    cdef Statement statement = None
    cdef Promise promise = KEPT
    cdef bytes ours
    cdef Py_ssize_t size
    cdef unsigned char *head
    if client.names is not None:
        statement = client.names.get(to_bytes(name))
    if statement is None:
        client.bound_sight = UNSEEN
        if client.names_are_its_own and request == BIND:
            run_doubtful(client, b"", UNSEEN, frame)
        return extended(client, frame, request, None)  # PostgreSQL's own 26000
    if statement.meaning is not client.params.meaning and statement not in server.prepared:
        statement = as_meant_now(client, to_bytes(name), statement)
    if is_doubtful(server, statement):
        promise = look_again(client, statement)
        if promise == ASKED:
            return 1
    if request == BIND:
        bind_statement(client, statement, frame)
    begin(client)
    ensure_prepared(server, statement)
    if name.size <= NAME_BYTES and promise == KEPT and not client.twice_named:
        server.session.expect(request, FORWARD, statement)
    else:
        said = "said" if promise == KEPT else "changed"
        server.session.expect(request, FORWARD, (as_said(name), None, statement, said))
    ours = statement.server_name if promise == KEPT else NOBODYS_NAME
    size = PyBytes_GET_SIZE(ours)
    head = server.scratch(start + size)
    memcpy(head, frame.data, start)
    write_u32(head + 1, <unsigned int>(frame.size - 1 + size - name.size))
    memcpy(head + start, PyBytes_AS_STRING(ours), size)
    server.gather(head, start + size)
    client.passing = True
    return server.gather(frame.data + name.end - 1, frame.have - name.end + 1)


cdef Statement as_meant_now(Lessee client, bytes name, Statement statement):
    """A server that never knew the statement parses it in the session as it is now, which may mean something else."""
    if statement.meaning is None or statement.meaning == client.params.meaning:
        return statement
    statement = client.names[name] = intern(statement.body, client.params.meaning, client.server.owner.family)
    return statement


# --- requests of our own ------------------------------------------------------------------------------------------------

cdef int ensure_prepared(ServerLink server, Statement statement) except -1:
    """Have the server know the statement, by a Parse of our own in front of the client's request if need be."""
    if statement in server.prepared:
        server.prepared.move_to_end(statement)
        return 0
    server.session.expect(PARSE, SWALLOW, statement)
    server.retain(statement.body)
    send_parse(server, statement.server_name, <unsigned char *>PyBytes_AS_STRING(statement.body),
               PyBytes_GET_SIZE(statement.body))
    failpoint(b"parse_injected")
    return remember(server, statement)


cdef int ensure_unnamed(ServerLink server, bytes parse) except -1:
    """Have the server hold this unnamed statement, whoever used the connection in between."""
    server.unnamed_change = current_unit(server)
    server.session.expect(PARSE_UNNAMED, SWALLOW, server.unnamed or NOBODYS)
    server.owner.server_parse_count += 1
    server.gather(<unsigned char *>PyBytes_AS_STRING(parse), PyBytes_GET_SIZE(parse))
    server.retain(parse)
    server.unnamed = parse
    return 0


cdef int pass_parse(Lessee client, bytes name, Frame *frame, Py_ssize_t start) except -1:
    """The client's Parse under `name`, as much of it as is here."""
    client.passing = True
    return send_parse(client.server, name, frame.data + start, frame.have - start, frame.size - frame.have)


cdef int send_parse(ServerLink server, bytes name, const unsigned char *body, Py_ssize_t n, Py_ssize_t rest=0) except -1:
    """A Parse under `name`; the body (query, parameter types) is sent from where it is, its `rest` by somebody else."""
    cdef Py_ssize_t size = PyBytes_GET_SIZE(name) + 1
    cdef unsigned char *head = server.scratch(HEADER_BYTES + size)
    head[0] = c'P'
    write_u32(head + 1, <unsigned int>(4 + size + n + rest))
    memcpy(head + HEADER_BYTES, PyBytes_AS_STRING(name), size)
    server.gather(head, HEADER_BYTES + size)
    server.gather(body, n)
    server.owner.server_parse_count += 1
    return 0


cdef int remember(ServerLink server, Statement statement) except -1:
    """The statement is on its way to the server."""
    server.prepared[statement] = None
    return make_room(server, 0)


cdef int make_room(ServerLink server, Py_ssize_t more) except -1:
    """The least recently used statement goes if there would be too many with so many more."""
    cdef Statement oldest
    server.names_change = current_unit(server)
    if len(server.prepared) + more <= server.owner.max_prepared:
        return 0
    oldest = server.prepared.popitem(last=False)[0]
    server.session.expect(CLOSE, SWALLOW, oldest)
    return send_close(server, oldest.server_name)


cdef int forget_unnamed(ServerLink server) except -1:
    """Another client's unnamed statement is still there: close it, so that 26000 is the answer."""
    server.unnamed_change = current_unit(server)
    server.session.expect(CLOSE, SWALLOW, NOBODYS)
    server.unnamed = None
    return send_close(server, b"")


cdef int send_close(ServerLink server, bytes name) except -1:
    """Close of a statement."""
    cdef Py_ssize_t size = PyBytes_GET_SIZE(name) + 1
    cdef unsigned char *closing = server.scratch(HEADER_BYTES + 1 + size)
    closing[0] = c'C'
    write_u32(closing + 1, <unsigned int>(5 + size))
    closing[HEADER_BYTES] = c'S'
    memcpy(closing + HEADER_BYTES + 1, PyBytes_AS_STRING(name), size)
    return server.gather(closing, HEADER_BYTES + 1 + size)
