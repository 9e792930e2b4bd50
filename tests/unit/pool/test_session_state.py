"""When the server is asked what a session holds, and what becomes of the client and of the server then."""

from __future__ import annotations

import pytest

from tests.unit.pool.test_probe import row
from tests.unit.relay import IN_TRANSACTION, READY, SYNC, FarEnd, Relay, bind, error, execute, parse, query, relay
from trunkline.pool.session_state import reasons
from trunkline.pool.startup_settings import restoring_query
from trunkline.protocol.messages import command_complete, message, parse_fields
from trunkline.protocol.params import Params
from trunkline.routing.session.session_effects import State


def answer(*found: tuple[bytes | None, ...]) -> bytes:
    data = b"".join(message(b"D", row(*columns)) for columns in found)
    return message(b"T", b"\0\0") + data + command_complete("SELECT 1") + READY


def run(made: Relay, client: FarEnd, server: FarEnd, sql: str, tag: str = "SET", ready: bytes = READY) -> bytes:
    """The client's query and its answer; returns what the server hears after that."""
    client.send(query(sql.encode()))
    made.turn()
    server.bytes()
    server.send(command_complete(tag), ready)
    made.turn()
    return server.bytes()


async def test_a_statement_that_may_leave_something_is_followed_by_a_question() -> None:
    async with relay() as made:
        link, client = made.client()
        server, far = made.server()
        asked = run(made, client, far, "SET work_mem = '1MB'")
        assert b"pg_settings" in asked and b"pg_locks" not in asked
        assert link.server is server
        far.send(answer((b"setting", b"work_mem", b"1024")))
        made.turn()
        assert link.server is None
        assert link.params.extra == {b"work_mem": b"1024"}
        assert server.params is link.params
        assert client.kinds() == "CZ"


async def test_a_plain_statement_is_not() -> None:
    async with relay() as made:
        link, client = made.client()
        _, far = made.server()
        assert run(made, client, far, "select 1", "SELECT 1") == b""
        assert link.server is None


async def test_nothing_is_asked_before_the_transaction_is_over() -> None:
    async with relay() as made:
        _, client = made.client()
        _, far = made.server()
        assert run(made, client, far, "begin; set work_mem = 1", ready=IN_TRANSACTION) == b""
        assert b"pg_settings" in run(made, client, far, "commit", "COMMIT")


async def test_a_reported_setting_needs_no_question() -> None:
    async with relay() as made:
        _, client = made.client()
        _, far = made.server()
        assert run(made, client, far, "SET TimeZone = 'CET'") == b""


async def test_the_next_client_gets_the_server_as_it_wants_it() -> None:
    async with relay() as made:
        _, client = made.client()
        _, other = made.client()
        _, far = made.server()
        run(made, client, far, "SET work_mem = 1")
        far.send(answer((b"setting", b"work_mem", b"1024")))
        other.send(query(b"select 1"))
        made.turn()
        assert far.bytes() == query(b'RESET "work_mem"')


async def test_what_is_found_pins_the_client_and_tells_it_once() -> None:
    async with relay() as made:
        link, client = made.client()
        server, far = made.server()
        for number in range(2):
            run(made, client, far, f"CREATE TEMP TABLE t{number} (n int)", "CREATE TABLE")
            far.send(answer((b"temporary", b"", b"")))
            made.turn()
            assert (link.server, link.sticky, State(link.pins)) == (server, True, State.TEMPORARY)
        notices = [parse_fields(body) for kind, body in client.frames() if kind == "N"]
        assert [notice["C"] for notice in notices] == ["01000"]
        assert made.pool.sessions.pin_counts[State.TEMPORARY] == 1


async def test_a_pinned_client_is_let_go_when_nothing_is_left() -> None:
    async with relay() as made:
        link, client = made.client()
        _, far = made.server()
        run(made, client, far, "SELECT pg_advisory_lock(1)", "SELECT 1")
        far.send(answer((b"locks", b"", b"")))
        made.turn()
        assert run(made, client, far, "select 1", "SELECT 1") == b"", "nothing has changed, so nothing is asked"
        run(made, client, far, "SELECT pg_advisory_unlock(1)", "SELECT 1")
        far.send(answer())
        made.turn()
        assert (link.server, link.pins, link.sticky) == (None, 0, False)


async def test_what_the_client_says_meanwhile_waits() -> None:
    async with relay() as made:
        _, client = made.client()
        _, far = made.server()
        run(made, client, far, "SET work_mem = 1")
        client.send(query(b"select 2"))
        made.turn()
        assert far.bytes() == b""
        far.send(answer())
        made.turn()
        assert far.bytes() == query(b"select 2")


async def test_a_client_that_leaves_meanwhile_leaves_nothing_to_the_next() -> None:
    async with relay() as made:
        _, client = made.client()
        server, far = made.server()
        run(made, client, far, "CREATE TEMP TABLE t (n int)", "CREATE TABLE")
        client.close()
        made.turn()
        if server.opened:
            far.send(answer((b"temporary", b"", b"")))
            made.turn()
        assert not server.opened or query(b"DISCARD ALL") in far.bytes()


async def test_without_an_answer_the_client_stays_pinned() -> None:
    async with relay() as made:
        link, client = made.client()
        server, far = made.server()
        run(made, client, far, "SET statement_timeout = 1")
        far.send(error("57014"), READY)
        made.turn()
        assert (link.server, State(link.pins)) == (server, State.SETTINGS)
        assert b"pg_settings" in run(made, client, far, "select 1", "SELECT 1"), "it is asked again"


async def test_state_that_nothing_resets_ends_with_its_server() -> None:
    async with relay() as made:
        link, client = made.client()
        server, far = made.server()
        run(made, client, far, "SELECT setseed(0.5)", "SELECT 1")
        assert link.server is server
        client.send(message(b"X", b""))
        made.turn()
        assert not server.opened


async def test_sql_that_names_a_statement_finds_it_under_the_clients_name() -> None:
    async with relay() as made:
        link, client = made.client()
        _, far = made.server()
        client.send(parse(b"mine"), SYNC)
        made.turn()
        far.bytes()
        far.send(message(b"1", b""), READY)
        made.turn()
        client.send(query(b"EXECUTE mine"))
        made.turn()
        kinds = [(kind, body) for kind, body in far.frames()]
        assert [kind for kind, _ in kinds] == ["P", "S", "Q"]
        assert kinds[0][1].startswith(b"mine\0")
        assert link.names_are_its_own


@pytest.mark.parametrize("sql", ["RESET ALL", "DISCARD ALL", "RESET TimeZone", "SET TimeZone TO DEFAULT"])
async def test_a_reset_goes_back_to_the_startup_packet(sql: str) -> None:
    async with relay() as made:
        server, far = made.server()
        start = Params.of({b"TimeZone": b"CET"}, {})
        _, client = made.client(params=start)
        server.params = start
        client.send(query(sql.encode()))
        made.turn()
        assert far.bytes() == query(sql.encode()) + query(restoring_query({b"TimeZone": b"CET"}, b"UTF8"))


async def test_an_extended_statement_is_judged_when_it_is_bound() -> None:
    async with relay() as made:
        _, client = made.client()
        _, far = made.server()
        client.send(parse(b"s", b"SET work_mem = 1"), SYNC)
        made.turn()
        far.bytes()
        far.send(message(b"1", b""), READY)
        made.turn()
        assert far.bytes() == b"", "nothing has run yet"
        client.send(bind(b"s"), execute(), SYNC)
        made.turn()
        far.bytes()
        far.send(message(b"2", b""), command_complete("SET"), READY)
        made.turn()
        assert b"pg_settings" in far.bytes()


async def test_pgbouncers_way_asks_nothing() -> None:
    async with relay(session_state="pgbouncer") as made:
        link, client = made.client()
        _, far = made.server()
        assert run(made, client, far, "CREATE TEMP TABLE t (n int)", "CREATE TABLE") == b""
        assert link.server is None


async def test_no_notice_is_written_into_a_message_of_the_servers() -> None:
    async with relay() as made:
        link, client = made.client()
        _, far = made.server()
        client.send(query(b"select 'long'"))
        made.turn()
        answered = message(b"D", row(b"x" * 100_000)) + command_complete("SELECT 1") + READY
        far.send(answered[:70_000])
        made.turn()
        client.send(query(b"SELECT setseed(0.5)"))
        made.turn()
        assert State(link.pins) == State.UNKNOWABLE
        far.send(answered[70_000:])
        made.turn()
        received = b""
        while piece := client.bytes():
            received += piece
            made.turn()
        assert received == answered


def test_reasons_are_words() -> None:
    assert reasons(State.LOCKS | State.TEMPORARY) == "advisory locks of the session, temporary tables"
    assert reasons(0) == ""
