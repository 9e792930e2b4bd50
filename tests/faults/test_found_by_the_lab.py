"""What the lab has found: each fault that it met by chance, made on purpose."""

from __future__ import annotations

import pytest

from tests.faults.guard import log_in
from tests.faults.scripted_server import GREETING, READY, Peer, ScriptedServer, answer, error
from tests.integration.conftest import ProxyFactory
from tests.integration.postgres import Postgres
from tests.integration.proxy import Proxy
from tests.integration.transcript import errors
from tests.integration.waiting import wait_until
from tests.integration.wire import FLUSH, Wire, bind, error_fields, execute, frame, parse, rows, text


async def be_honest(peer: Peer, asked: bytes) -> None:
    """Nothing is in the catalogue but its fingerprint, and any other query is answered with its own text."""
    if asked.startswith(b"SET"):
        await peer.send(frame("C", text("SET")) + READY)
    elif b"pg_catalog" in asked and b"md5" not in asked:
        await peer.send(frame("C", text("SELECT 0")) + READY)
    else:
        await peer.send(answer(asked[:-1]))


async def test_row_1_a_server_that_ends_as_soon_as_it_has_let_us_in_is_not_leased(
    proxy: Proxy, hostile_port: int
) -> None:
    """Its last word and its end arrive together; a connection that is closed by then must not count as opened."""

    async def script(peer: Peer) -> None:
        await peer.startup()
        if not peer.number:
            await peer.last_word(GREETING)
            return
        await peer.send(GREETING)
        while True:
            await be_honest(peer, (await peer.request()).body)

    async with ScriptedServer(hostile_port, script), await log_in(proxy, "ends at once") as wire:
        assert rows(await wire.query("SELECT 1")) == [[b"SELECT 1"]]


FAREWELL = error(S="FATAL", V="FATAL", C="57P01", M="terminating connection due to administrator command")


async def test_row_10_a_server_that_ends_while_it_is_asked_of_its_session_is_not_given_to_anyone(
    start_proxy: ProxyFactory, hostile_port: int
) -> None:
    """The farewell comes right behind the answer to our own question: no proof holds for such a server any more."""

    async def script(peer: Peer) -> None:
        await peer.log_in()
        while True:
            asked = (await peer.request()).body
            if b"pg_settings" in asked:
                await peer.send(frame("C", text("SELECT 0")) + READY + FAREWELL)
                await peer.closed()
            else:
                await be_honest(peer, asked)

    database = {"host": "127.0.0.1", "port": hostile_port, "pool_size": 1, "session_state": "exact"}
    proxy = await start_proxy({"pool_mode": "transaction"}, databases={"ends in doubt": database})
    async with ScriptedServer(hostile_port, script), await log_in(proxy, "ends in doubt") as wire:
        await wire.query("SET work_mem = '5MB'")
        await wire.send_query("SELECT 2")
        frames = await wire.read_frames_to_end()
        assert [error_fields(item)["C"] for item in frames] == ["57P01"], "nothing comes behind a farewell"


async def test_row_2_a_server_that_dies_of_our_own_first_question_leaves_its_client_able_to_ask_again(
    proxy: Proxy, hostile_port: int
) -> None:
    """The client hears one error for the statement that waited, and is listened to afterwards."""

    async def script(peer: Peer) -> None:
        await peer.log_in()
        while True:
            asked = (await peer.request()).body
            if b"set_config" in asked and peer.number == 1:
                return
            await be_honest(peer, asked)
            if b"the last" in asked:
                return

    async with ScriptedServer(hostile_port, script) as server, await log_in(proxy, "dies first") as plain:
        await plain.query("SELECT 'the last'")
        await wait_until(lambda: server.ended == 1, what="the first server has gone")
        async with await Wire.connect(proxy.port) as wire:
            await wire.login("postgres", proxy.users["postgres"], database="dies first", application_name="another")
            assert errors(await wire.query("SELECT 1")) == ["08006"]
            assert rows(await wire.query("SELECT 2")) == [[b"SELECT 2"]]


@pytest.mark.parametrize("flushed", [True, False])
async def test_row_40_what_only_a_sync_would_have_committed_is_not_committed(
    proxy: Proxy, postgres: Postgres, flushed: bool
) -> None:
    """PostgreSQL rolls back a batch whose client has gone; so must a server that is to be used again."""
    await postgres.fetch("CREATE TABLE IF NOT EXISTS unsynced (n int); TRUNCATE unsynced")
    async with await log_in(proxy) as wire:
        await wire.send(parse("INSERT INTO unsynced VALUES (1)") + bind() + execute() + (FLUSH if flushed else b""))
        if flushed:
            assert [item.type for item in await wire.read_until("C")] == ["1", "2", "C"]
    async with await log_in(proxy) as wire:
        assert rows(await wire.query("SELECT count(*) FROM unsynced")) == [[b"0"]]
    await postgres.fetch("DROP TABLE unsynced")


async def test_row_4_a_lost_transaction_takes_its_settings_with_it(proxy: Proxy, postgres: Postgres) -> None:
    """A SET in it was rolled back, and the client is told so as it was told of the SET."""
    async with await log_in(proxy) as wire:
        before = wire.parameters["TimeZone"]
        await wire.query("BEGIN")
        frames = await wire.query("SET TimeZone = 'Asia/Tokyo'")
        assert ("S", b"TimeZone\0Asia/Tokyo\0") in frames
        await postgres.fetch(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE state = 'idle in transaction'"
        )
        frames = await wire.query("SELECT 1") + await wire.query("ROLLBACK")
        assert ("S", b"TimeZone\0%b\0" % before.encode()) in frames
        assert rows(await wire.query("SHOW TimeZone")) == [[before.encode()]]
