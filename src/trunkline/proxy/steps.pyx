"""What a client's message does: one short function for each (state, type) that is allowed.

Theory of operation. Each frame is looked up in `STEPS`; the step enters what the server will answer into the server's
session and gathers the frame's bytes.

Rules:
1. A (state, type) that is not in `STEPS` is a protocol violation, as it is in PostgreSQL (postgres.c, SocketBackend).
2. What the server is going to skip (an error, then everything up to Sync) is not sent and leaves no trace here.
3. A refusal of our own ends the unit it belongs to: one error, then nothing until Sync, then one ReadyForQuery.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.string cimport memchr, memset

from trunkline.pool.startup_settings import restoring_query
from trunkline.protocol.messages import IDLE_READY, query, ready_for_query
from trunkline.protocol.messages import SYNC as SYNC_MESSAGE
from trunkline.routing.session.session_effects import PROBED

from trunkline.failpoints cimport failpoint
from trunkline.pool.doubts cimport prepare_doubtful, run_doubtful, text_of
from trunkline.pool.names cimport names_statement
from trunkline.pool.prepared cimport (
    UNSEEN, begin, bind, close, current_unit, describe, extended, hangs_on_answers, parse, see, unnamed_before,
)
from trunkline.pool.server cimport ServerLink
from trunkline.protocol.scanner cimport HEADER_BYTES, Frame
from trunkline.protocol.server_session cimport CLOSE, COPY_NONE, EXECUTE, FORWARD, FUNCTION, QUERY, SWALLOW, SYNC, Request
from trunkline.routing.text.lexer cimport COMMITS, DOUBTFUL, ENDS_NAMES, WRITES
from trunkline.proxy.client cimport BOUND, COPYING, LOST, READY, REFUSED, ClientLink
from trunkline.proxy.blocks cimport ready_without_server
from trunkline.proxy.routed cimport GO, INSTEAD, end_batch, note_sent, route
from trunkline.proxy.words cimport take_instead

# --- the table ------------------------------------------------------------------------------------------------------

STEPS = {
    "ready": {
        "Q": "query", "F": "function", "P": "parse", "B": "bind", "D": "describe", "E": "execute", "C": "close",
        "S": "sync", "H": "flush", "X": "terminate", "d": "early_copy", "c": "early_copy", "f": "early_copy",
    },
    # COPY FROM STDIN or both ways: data passes, Sync and Flush are ignored (copyfromparse.c, CopyGetData)
    "copying": {
        "d": "copy_data", "c": "end_copy", "f": "end_copy", "S": "sync_in_copy", "H": "drop", "X": "terminate",
        "Q": "break_copy", "F": "break_copy", "P": "break_copy", "B": "break_copy", "D": "break_copy", "E": "break_copy",
        "C": "break_copy",
    },
    # after an error of our own in an extended batch: nothing until Sync
    "refused": {
        "S": "end_refusal", "X": "terminate", "Q": "drop", "F": "drop", "P": "drop", "B": "drop", "D": "drop",
        "E": "drop", "C": "drop", "H": "drop", "d": "drop", "c": "drop", "f": "drop",
    },
    # its server was lost in a transaction block, or has left an error behind (lost_block.py)
    "lost": {
        "Q": "lost_query", "F": "lost_function", "P": "lost_message", "B": "lost_message", "D": "lost_message",
        "E": "lost_message", "C": "lost_message", "S": "lost_sync", "H": "drop", "X": "terminate",
        "d": "drop", "c": "drop", "f": "drop",
    },
}

# Steps that need a server which listens; while it skips to Sync, what they would send is dropped (rule 2).
NEED_SERVER = ("query", "function", "parse", "bind", "describe", "execute", "close")

NO_QUERIES = "PQexec disallowed"   # PgBouncer's words

cdef enum:
    N_STATES = 4
    RENAMED_BYTES = 0x7fffff00   # of a message whose statement name may be replaced by a longer one

ctypedef int (*Step)(ClientLink client, Frame *frame) except -1

cdef Step FUNCTIONS[32]   # room for every name below; 0 is none
cdef unsigned char NEEDS[32]
cdef unsigned char TABLE[N_STATES][256]

# --- steps: one short function an entry -------------------------------------------------------------------------------

cdef int step_query(ClientLink client, Frame *frame) except -1:
    cdef int sight = see(client, frame, HEADER_BYTES)
    if sight & DOUBTFUL:
        if prepare_doubtful(client, frame, HEADER_BYTES, sight):
            return WAIT
        run_doubtful(client, text_of(frame, HEADER_BYTES), sight, frame)
    if client.server.session.in_batch():
        client.server.unnamed_change = current_unit(client.server)
        client.server.batch_cut = True
    enter(client, QUERY, unnamed_before(client), sight)
    client.unnamed = client.server.unnamed = None  # it ends the unnamed statement
    client.ends_names |= sight & ENDS_NAMES
    client._pass(frame)
    return DONE if client.restoring is None else restore(client)


cdef int step_function(ClientLink client, Frame *frame) except -1:
    client.server.doubt |= PROBED if client.server.owner.exact else 0
    enter(client, FUNCTION, None, WRITES)
    return client._pass(frame)


cdef inline int enter(ClientLink client, Request request, object note, int sight) except -1:
    """A request of the simple protocol is about to go out: a transaction may end with it.

    In an open batch it leaves PostgreSQL 18 with a transaction behind its Sync's ReadyForQuery 'I' (StartTransactionCommand:
    unexpected state STARTED), which the next one on the server would meet.
    """
    cdef ServerLink server = client.server
    begin(client)
    server.close_needed |= server.session.batch_is_open()
    server.session.expect(request, FORWARD, note)
    failpoint(b"query_owed")
    server.session.mark(sight & (COMMITS | WRITES))
    if sight & (COMMITS | WRITES):
        server.commit_unit = server.units_done + server.session.units
    return 0


cdef int restore(ClientLink client) except -1:
    """The client has reset settings: those that came with its startup packet go back to what that said."""
    cdef ServerLink server = client.server
    cdef bytes asked = query(restoring_query(client.restoring, client.start.reported.get(b"client_encoding", b"UTF8")))
    server.restored = (server.restored or []) + [(current_unit(server), frozenset(client.restoring))]
    client.restoring = None
    server.session.expect(QUERY, SWALLOW, None)
    server.retain(asked)
    return server.gather(<unsigned char *>PyBytes_AS_STRING(asked), PyBytes_GET_SIZE(asked))


cdef int step_parse(ClientLink client, Frame *frame) except -1:
    if frame.size > RENAMED_BYTES:
        return client._too_long()
    if not client.pool.tracks:
        note_commit(client, frame)
    return parse(client, frame)


cdef int step_bind(ClientLink client, Frame *frame) except -1:
    if frame.size > RENAMED_BYTES:
        return client._too_long()
    client.batch |= BOUND
    if not client.pool.tracks:
        client.bound_sight = sight_of_bound(client, frame)
    return bind(client, frame)


cdef int step_execute(ClientLink client, Frame *frame) except -1:
    extended(client, frame, EXECUTE, None)
    client.server.session.mark(client.bound_sight & COMMITS)
    client.batch |= BOUND | (client.bound_sight & WRITES)  # what is no block's is committed by Sync
    if client.bound_sight & (COMMITS | WRITES):
        client.server.commit_unit = client.server.units_done + client.server.session.units + 1
    return DONE


cdef int note_commit(ClientLink client, Frame *frame) except -1:
    """Session pooling remembers no statements: only, by their names, those that commit."""
    cdef const unsigned char *name = frame.data + HEADER_BYTES
    cdef const unsigned char *end = <const unsigned char *>memchr(name, 0, frame.have - HEADER_BYTES)
    cdef int sight = UNSEEN if end is NULL else see(client, frame, end + 1 - frame.data)
    if end is NULL or (client.sights is None and not sight & (COMMITS | WRITES)):
        return 0
    if client.sights is None:
        client.sights = {}
    client.sights[PyBytes_FromStringAndSize(<const char *>name, end - name)] = sight
    return 0


cdef int sight_of_bound(ClientLink client, Frame *frame) except -1:
    cdef bytes portal = text_of(frame, HEADER_BYTES)
    cdef Py_ssize_t start = HEADER_BYTES + len(portal) + 1
    if client.sights is None or start >= frame.have:
        return 0
    return client.sights.get(text_of(frame, start), 0)


cdef int step_sync(ClientLink client, Frame *frame) except -1:
    if client.route is not None:
        end_batch(client.route)
    if client.server is None and frame.size == HEADER_BYTES:
        client.write(IDLE_READY if client.route is None else ready_without_server(client.route))  # nothing is open
        return DONE
    if client.server is None and client._await_server():
        return WAIT
    begin(client)
    client.server.session.expect(SYNC, FORWARD, None)
    client.server.session.mark(client.batch & WRITES)
    client.batch = 0
    client._pass(frame)
    return DONE if client.restoring is None else restore(client)


cdef int step_flush(ClientLink client, Frame *frame) except -1:
    if frame.size > HEADER_BYTES:
        return malformed_flush(client, frame)
    if client.server is None:
        return DONE
    client.server.session.flush_sent()
    return client._pass(frame)


cdef int malformed_flush(ClientLink client, Frame *frame) except -1:
    """The only Flush with an answer: an error, as to any request of the extended protocol (postgres.c, pq_getmsgend)."""
    if client.server is None and client._await_server():
        return WAIT
    return DONE if client.server.session.skipping else extended(client, frame, CLOSE, None)


cdef int step_terminate(ClientLink client, Frame *frame) except -1:
    client._flush_requests()
    client.eof = True
    client.on_end(None)
    return OVER


cdef int step_drop(ClientLink client, Frame *frame) except -1:
    return DONE


cdef int step_early_copy(ClientLink client, Frame *frame) except -1:
    """COPY data outside COPY: dropped, as PostgreSQL does (postgres.c), unless what is owed may yet begin a COPY."""
    cdef ServerLink server = client.server
    if server is None or server.session.skipping or not server.session.count:
        return step_drop(client, frame)
    return client._await_answers()


cdef int step_copy_data(ClientLink client, Frame *frame) except -1:
    client.server.session.copy_fed = True
    client.copy_syncs = 0  # whoever goes on with the data takes the COPY for one that goes on, and ignores Sync
    return client._pass(frame)


cdef int step_break_copy(ClientLink client, Frame *frame) except -1:
    """PostgreSQL ends a connection that says this in a COPY; if the COPY has failed by then, it is a request like any."""
    cdef bytes sync = SYNC_MESSAGE
    while client.copy_syncs:
        client.copy_syncs -= 1
        client.server.session.expect(SYNC, FORWARD, None)
        client.server.gather(<unsigned char *>PyBytes_AS_STRING(sync), PyBytes_GET_SIZE(sync))
    client.server.session.end_copy()
    if FUNCTIONS[TABLE[READY][frame.type]](client, frame) == WAIT:
        return break_at_once(client, frame)
    return DONE


cdef int break_at_once(ClientLink client, Frame *frame) except -1:
    """It would wait for the end of the COPY, which only it can bring about; so nobody else may have the server then."""
    client.awaits_answers = client.blocked = False
    client.server.close_needed = True
    if frame.type != c'Q':
        return extended(client, frame, EXECUTE, None)
    enter(client, QUERY, None, WRITES)
    return client._pass(frame)


cdef int step_end_copy(ClientLink client, Frame *frame) except -1:
    client.server.session.end_copy()
    client.copy_syncs = 0
    failpoint(b"copy_ended")
    return client._pass(frame)


cdef int step_sync_in_copy(ClientLink client, Frame *frame) except -1:
    """Ignored by a server that copies. One that was sent data may do so no longer: then the Sync is sent after all."""
    client.copy_syncs += client.server.session.copy_fed
    return DONE


cdef int step_end_refusal(ClientLink client, Frame *frame) except -1:
    if client.route is not None:
        end_batch(client.route)
    client.state = READY if client.lost is None else LOST
    client.write(IDLE_READY if client.lost is None else ready_for_query(client.lost.status))
    return DONE


cdef int step_lost_query(ClientLink client, Frame *frame) except -1:
    said = client.lost.query(text_of(frame, HEADER_BYTES))
    end_of_loss(client, False)
    if said is None:
        return take_step(client, frame)
    client.write(said)
    return DONE


cdef int step_lost_function(ClientLink client, Frame *frame) except -1:
    client.write(client.lost.function())
    return end_of_loss(client, False)


cdef int step_lost_message(ClientLink client, Frame *frame) except -1:
    body = PyBytes_FromStringAndSize(<char *>frame.data + HEADER_BYTES, frame.have - HEADER_BYTES)
    said, failed = client.lost.message(chr(frame.type), body)
    client.write(said)
    return end_of_loss(client, failed)


cdef int step_lost_sync(ClientLink client, Frame *frame) except -1:
    client.write(client.lost.sync())
    return end_of_loss(client, False)


cdef int end_of_loss(ClientLink client, bint failed) except -1:
    """What was lost is known to the client now, or not yet."""
    if client.lost.over:
        client.lost = None
    client.state = REFUSED if failed else READY if client.lost is None else LOST
    return DONE


cdef int step_no_query(ClientLink client, Frame *frame) except -1:
    return WAIT if client._await_last_answers() else client._violation(NO_QUERIES)


_names = {}


cdef int name_step(str name, Step function) except -1:
    FUNCTIONS[len(_names) + 1] = function
    _names[name] = len(_names) + 1
    return 0


name_step("query", step_query)
name_step("function", step_function)
name_step("parse", step_parse)
name_step("bind", step_bind)
name_step("describe", <Step>describe)
name_step("execute", step_execute)
name_step("close", <Step>close)
name_step("sync", step_sync)
name_step("flush", step_flush)
name_step("terminate", step_terminate)
name_step("drop", step_drop)
name_step("early_copy", step_early_copy)
name_step("copy_data", step_copy_data)
name_step("break_copy", step_break_copy)
name_step("end_copy", step_end_copy)
name_step("sync_in_copy", step_sync_in_copy)
name_step("end_refusal", step_end_refusal)
name_step("lost_query", step_lost_query)
name_step("lost_function", step_lost_function)
name_step("lost_message", step_lost_message)
name_step("lost_sync", step_lost_sync)

name_step("no_query", step_no_query)


def fill_table(bint disable_pqexec=False):
    """For the whole process: what each message does, with the simple protocol or without it."""
    for state, steps in enumerate(STEPS.values()):  # in the order of the states
        for kind, step in steps.items():
            TABLE[<int>state][<unsigned char>ord(kind)] = _names["no_query" if disable_pqexec and kind == "Q" else step]


memset(NEEDS, 0, sizeof(NEEDS))
memset(TABLE, 0, sizeof(TABLE))
fill_table()
for _step in NEED_SERVER:
    NEEDS[<int>_names[_step]] = 1


cdef int take_routed(ClientLink client, Frame *frame, int step) except -1:
    """The same for a database with shards: first it is decided where the frame goes."""
    cdef int answer
    if client.server is not None and client.server.session.skipping:
        return DONE
    answer = route(client, frame, client.chunk_end)
    if answer == INSTEAD:
        return take_instead(client, frame, step)
    return note_sent(client, frame, take_leased(client, frame, step)) if answer == GO else answer


cdef int take_leased(ClientLink client, Frame *frame, int step) except -1:
    """The client has a server; a server that skips is sent nothing."""
    if client.server.session.skipping:
        return DONE
    if client.server.session.count and (hangs_on_answers(client.server, frame)
                                        or (client.ends_names and names_statement(frame))):
        return client._await_answers()
    return FUNCTIONS[step](client, frame)


cdef int take_step(ClientLink client, Frame *frame) except -1:
    """What `frame` asks for; WAIT, DONE or OVER."""
    cdef int state = client.state, step
    if state == READY and client.server is not None and client.server.session.copying != COPY_NONE:
        if client._copies_in():
            state = COPYING
    step = TABLE[state][frame.type]
    if step == 0:
        return client._unknown_type(frame, state == COPYING)
    client.passing = False  # until the step has given the beginning of the frame to the server
    if NEEDS[step]:
        if client.route is not None:
            return take_routed(client, frame, step)
        if client.server is None and client._await_server():
            return WAIT
        return take_leased(client, frame, step)
    return FUNCTIONS[step](client, frame)
