"""Servers that die: rows 1 to 10, 18 and 19 of section 3a.

In transaction pooling whoever leases a server that is lost hears 08006, or the server's own last word, once, and stays;
in session pooling it is the end, as it is directly. Whoever leases none notices nothing.
"""

from __future__ import annotations

import asyncio
import os
import signal

import psycopg
import pytest

from tests.faults.guard import expect_own_answers, expect_refusal, log_in
from tests.faults.scripted_server import Peer, ScriptedServer, answer
from tests.integration.postgres import Postgres
from tests.integration.proxy import Proxy
from tests.integration.transcript import errors
from tests.integration.waiting import wait_until
from tests.integration.wire import FLUSH, SYNC, Wire, bind, describe, error_fields, execute, frame, parse, query, rows


async def terminate(postgres: Postgres) -> None:
    """End every backend that the proxy has, with PostgreSQL's own 57P01."""
    await postgres.fetch(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
    )


async def gone(postgres: Postgres) -> bool:
    return await postgres.server_connections() == 0


async def test_row_1_a_server_lost_while_idle_is_noticed_by_nobody(proxy: Proxy, postgres: Postgres) -> None:
    async with await log_in(proxy) as wire:
        for _ in range(3):
            await wire.query("SELECT 1")
            await terminate(postgres)
            await wait_until(lambda: gone(postgres))
            assert rows(await wire.query("SELECT 'kept'")) == [[b"kept"]]


THEN_SLEEP = "SELECT repeat('x', 20000) FROM generate_series(1, 3) UNION ALL SELECT pg_sleep(60)::text"
BUSY = {
    "row 2, before the first row": (query("SELECT pg_sleep(60)"), ""),
    "row 3, between two rows": (query(THEN_SLEEP), "TDDD"),
    "row 6, in COPY IN": (query("COPY victims FROM STDIN") + frame("d", b"1\n"), "G"),
    "row 7, in COPY OUT": (query(f"COPY ({THEN_SLEEP}) TO STDOUT"), "Hddd"),
    "row 8, between Parse and Bind": (parse("SELECT 1", "s") + frame("H"), "1"),
    "extended": (parse("SELECT pg_sleep(60)") + bind() + execute() + SYNC, ""),
    "pipelined": (query("SELECT 1") + query("SELECT pg_sleep(60)") + query("SELECT 3") * 100, "TDCZ"),
}


async def lose_a_server(wire: Wire, postgres: Postgres, name: str) -> None:
    """Be where `name` says, and have every server terminated."""
    requests, before = BUSY[name]
    await postgres.fetch("DROP TABLE IF EXISTS victims; CREATE TABLE victims (n int)")
    await wire.send(requests)
    for kind in before:
        assert (await wire.read_frame()).type == kind
    await wait_for_work(postgres, name)
    await terminate(postgres)


@pytest.mark.parametrize("name", BUSY)
async def test_row_10_a_terminated_server_says_so_once(proxy: Proxy, postgres: Postgres, name: str) -> None:
    """57P01 is passed on, as the only error, and the session with its server ends."""
    async with await log_in(proxy, "session") as wire:
        await lose_a_server(wire, postgres, name)
        frames = await wire.read_frames_to_end()
        assert errors(frames) == ["57P01"]
        assert frames[-1].type == "E"
    await expect_own_answers(proxy, "session")


@pytest.mark.parametrize("name", [name for name in BUSY if not name.startswith("row 8")])
async def test_row_10_a_terminated_server_costs_a_client_what_it_had_there_under_way(proxy, postgres, name) -> None:
    async with await log_in(proxy) as wire:
        await lose_a_server(wire, postgres, name)
        frames = await wire.read_until("Z")
        if name.startswith("pipelined"):
            rest = [frame for _ in range(100) for frame in await wire.read_until("Z")]
            assert errors(rest) == ["08006"] * 100
        assert errors(frames) == ["57P01"]
        assert error_fields(next(item for item in frames if item.type == "E"))["S"] == "ERROR"
        assert frames[-1].body == b"I"
        if name.startswith("row 6"):
            await wire.send(frame("d", b"2\n"), frame("c"))
        assert rows(await wire.query("SELECT 'kept'")) == [[b"kept"]]
    await expect_own_answers(proxy)
    assert await postgres.fetch("SELECT count(*) FROM victims") == [(0,)]


async def test_row_8_a_statement_that_was_only_parsed_is_parsed_again(proxy: Proxy, postgres: Postgres) -> None:
    async with await log_in(proxy) as wire:
        await lose_a_server(wire, postgres, "row 8, between Parse and Bind")
        await wait_until(lambda: gone(postgres))
        await wire.send(bind("s"), execute(), SYNC)
        frames = await wire.read_until("Z")
        assert "".join(item.type for item in frames) == "2DCZ"


async def wait_for_work(postgres: Postgres, name: str) -> None:
    if "sleep" not in str(BUSY[name][0]):
        return

    async def sleeps() -> bool:
        found = await postgres.fetch("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'")
        return bool(found[0][0])

    await wait_until(sleeps)


async def test_row_4_a_server_lost_in_an_idle_transaction_of_a_session(proxy: Proxy, postgres: Postgres) -> None:
    async with await log_in(proxy, "session") as wire:
        await wire.query("BEGIN")
        await terminate(postgres)
        await expect_refusal(wire, "57P01")
    await expect_own_answers(proxy, "session")


@pytest.mark.parametrize("how", ["simple", "extended"])
async def test_row_4_a_server_lost_in_an_idle_transaction(proxy: Proxy, postgres: Postgres, how: str) -> None:
    """Told with the next statement; then 25P02 until the block ends; then all is well."""

    def said(sql: str) -> bytes:
        return query(sql) if how == "simple" else parse(sql) + bind() + describe("P") + execute() + SYNC

    async with await log_in(proxy) as wire:
        await wire.query("BEGIN")
        await terminate(postgres)
        await wait_until(lambda: gone(postgres))
        heard = []
        for sql in ("SELECT 1", "SELECT 2", "ROLLBACK", "SELECT 3"):
            await wire.send(said(sql))
            frames = await wire.read_until("Z")
            heard.append((errors(frames), frames[-1].body))
        assert heard == [(["57P01"], b"E"), (["25P02"], b"E"), ([], b"I"), ([], b"I")]
    await expect_own_answers(proxy)


async def test_row_4_a_driver_rolls_back_and_goes_on(proxy: Proxy, postgres: Postgres) -> None:
    connection = await proxy.connect("one")
    async with connection:
        await connection.set_autocommit(False)
        await connection.execute("SELECT 1")
        await terminate(postgres)
        await wait_until(lambda: gone(postgres))
        with pytest.raises(psycopg.errors.AdminShutdown):
            await connection.execute("SELECT 2")
        with pytest.raises(psycopg.errors.InFailedSqlTransaction):
            await connection.execute("SELECT 3")
        await connection.rollback()
        cursor = await connection.execute("SELECT 4")
        assert await cursor.fetchone() == (4,)
        await connection.commit()


async def test_row_10_a_crash_of_the_server_ends_who_works_and_nobody_else(own_postgres, start_proxy) -> None:
    """kill -9 of one backend: the siblings say 57P02, the victim nothing; all are served after recovery."""
    databases = {"app": {"primary": own_postgres.dsn(), "pool_size": 5}}
    proxy = await start_proxy({"pool_mode": "transaction", "server_login_retry": 5}, databases=databases)
    idle, victim, sibling = [await log_in(proxy, "app") for _ in range(3)]
    await idle.query("SELECT 1")
    await sibling.query("BEGIN")
    await victim.query("BEGIN")
    [[pid]] = rows(await victim.query("SELECT pg_backend_pid()"))
    assert pid is not None
    os.kill(int(pid), signal.SIGKILL)
    warning = await sibling.read_frame()
    assert (warning.type, error_fields(warning)["C"]) == ("N", "57P02")
    for wire, code in ((victim, "08006"), (sibling, "57P02")):
        frames = await wire.query("SELECT 1")
        assert (errors(frames), frames[-1].body) == ([code], b"E")
        assert "".join(item.type for item in await wire.query("ROLLBACK")) == "CZ"
    assert rows(await idle.query("SELECT 'kept'")) == [[b"kept"]]
    for wire in (idle, victim, sibling):
        await wire.close()


async def test_row_11_a_restart_is_waited_for_by_who_leases_nothing(own_postgres, start_proxy) -> None:
    proxy = await start_proxy({"pool_mode": "transaction"}, databases={"app": {"primary": own_postgres.dsn()}})
    async with await log_in(proxy, "app") as wire:
        await wire.query("SELECT 1")
        await own_postgres.stop()
        await wire.send_query("SELECT 'after the restart'")
        await own_postgres.start()
        assert rows(await wire.read_until("Z")) == [[b"after the restart"]]


REPLY = answer(b"a row of some length")


COMMITS = {
    "COMMIT": "08007",
    " end": "08007",
    "PREPARE TRANSACTION 'x'": "08007",
    "SELECT 1": "08006",
    "ROLLBACK": "08006",
}


@pytest.mark.parametrize("sql", COMMITS)
async def test_row_5_a_commit_whose_answer_is_lost_has_no_known_outcome(proxy, hostile_port, sql: str) -> None:
    async def script(peer: Peer) -> None:
        await peer.log_in()
        await peer.request()
        await peer.send(frame("C", b"BEGIN\0"), frame("Z", b"T"))
        await peer.request()

    async with ScriptedServer(hostile_port, script), await log_in(proxy, f"commit {sql}") as wire:
        await wire.query("BEGIN")
        await wire.send_query(sql)
        frames = await wire.read_until("Z")
        assert errors(frames) == [COMMITS[sql]]
        assert frames[-1].body == (b"I" if COMMITS[sql] == "08007" else b"E")


@pytest.mark.parametrize("how", ["fin", "rst"])
async def test_row_18_and_19_a_server_dies_at_every_byte_of_its_answer(
    proxy: Proxy, hostile_port: int, how: str
) -> None:
    """What came whole is delivered, then 08006. Frames of this size are never begun before they are whole."""

    async def script(peer: Peer) -> None:
        await peer.log_in()
        await peer.request()
        await peer.send(REPLY[: peer.number])
        if how == "rst":
            peer.abort()

    database = f"dies {how}"
    async with ScriptedServer(hostile_port, script):
        for size in range(len(REPLY)):
            async with await log_in(proxy, database) as wire:
                await wire.send_query("SELECT 1")
                frames = await wire.read_until("Z")
                assert errors(frames) == ["08006"]
                whole = b"".join(frame(item.type, item.body) for item in frames[:-2])
                assert REPLY.startswith(whole)
                assert len(whole) <= size < len(whole) + len(REPLY)


async def test_row_3_a_torn_row_is_not_mended(proxy: Proxy, hostile_port: int) -> None:
    """The beginning of a large row was relayed: an error behind it would be read as part of the row."""
    torn = frame("D", b"x" * 50_000)[:30_000]

    async def script(peer: Peer) -> None:
        await peer.log_in()
        await peer.request()
        await peer.send(torn)

    async with ScriptedServer(hostile_port, script), await log_in(proxy, "torn") as wire:
        await wire.send_query("SELECT 1")
        assert await wire.read_to_end() == torn


async def test_row_9_killed_with_10000_pipelined_commands(proxy: Proxy, postgres: Postgres) -> None:
    async with await log_in(proxy) as wire:
        wire.writer.write(query("SELECT 1") * 5_000 + query("SELECT pg_sleep(60)") + query("SELECT 2") * 5_000)
        for _ in range(5_000):
            assert "".join(item.type for item in await wire.read_until("Z")) == "TDCZ"
        await terminate(postgres)
        frames = [item for _ in range(5_001) for item in await wire.read_until("Z")]
        assert errors(frames) == ["57P01"] + ["08006"] * 5_000
        assert "".join(item.type for item in frames) == "TEZ" + "EZ" * 5_000
        assert rows(await wire.query("SELECT 'kept'")) == [[b"kept"]]


EXTENDED = parse("SELECT 'extended'") + bind() + execute()
UNITS = {
    "simple": query("SELECT 'simple'"),
    "extended": EXTENDED + SYNC,
    "flushed": parse("SELECT 'flushed'") + FLUSH + bind() + FLUSH + execute() + FLUSH + SYNC,
    "two in a batch": EXTENDED + EXTENDED + SYNC,
    "failing": EXTENDED + parse("SELEKT") + EXTENDED + SYNC,
    "failing simple": query("SELECT 1/0"),
    "nothing": SYNC,
    "transaction": query("BEGIN; SELECT 1; COMMIT"),
}
END = query("SELECT pg_terminate_backend(pg_backend_pid())")


@pytest.mark.parametrize("at", [0, 1, 1_000, 2_499])
async def test_row_9_a_pipeline_of_everything_has_one_ready_for_query_for_each_unit(proxy: Proxy, at: int) -> None:
    """The server ends itself in the middle: what it has answered stands, each unit behind has an error of its own.

    What it had answered and TCP had not yet delivered goes with it: its end, with more to read, is a reset.
    """
    units = [*UNITS.values()] * 313
    units[at] = END
    async with await log_in(proxy) as wire:
        writing = asyncio.create_task(wire.send(b"".join(units)))
        answers = [await wire.read_until("Z") for _ in units]
        await writing
        assert all(len(errors(frames)) <= 1 for frames in answers)
        lost = next(number for number, frames in enumerate(answers) if {*errors(frames)} & {"57P01", "08006", "08007"})
        assert lost == at or errors(answers[lost]) != ["57P01"]
        assert lost <= at
        for sent, frames in zip(units[:lost], answers[:lost], strict=True):
            assert errors(frames) == (["42601"] if b"SELEKT" in sent else ["22012"] if b"1/0" in sent else [])
        told = {sqlstate for frames in answers[lost + 1 :] for sqlstate in errors(frames)}
        assert told <= {"08006", "08007", "42601", "22012"}
        assert rows(await wire.query("SELECT 'kept'")) == [[b"kept"]]
