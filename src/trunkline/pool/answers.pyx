"""What is looked into of a server's replies: ReadyForQuery, errors, parameters, and tags that tell of a session's end.

The other replies only pass. Each function is given one frame that the session has judged already, and answers 0 to let
it pass, 1 to keep it from the client, or a negative number when the connection is finished.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.string cimport memcmp

from trunkline.pool.undo import client_words, take_back
from trunkline.protocol.messages import SYNC as SYNC_MESSAGE
from trunkline.protocol.messages import CLOSE_COMPLETE, PARSE_COMPLETE, parameter_status, parse_fields
from trunkline.protocol.params import Params
from trunkline.routing.session.session_effects import State
from trunkline.protocol.statement import Statement, begin_generation, retire

from trunkline.failpoints cimport failpoint
from trunkline.pool.holding cimport give_held
from trunkline.pool.row_types cimport on_description
from trunkline.pool.server cimport Lessee, ServerLink
from trunkline.protocol.scanner cimport HEADER_BYTES, Frame
from trunkline.protocol.server_session cimport CLOSE, FORWARD, PARSE, SYNC


cdef int ENDS_UNASKED = ~(State.SEQUENCES | State.LARGE | State.MEANING)   # by DISCARD ALL, though nobody can ask


cdef int look_into(ServerLink server, Frame *frame, object note, bint ours, unsigned char **run) except -1:
    if frame.type == c'Z':
        return on_ready(server, frame, ours, run)
    if frame.type == c'E':
        return on_error(server, frame, note, ours, run)
    if frame.type == c'S':
        return on_parameter(server, frame, ours, run)
    if frame.type == c'C':
        return 0 if ours else on_tag(server, frame)
    if frame.type == c'T' or frame.type == c'n':
        return 0 if note is None else on_description(server, frame, note, ours)
    if frame.type == c'N':
        return on_notice(server, frame)
    if frame.type == c'A':
        return on_notification(server, frame)
    if type(note) is tuple and note[3] == "taken":  # '1': a name that must have been taken was free
        server.session.tainted = True
    return 0


cdef dict SAYS = {PARSE: PARSE_COMPLETE, CLOSE: CLOSE_COMPLETE}


cdef bytes next_fake(ServerLink server):
    """What is ours to say now, in place of the server, or None."""
    return SAYS.get(server.session.pop_fake())


cdef int say_fakes(ServerLink server) except -1:
    """Answer, in their place, the requests that the server was not asked; gathers at the lessee."""
    cdef bytes said = next_fake(server)
    server.begun = True
    while said is not None and server.lessee is None:
        said = next_fake(server)
    if server.held is not None and server.lessee is not None:
        give_held(server)
    while said is not None:
        server.lessee.gather(<unsigned char *>PyBytes_AS_STRING(said), PyBytes_GET_SIZE(said))
        said = next_fake(server)
    return 0


cdef int say_fakes_now(ServerLink server) except -1:
    """The same from the client's side: nothing is owed before them."""
    cdef bytes said = None if server.left else next_fake(server)
    while said is not None:
        server.lessee.write(said)
        said = next_fake(server)
    return 0


cdef int on_ready(ServerLink server, Frame *frame, bint ours, unsigned char **run) except -1:
    cdef double now = server.engine.now
    server.units_done += 1
    server.unit_at, server.begun = frame.data + frame.have, False
    failpoint(b"before_rfq_relay")
    if ours:
        return on_restored(server, frame, run) if server.restored is not None else 0
    server.owner.query_count += 1
    server.owner.query_times.record(now - server.request_at)
    if server.timed is not None:
        server.timed.time_s += now - server.request_at
        server.timed = None
    server.request_at = now
    if server.session.status == c'I':
        server.owner.xact_count += 1
        server.owner.xact_times.record(now - server.begun_at)
        if server.lessee is not None:
            server.lessee.before_block = None
    return 0


cdef int on_restored(ServerLink server, Frame *frame, unsigned char **run) except -1:
    """What the startup packet set is in force again: the client hears what is not as it last heard."""
    cdef Lessee lessee = server.lessee
    if server.units_done + server.session.dropped_units <= server.restored[0][0]:
        return 0  # it is another query of ours
    server.restored = server.restored[1:] or None
    if lessee is None:
        return 0
    server.give_run(frame.data, run)
    lessee.flush()
    for name, value in server.params.reported.items():
        if lessee.params.reported.get(name) != value:
            lessee.write(parameter_status(name, value))
            lessee.params = lessee.params.with_reported(name, value)
    return 0


cdef int on_error(ServerLink server, Frame *frame, object note, bint ours, unsigned char **run) except -1:
    cdef bytes said = PyBytes_FromStringAndSize(<char *>frame.data + HEADER_BYTES, frame.have - HEADER_BYTES)
    cdef long long finished
    cdef bint last = server.session.tainted or b"\0VFATAL\0" in said or b"\0VPANIC\0" in said  # V is never translated
    if server.lessee is not None and server.lessee.asks_again(server, said):
        return let_ask_again(server, last, run)
    if ours or server.lessee is None:
        server.setup_error = parse_fields(said)
    elif server.held is not None:
        give_held(server)
    cdef bint its_own_fault = b"\0C08P01\0" in said  # the client has broken the protocol: this is its end, as it is there
    if last and not its_own_fault and server.lessee is not None and server.lessee.outlives():
        server.last_words = parse_fields(said)  # told as an ERROR: for the client it is not the end
        server.words_unit = server.units_done
        server.give_run(frame.data, run)
        server._break_off(f"{server.last_words['C']}: {server.last_words['M']}")
        return -2
    if type(note) is Statement and b"\0C0A000\0" in said:  # "cached plan must not change result type"
        retire(note)  # PostgreSQL goes on to refuse the name that is bound to it, but not the text under a new one
    words = client_words(note, server.lessee.names, said, server.session.undone) if server.lessee is not None else None
    if words is not None and frame.have == frame.size:
        server.lessee.gather(run[0], frame.data - run[0])
        server.lessee.flush()
        run[0] = frame.data + frame.have
        server.lessee.write(words)
    server.said_fatal = last
    if server.said_fatal and server.lessee is None and server.session.count == 0:
        server._break_off(f"{server.setup_error['C']}: {server.setup_error['M']}")
        return -2
    if server.lessee is not None and server.lessee.listening is not None and not ours:
        server.lessee.listening.on_error(server.session.status != c'I')
    if server.session.undone:
        finished = server.units_done + server.session.dropped_units
        take_back(server, server.lessee, unnamed_is_newer=server.unnamed_change > finished)
    if server.lessee is not None and server.lessee.copy_syncs:
        sync_after_copy(server)
    return 0


cdef int let_ask_again(ServerLink server, bint last, unsigned char **run) except -1:
    """What came before is its lessee's. What is asked behind it here is repeated too, so nobody may answer that."""
    if run[0] < server.unit_at:
        server.give_run(server.unit_at, run)
    server.lessee.flush()
    if last or server.session.units > 1:
        server._break_off("its lessee asks elsewhere")
        return -2
    take_back(server, server.lessee)
    server.lessee.ask_again(server)
    return 0 if server.fd >= 0 else -2


cdef int on_notice(ServerLink server, Frame *frame) except -1:
    """A server that is stopped at once, or whose sibling has crashed, says so in a WARNING (postgres.c, quickdie)."""
    cdef bytes said = PyBytes_FromStringAndSize(<char *>frame.data + HEADER_BYTES, frame.have - HEADER_BYTES)
    if b"\0C57P0" in said:
        server.last_words = parse_fields(said)
        server.words_unit = server.units_done
        return server.lessee is not None and server.lessee.asks_again(server, said)  # then it is nothing to the client
    return 0


cdef int on_notification(ServerLink server, Frame *frame) except -1:
    """One that its lessee gets by way of a shared connection too, or that is a mark of ours, is kept from it."""
    if server.lessee is None or server.lessee.listening is None:
        return 0
    body = PyBytes_FromStringAndSize(<char *>frame.data + HEADER_BYTES, frame.have - HEADER_BYTES)
    return 1 if server.lessee.listening.on_own(body) else 0


cdef int sync_after_copy(ServerLink server) except -1:
    """The copy had failed when the client's Sync came, so the server is to get the one that was held back."""
    while server.lessee.copy_syncs:
        server.lessee.copy_syncs -= 1
        server.session.expect(SYNC, FORWARD, None)
        server.write(SYNC_MESSAGE)
    return 0


cdef bint is_set_back(ServerLink server, bytes name) except -1:
    """Whether the unit being answered is followed by a query of ours that sets this again."""
    unit, names = server.restored[0]
    return server.units_done + server.session.dropped_units >= unit - 1 and name in names


cdef int on_parameter(ServerLink server, Frame *frame, bint ours, unsigned char **run) except -1:
    cdef list parts = PyBytes_FromStringAndSize(<char *>frame.data + 5, frame.have - 5).split(b"\0")
    if frame.have < frame.size or len(parts) != 3:
        server.give_run(frame.data, run)
        server._break_off("a ParameterStatus that is too long or malformed")
        return -2
    name, value = parts[:2]
    if server.restored is not None and not ours and is_set_back(server, name):
        server.params = server.params.with_reported(name, value)
        return 1
    same = server.lessee is not None and server.lessee.params is server.params
    server.params = server.params.with_reported(name, value)
    if server.lessee is not None and not ours and server.lessee.params is not None:
        if server.lessee.before_block is None:
            server.lessee.before_block = server.lessee.params
        server.lessee.params = server.params if same else server.lessee.params.with_reported(name, value)
    return 0


cdef inline bint changes_results(const char *tag, Py_ssize_t n) noexcept:
    """Whether this was DDL after which the result of a statement may have other columns."""
    return (n > 6 and memcmp(tag, b"ALTER ", 6) == 0) or (n > 5 and memcmp(tag, b"DROP ", 5) == 0) \
        or (n == 12 and memcmp(tag, b"CREATE VIEW", 12) == 0)


cdef inline bint changes_schema(const char *tag, Py_ssize_t n) noexcept:
    return n > 5 and (memcmp(tag, b"ALTER ", 6) == 0 or memcmp(tag, b"DROP ", 5) == 0
                      or memcmp(tag, b"CREATE", 6) == 0 and n > 6)


cdef inline bint is_its_own(ServerLink server) noexcept:
    """What its lessee defines now only its session sees: temporary tables, their indexes and views over them."""
    return server.lessee is not None and server.lessee.defines_own


cdef int schema_decided(ServerLink server) except -1:
    """What this server has prepared is over, as far as it is the one that ends it."""
    if server.schema_prepared:
        server.schema_prepared = False
        server.owner.schemas_prepared -= 1
    return 0


cdef int on_tag(ServerLink server, Frame *frame) except -1:
    """DISCARD ALL and DEALLOCATE ALL end prepared statements, DDL spoils them; any RESET may end an unreported setting."""
    cdef const char *tag = <const char *>frame.data + HEADER_BYTES
    cdef Py_ssize_t n = frame.have - HEADER_BYTES
    if server.lessee is not None and server.lessee.listening is not None:
        server.lessee.listening.on_tag(PyBytes_FromStringAndSize(tag, n).rstrip(b"\0"))
    cdef bint discard = n == 12 and memcmp(tag, b"DISCARD ALL", 12) == 0
    if changes_results(tag, n) and not is_its_own(server):
        begin_generation(server.owner.family)
    if changes_schema(tag, n) and not is_its_own(server):
        server.schema_changed = True  # for others when it has been committed
    elif n == 20 and server.schema_changed and memcmp(tag, b"PREPARE TRANSACTION", 20) == 0:
        server.schema_changed, server.schema_prepared = False, True
        server.owner.schemas_prepared += 1
    elif server.owner.schemas_prepared and n == 16 and memcmp(tag, b"COMMIT PREPARED", 16) == 0:
        server.schema_changed = True
        schema_decided(server)
    elif server.schema_prepared and n == 18 and memcmp(tag, b"ROLLBACK PREPARED", 18) == 0:
        schema_decided(server)
    if discard or (n == 15 and memcmp(tag, b"DEALLOCATE ALL", 15) == 0):
        server.prepared.clear()
        server.close_needed |= server.session.owes_names()  # it was not known when these were sent what would be gone
        if server.lessee is not None:
            server.lessee.ends_names = False
            server.lessee.names_are_its_own = False
            server.lessee.pins &= ENDS_UNASKED if discard else -1
            (server.lessee.names or {}).clear()
    if (discard or (n == 6 and memcmp(tag, b"RESET", 6) == 0)) and server.params.extra:
        server.params = Params.of(server.params.reported, {})
    return 0
