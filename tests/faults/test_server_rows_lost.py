"""Servers that are lost while they work: rows 2 to 10 and 16 to 19 of section 3a, each through every way to be lost.

A real PostgreSQL stands behind the fault proxy. In transaction pooling the client is kept: one error for what was under
way (08006; 08007 for a COMMIT; or the server's own last word), ReadyForQuery in the state that the client is in, and in
a transaction 25P02 until it is rolled back. In session pooling the client loses with its server what it had there, and
is closed with that one error.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import pytest

from tests.faults.conftest import unharmed
from tests.faults.fault_proxy import (
    CANCEL,
    WHOLE,
    Action,
    Blackhole,
    Close,
    FaultProxy,
    HalfClose,
    Kill,
    Rst,
    Rule,
    Stall,
    Terminate,
)
from tests.faults.guard import expect_own_answers, log_in
from tests.integration.postgres import Postgres
from tests.integration.proxy import Proxy
from tests.integration.transcript import errors, read_units, shape, transact
from tests.integration.waiting import wait_until
from tests.integration.wire import FLUSH, SYNC, Frame, Wire, bind, error_fields, execute, frame, parse, query, rows

THEN_SLEEP = "SELECT repeat('x', 100) FROM generate_series(1, 300) UNION ALL SELECT pg_sleep(60)::text"
LOSSES: list[Action] = [Close(), Rst(), Terminate()]
lost_in_every_way = pytest.mark.parametrize("loss", LOSSES, ids=str)
LOST = ("08006", "57P01")


class Line(NamedTuple):
    """Trunkline, and the fault proxy between it and PostgreSQL."""

    proxy: Proxy
    faults: FaultProxy


@pytest.fixture
async def line(postgres: Postgres, start_proxy: Any) -> AsyncIterator[Line]:
    async with FaultProxy("127.0.0.1", postgres.port, before_postgres=True) as faults:
        url = f"postgres://127.0.0.1:{faults.port}/postgres"
        databases = {
            "one": {"primary": url, "pool_size": 1},
            "session": {"primary": url, "pool_size": 1, "pool_mode": "session"},
        }
        proxy = await start_proxy({"pool_mode": "transaction", "server_login_retry": 1}, databases=databases)
        async with unharmed(proxy, "one", "session"):
            yield Line(proxy, faults)
            faults.clear()
        await proxy.stop()


@pytest.fixture
async def table(postgres: Postgres) -> AsyncIterator[str]:
    """A table of this test's own, with one column ``nonce``."""
    name = f"rows_{secrets.token_hex(4)}"
    await postgres.fetch(f"CREATE TABLE {name} (nonce text)")
    yield name
    await postgres.fetch(f"DROP TABLE {name}")


def one_error(frames: list[Frame], *sqlstates: str) -> str:
    """The one error among these frames, which has to be an ERROR."""
    found = [error_fields(item) for item in frames if item.type == "E"]
    assert len(found) == 1, frames
    assert found[0]["C"] in sqlstates, found
    assert found[0]["S"] == found[0]["V"] == "ERROR", found
    return found[0]["C"]


async def expect_kept(wire: Wire) -> None:
    """The client goes on, outside a transaction, and gets its own answers."""
    nonce = secrets.token_hex(8)
    frames = await wire.query(f"SELECT '{nonce}'")
    assert rows(frames) == [[nonce.encode()]]
    assert frames[-1].body == b"I"


async def expect_failed_transaction(wire: Wire) -> None:
    """25P02 to everything, until COMMIT says ROLLBACK."""
    for requests in (
        query("SELECT 1"),
        parse("SELECT 1") + bind() + execute() + SYNC,
        query("INSERT INTO nobody DEFAULT VALUES"),
    ):
        frames = await transact(wire, requests)
        assert errors(frames) == ["25P02"]
        assert frames[-1].body == b"E"
    frames = await wire.query("COMMIT")
    assert (shape(frames), frames[0].body, frames[-1].body) == ("CZ", b"ROLLBACK\0", b"I")


# --- rows 2 and 3 ---------------------------------------------------------------------------------------------------

EXTENDED = parse("SELECT pg_sleep(60)") + bind() + execute() + SYNC


@lost_in_every_way
@pytest.mark.parametrize("requests", [query("SELECT pg_sleep(60)"), EXTENDED], ids=["simple", "extended"])
async def test_row_02_lost_before_the_first_row(line: Line, requests: bytes, loss: Action) -> None:
    async with await log_in(line.proxy) as wire:
        line.faults.add(Rule("fe", "E" if requests == EXTENDED else "Q", bytes=WHOLE), loss)
        frames = await transact(wire, requests)
        one_error(frames, *LOST)
        assert shape(frames) in ("EZ", "TEZ", "1EZ", "12EZ")
        assert frames[-1].body == b"I"
        await expect_kept(wire)


@lost_in_every_way
async def test_row_03_lost_between_two_rows(line: Line, loss: Action) -> None:
    async with await log_in(line.proxy) as wire:
        line.faults.add(Rule("be", "D", after=100, bytes=WHOLE), loss)
        frames = await transact(wire, query(THEN_SLEEP))
        one_error(frames, *LOST)
        assert re.fullmatch("TD+EZ", shape(frames)), "never a CommandComplete"
        await expect_kept(wire)


# --- row 4 ----------------------------------------------------------------------------------------------------------


@lost_in_every_way
async def test_row_04_lost_in_an_idle_transaction(line: Line, table: str, loss: Action) -> None:
    """The loss is told with the next statement; what follows fails until the transaction is over."""
    async with await log_in(line.proxy) as wire:
        await wire.query("BEGIN")
        await wire.query(f"INSERT INTO {table} VALUES ('lost')")
        await line.faults.strike(loss)
        await wait_until(lambda: not line.faults.live)
        frames = await wire.query("SELECT 1")
        one_error(frames, *LOST)
        assert frames[-1].body == b"E"
        await expect_failed_transaction(wire)
        await expect_kept(wire)
        assert rows(await wire.query(f"SELECT * FROM {table}")) == []


@lost_in_every_way
async def test_row_04_a_commit_after_a_silent_loss_committed_nothing(line: Line, table: str, loss: Action) -> None:
    async with await log_in(line.proxy) as wire:
        await wire.query("BEGIN")
        await wire.query(f"INSERT INTO {table} VALUES ('lost')")
        await line.faults.strike(loss)
        await wait_until(lambda: not line.faults.live)
        frames = await wire.query("COMMIT")
        if errors(frames):
            one_error(frames, *LOST, "08007")
        else:
            assert frames[0].body == b"ROLLBACK\0"
        if frames[-1].body == b"E":
            await wire.query("ROLLBACK")
        await expect_kept(wire)
        assert rows(await wire.query(f"SELECT * FROM {table}")) == []


# --- row 5 ----------------------------------------------------------------------------------------------------------

COMMITS = {
    "COMMIT": query("COMMIT"),
    "END": query("END"),
    "extended": parse("COMMIT") + bind() + execute() + SYNC,
}


@pytest.mark.parametrize("how", COMMITS)
@pytest.mark.parametrize("happened", [True, False], ids=["its answer is lost", "it is lost itself"])
@pytest.mark.parametrize("loss", [Close(), Rst()], ids=str)
async def test_row_05_a_commit_that_was_under_way_has_no_known_outcome(line, table, loss, happened, how) -> None:
    """08007 whether it happened or not, never anything better, and nobody tries again."""
    async with await log_in(line.proxy) as wire:
        await wire.query("BEGIN")
        await wire.query(f"INSERT INTO {table} VALUES ('perhaps')")
        if happened:
            line.faults.add(Rule("be", "C", re="^COMMIT"), loss)
        else:
            line.faults.add(Rule("fe", "Q" if how != "extended" else "E"), loss)
        frames = await transact(wire, COMMITS[how])
        one_error(frames, "08007")
        assert frames[-1].body == b"I", "the transaction is over, one way or the other"
        await expect_kept(wire)
        assert len(rows(await wire.query(f"SELECT * FROM {table}"))) == happened


@pytest.mark.parametrize("happened", [True, False], ids=["its answer is lost", "it is lost itself"])
async def test_row_05_an_autocommit_write_is_not_tried_again(line: Line, table: str, happened: bool) -> None:
    async with await log_in(line.proxy) as wire:
        line.faults.add(Rule("be", "C", re="^INSERT") if happened else Rule("fe", "Q", re="INSERT"), Rst())
        frames = await wire.query(f"INSERT INTO {table} VALUES ('once')")
        one_error(frames, "08006", "08007")
        assert frames[-1].body == b"I"
        assert len(rows(await wire.query(f"SELECT * FROM {table}"))) == happened


# --- rows 6 and 7 ---------------------------------------------------------------------------------------------------


@lost_in_every_way
async def test_row_06_lost_in_copy_in(line: Line, table: str, loss: Action) -> None:
    """One error; what the client still sends of its copy is swallowed, and nothing of it is there."""
    async with await log_in(line.proxy) as wire:
        await wire.send_query(f"COPY {table} FROM STDIN")
        assert (await wire.read_frame()).type == "G"
        line.faults.add(Rule("fe", "d", after=1, bytes=WHOLE), loss)
        await wire.send(frame("d", b"first\n") + frame("d", b"second\n"))
        await line.faults.happened(loss.name)
        await wait_until(lambda: not line.faults.live)
        await wire.send(frame("d", b"third\n") * 100 + frame("c"))
        frames = await read_units(wire, 1)
        one_error(frames, *LOST)
        await expect_kept(wire)
        assert rows(await wire.query(f"SELECT * FROM {table}")) == []


@lost_in_every_way
async def test_row_06_lost_in_copy_in_of_the_extended_protocol(line: Line, table: str, loss: Action) -> None:
    async with await log_in(line.proxy) as wire:
        await wire.send(parse(f"COPY {table} FROM STDIN") + bind() + execute() + FLUSH)
        assert shape([await wire.read_frame() for _ in range(3)]) == "12G"
        line.faults.add(Rule("fe", "d", bytes=WHOLE), loss)
        await wire.send(frame("d", b"first\n"))
        await line.faults.happened(loss.name)
        await wait_until(lambda: not line.faults.live)
        await wire.send(frame("d", b"second\n") + frame("c") + SYNC)
        frames = await read_units(wire, 1)
        one_error(frames, *LOST)
        await expect_kept(wire)
        assert rows(await wire.query(f"SELECT * FROM {table}")) == []


@lost_in_every_way
async def test_row_07_lost_in_copy_out(line: Line, loss: Action) -> None:
    async with await log_in(line.proxy) as wire:
        line.faults.add(Rule("be", "d", after=100, bytes=WHOLE), loss)
        frames = await transact(wire, query(f"COPY ({THEN_SLEEP}) TO STDOUT"))
        one_error(frames, *LOST)
        assert re.fullmatch("Hd+EZ", shape(frames)), "never a CopyDone"
        await expect_kept(wire)


# --- row 8 ----------------------------------------------------------------------------------------------------------


@lost_in_every_way
async def test_row_08_lost_between_parse_and_bind(line: Line, loss: Action) -> None:
    """The next server gets the statement without the client's doing."""
    async with await log_in(line.proxy) as wire:
        await transact(wire, parse("SELECT 'prepared'", "s") + SYNC)
        await line.faults.strike(loss)
        await wait_until(lambda: not line.faults.live)
        frames = await transact(wire, bind("s") + execute() + SYNC)
        assert rows(frames) == [[b"prepared"]]


@lost_in_every_way
async def test_row_08_lost_between_parse_and_bind_of_one_batch(line: Line, loss: Action) -> None:
    """Without a Sync in between the batch has failed, once, and is skipped to its Sync."""
    async with await log_in(line.proxy) as wire:
        await wire.send(parse("SELECT 'prepared'", "s") + FLUSH)
        assert (await wire.read_frame()).type == "1"
        await line.faults.strike(loss)
        await wait_until(lambda: not line.faults.live)
        frames = await transact(wire, bind("s") + execute() + SYNC)
        if errors(frames):
            one_error(frames, *LOST)
        else:
            assert rows(frames) == [[b"prepared"]]
        await expect_kept(wire)


@lost_in_every_way
async def test_row_08_lost_between_parse_and_bind_in_a_transaction(line: Line, loss: Action) -> None:
    async with await log_in(line.proxy) as wire:
        await wire.query("BEGIN")
        await transact(wire, parse("SELECT 'prepared'", "s") + SYNC)
        await line.faults.strike(loss)
        await wait_until(lambda: not line.faults.live)
        frames = await transact(wire, bind("s") + execute() + SYNC)
        one_error(frames, *LOST)
        assert frames[-1].body == b"E"
        await expect_failed_transaction(wire)
        assert rows(await transact(wire, bind("s") + execute() + SYNC)) == [[b"prepared"]]


# --- row 9 ----------------------------------------------------------------------------------------------------------


@lost_in_every_way
@pytest.mark.parametrize("extended", [False, True], ids=["simple", "extended"])
async def test_row_09_lost_in_the_middle_of_10000_pipelined_commands(line: Line, loss: Action, extended: bool) -> None:
    """As many ReadyForQuery as Sync; each segment has its own result, or one error, and the rest is served."""
    count, at = 10_000, 5_000

    def command(number: int) -> bytes:
        sql = f"SELECT {number}"
        return parse(sql) + bind() + execute() + SYNC if extended else query(sql)

    async with await log_in(line.proxy) as wire:
        line.faults.add(Rule("be", "Z", after=at), loss)
        wire.writer.write(b"".join(command(number) for number in range(count)))
        failed = 0
        for number in range(count):
            frames = await wire.read_until("Z")
            if errors(frames):
                one_error(frames, *LOST)
                failed += 1
            else:
                assert rows(frames) == [[str(number).encode()]]
        assert failed >= 1 or loss == Terminate(), "which may come when all of them are done"
        await expect_kept(wire)


# --- row 10 ---------------------------------------------------------------------------------------------------------


async def test_row_10_a_crash_of_a_sibling_is_told_once_and_who_waits_is_served(own_postgres, start_proxy) -> None:
    """kill -9 of one backend, after which PostgreSQL restarts all: 57P02 for the siblings, 08006 for the victim."""
    async with FaultProxy("127.0.0.1", own_postgres.port, before_postgres=True) as faults:
        url = f"postgres://127.0.0.1:{faults.port}/postgres"
        databases = {"one": {"primary": url, "pool_size": 3}}
        proxy = await start_proxy({"pool_mode": "transaction", "server_login_retry": 10}, databases=databases)
        idle, victim, sibling = [await log_in(proxy) for _ in range(3)]
        await sibling.query("BEGIN")
        await sibling.send_query("SELECT pg_sleep(60)")
        faults.add(Rule("fe", "Q", re="victim", bytes=WHOLE), Kill())
        one_error(await victim.query("SELECT 'victim' FROM pg_sleep(60)"), "08006")
        one_error(await sibling.read_until("Z"), "57P02", "08006")
        await sibling.query("ROLLBACK")
        for wire in (idle, victim, sibling):
            await expect_kept(wire)
            await wire.close()
        await proxy.stop()


# --- session pooling ------------------------------------------------------------------------------------------------


@lost_in_every_way
@pytest.mark.parametrize("sql", ["SELECT pg_sleep(60)", "BEGIN"])
async def test_row_02_and_04_in_session_pooling_the_client_goes_with_its_server(
    line: Line, loss: Action, sql: str
) -> None:
    async with await log_in(line.proxy, "session") as wire:
        line.faults.add(Rule("fe", "Q", bytes=WHOLE) if "sleep" in sql else Rule("be", "Z", bytes=WHOLE), loss)
        await wire.send_query(sql)
        frames = await wire.read_frames_to_end()
        told = [error_fields(item) for item in frames if item.type == "E"]
        assert [(fields["S"], fields["C"]) for fields in told] in ([("FATAL", "08006")], [("FATAL", "57P01")])
        assert frames[-1].type == "E"


# --- rows 16 and 17 -------------------------------------------------------------------------------------------------


async def test_row_16_a_blackhole_of_idle_pooled_connections_is_found_by_the_test_before_use(
    postgres: Postgres, start_proxy: Any
) -> None:
    """The check query is given five seconds, once for all of them, and nobody is told of it."""
    async with FaultProxy("127.0.0.1", postgres.port) as faults:
        databases = {"one": {"primary": f"postgres://127.0.0.1:{faults.port}/postgres", "pool_size": 4}}
        proxy = await start_proxy({"pool_mode": "transaction", "server_check_delay": 0}, databases=databases)
        wires = [await log_in(proxy) for _ in range(4)]
        for wire in wires:
            await wire.query("BEGIN")
        for wire in wires:
            await wire.query("COMMIT")
        assert await faults.strike(Blackhole()) == 4
        for wire in wires:
            await wire.send_query("SELECT 'found out'")
        for wire in wires:
            assert rows(await wire.read_until("Z")) == [[b"found out"]]
        await wait_until(lambda: not any(one.holds for one in faults.live.values()), what="they are all closed")
        for wire in wires:
            await wire.close()
        await proxy.stop()


async def test_row_17_a_blackhole_under_a_query_ends_it_at_query_timeout(postgres: Postgres, start_proxy: Any) -> None:
    """A cancel is tried; the next server serves who comes."""
    async with FaultProxy("127.0.0.1", postgres.port) as faults:
        databases = {"one": {"primary": f"postgres://127.0.0.1:{faults.port}/postgres", "pool_size": 1}}
        proxy = await start_proxy({"pool_mode": "transaction", "query_timeout": 0.5}, databases=databases)
        tried = faults.add(Rule("fe", CANCEL), Stall(0))
        async with await log_in(proxy) as wire:
            await wire.query("SELECT 1")
            faults.add(Rule("fe", "Q", re="into the void"), Blackhole())
            await wire.send_query("SELECT 'into the void'")
            frames = await wire.read_until("E")
            assert error_fields(frames[-1])["C"] in ("57014", "08006")
        await wait_until(lambda: tried.done, what="a cancel is tried")
        await expect_own_answers(proxy)
        await proxy.stop()


# --- rows 18 and 19 -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", [Rst("client"), Close("client"), HalfClose()], ids=str)
@pytest.mark.parametrize("at", [0, 1, 4, WHOLE])
async def test_row_18_and_19_what_came_before_the_end_is_delivered(line: Line, loss: Action, at: int) -> None:
    """RST, FIN, or a half-close with data pending: whole rows are the client's; a torn one ends it."""
    async with await log_in(line.proxy) as wire:
        line.faults.add(Rule("be", "D", after=1, bytes=at), loss)
        await wire.send_query("SELECT generate_series(1, 5)")
        described, first = [await wire.read_frame() for _ in range(2)]
        assert (described.type, rows([first])) == ("T", [[b"1"]])
        frames = await read_units(wire, 1)
        assert shape(frames) == ("DEZ" if at == WHOLE else "EZ")
        one_error(frames, "08006")
        await expect_kept(wire)
