"""What one connection has written is carried to another as a token, and read there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import psycopg
import pytest
import pytest_asyncio

from tests.integration.postgres import PASSWORD, Farm
from tests.integration.proxy import Proxy
from tests.integration.replicas import SETTINGS, Replicated
from tests.integration.test_replica_routing import queries
from tests.integration.transcript import errors, session
from tests.integration.waiting import wait_until
from tests.integration.wire import SYNC, Frame, Wire, bind, describe, execute, parse, query, rows

pytestmark = pytest.mark.asyncio(loop_scope="session")

SHOW = "SHOW trunkline.lsn"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def cluster(farm: Farm) -> AsyncIterator[Replicated]:
    async with Replicated(farm, 1) as made:
        await made.primary.fetch("CREATE TABLE notes (id int8 PRIMARY KEY, body int8)")
        await made.primary.wait_for_replicas(1)
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def proxy(cluster: Replicated) -> AsyncIterator[Proxy]:
    database = cluster.database(reads="replica", health_check_user="postgres")
    async with Proxy({**SETTINGS, "pool_mode": "transaction"}, databases={"app": database}) as started:
        await wait_up(started)
        yield started


async def wait_up(proxy: Proxy) -> None:
    async def up() -> bool:
        return [row["state"] for row in await proxy.admin("SHOW REPLICAS")] == ["up"] * 2

    await wait_until(up)


async def shown(wire: Wire) -> str:
    ((token,),) = rows(await wire.query(SHOW))
    assert token is not None
    return token.decode()


def number(token: str) -> int:
    high, low = token.split("/")
    return (int(high, 16) << 32) + int(low, 16)


async def test_a_token_covers_the_commit_before_it_and_nothing_after_it(cluster: Replicated, proxy: Proxy) -> None:
    async def position() -> int:
        ((found,),) = await cluster.primary.fetch("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn")
        return int(found)

    async with session(proxy, database="app") as wire:
        assert await shown(wire) == ""
        for round_ in range(5):
            before = await position()
            await wire.send(query(f"INSERT INTO notes VALUES ({round_}, 0)"), query(SHOW))
            await wire.read_until("Z")
            ((token,),) = rows(await wire.read_until("Z"))
            assert token is not None
            assert before < number(token.decode()) <= await position()
            assert await shown(wire) == token.decode()


async def test_who_has_the_token_misses_nothing_and_who_has_not_reads_what_there_is(
    cluster: Replicated, proxy: Proxy
) -> None:
    read = "SELECT count(*) FROM notes WHERE id = 100"
    async with session(proxy, database="app") as writer, session(proxy, database="app") as reader:
        await cluster.replicas[0].fetch("SELECT pg_wal_replay_pause()")
        try:
            await writer.query("INSERT INTO notes VALUES (100, 0)")
            token = await shown(writer)
            assert rows(await reader.query(read)) == [[b"0"]]
            assert errors(await reader.query(f"SET trunkline.min_lsn = '{token}'")) == []
            assert rows(await reader.query(read)) == [[b"1"]]
            async with session(proxy, database="app", options=f"-c trunkline.min_lsn={token}") as another:
                assert rows(await another.query(read)) == [[b"1"]]
                assert await shown(another) == token
        finally:
            await cluster.replicas[0].fetch("SELECT pg_wal_replay_resume()")
        await cluster.primary.wait_for_replicas(1)
        before = (await queries(proxy))["app"]
        assert rows(await reader.query(read)) == [[b"1"]]
        assert (await queries(proxy))["app"] == before


async def test_a_token_costs_no_question_about_the_session(proxy: Proxy) -> None:
    async with session(proxy, database="app") as wire:
        before = await queries(proxy)
        for _ in range(3):
            await wire.query("SET trunkline.min_lsn = '0/1'")
            await wire.send(parse("SET trunkline.min_lsn = '0/1'") + bind() + execute() + SYNC)
            await wire.read_until("Z")
            await wire.query("SELECT count(*) FROM notes WHERE id < 0")
        after = await queries(proxy)
        assert (after["app"] - before["app"], after["replica1"] - before.get("replica1", 0)) == (6, 3)


@pytest.mark.parametrize("token", ["nonsense", "0/", "s0:0/1", "0/1,0/2"])
async def test_a_token_that_is_none_is_refused_in_every_way(proxy: Proxy, token: str) -> None:
    async with session(proxy, database="app") as wire:
        assert errors(await wire.query(f"SET trunkline.min_lsn = '{token}'")) == ["22023"]
        await wire.send(parse(f"SET trunkline.min_lsn = '{token}'") + bind() + execute() + SYNC)
        assert errors(await wire.read_until("Z")) == ["22023"]
        await wire.query("BEGIN")
        assert errors(await wire.query(f"SET LOCAL trunkline.min_lsn TO '{token}'")) == ["22023"]
        assert errors(await wire.query("SELECT 1")) == ["25P02"]
        await wire.query("ROLLBACK")
    with pytest.raises(psycopg.OperationalError, match="invalid value for parameter"):
        await psycopg.AsyncConnection.connect(
            f"host=127.0.0.1 port={proxy.port} user=postgres password='{PASSWORD}' dbname=app",
            options=f"-c trunkline.min_lsn={token}",
        )


async def test_in_a_block_with_a_write_the_token_is_not_known_yet(proxy: Proxy) -> None:
    async with session(proxy, database="app") as wire:
        await wire.query("BEGIN")
        await wire.query("INSERT INTO notes VALUES (200, 0)")
        assert await shown(wire) == "?"
        await wire.query("COMMIT")
        assert number(await shown(wire)) > 0


async def test_a_described_statement_is_a_column_of_text(proxy: Proxy) -> None:
    async with session(proxy, database="app") as wire:
        direct = await described(wire, SHOW)
        assert b"trunkline.lsn\0" in direct.body
        await wire.send(parse(SHOW) + bind() + describe("P") + execute() + SYNC)
        assert [frame for frame in await wire.read_until("Z") if frame.type == "T"] == [direct]


async def described(wire: Wire, sql: str) -> Frame:
    await wire.send(parse(sql) + describe("S") + SYNC)
    (found,) = [frame for frame in await wire.read_until("Z") if frame.type == "T"]
    return found


async def test_drivers_carry_it(proxy: Proxy) -> None:
    dsn = f"host=127.0.0.1 port={proxy.port} user=postgres password='{PASSWORD}' dbname=app"
    there = await asyncpg.connect(host="127.0.0.1", port=proxy.port, user="postgres", password=PASSWORD, database="app")
    try:
        tokens = []
        for row in range(300, 303):
            await there.execute("INSERT INTO notes VALUES ($1, 0)", row)
            tokens.append(await there.fetchval(SHOW))
        assert sorted(map(number, tokens)) == [number(token) for token in tokens]
        assert len(set(tokens)) == 3
        async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as here:
            await here.execute(f"SET trunkline.min_lsn = '{tokens[-1]}'")
            found = await here.execute("SELECT count(*) FROM notes WHERE id BETWEEN 300 AND 302")
            assert await found.fetchone() == (3,)
            shown_here = await here.execute(SHOW, prepare=True)
            assert await shown_here.fetchone() == (tokens[-1],)
    finally:
        await there.close()


async def test_pairs_on_two_connections_miss_nothing(cluster: Replicated, proxy: Proxy) -> None:
    """As a web tier without sessions would: write here, carry the token, read there."""

    async def pairs(client: int) -> int:
        missed = 0
        async with session(proxy, database="app") as writer, session(proxy, database="app") as reader:
            await writer.query(f"INSERT INTO notes VALUES ({1000 + client}, 0)")
            for value in range(1, 26):
                await writer.query(f"UPDATE notes SET body = {value} WHERE id = {1000 + client}")
                await reader.query(f"SET trunkline.min_lsn = '{await shown(writer)}'")
                found = rows(await reader.query(f"SELECT body FROM notes WHERE id = {1000 + client}"))
                missed += found != [[b"%d" % value]]
        return missed

    assert await asyncio.gather(*(pairs(client) for client in range(4))) == [0] * 4
