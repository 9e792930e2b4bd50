"""A result that DDL has changed: no client reads rows by a description that is no longer theirs. [row 33]"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.integration.conftest import ProxyFactory
from tests.integration.postgres import Postgres
from tests.integration.proxy import Proxy
from tests.integration.transcript import errors, messages, session, shape, transact
from tests.integration.wire import SYNC, Wire, bind, describe, execute, parse, rows

SELECT = "SELECT * FROM changing"
REFUSED = "cached plan must not change result type"


def run(name: str) -> bytes:
    return bind(name) + execute() + SYNC


@pytest.fixture
async def pool_of_two(postgres: Postgres, start_proxy: ProxyFactory) -> Proxy:
    return await start_proxy({"default_pool_size": 2}, databases={"postgres": postgres})


@pytest.fixture
async def pool_of_one(postgres: Postgres, start_proxy: ProxyFactory) -> Proxy:
    return await start_proxy({"default_pool_size": 1}, databases={"postgres": postgres})


@pytest.fixture(autouse=True)
async def changing(postgres: Postgres) -> AsyncIterator[None]:
    await postgres.fetch("CREATE TABLE changing AS SELECT 1 AS n")
    yield
    await postgres.fetch("DROP TABLE changing")


async def told(wire: Wire, name: str = "s") -> None:
    assert shape(await transact(wire, parse(SELECT, name), describe("S", name), SYNC)) == "1tTZ"
    assert rows(await transact(wire, run(name))) == [[b"1"]]


async def alter(server: Postgres | Proxy) -> None:
    await server.fetch("ALTER TABLE changing ADD m text DEFAULT 'new'")


async def to_the_other_server(holder: Wire) -> None:
    """Whoever comes next does not get the server that was used last."""
    await holder.query("BEGIN")


async def test_a_server_new_to_the_statement_refuses_it_as_the_first_one_would(
    postgres: Postgres, pool_of_two: Proxy
) -> None:
    async with session(pool_of_two) as holder, session(pool_of_two) as wire:
        await told(wire)
        await alter(postgres)
        await to_the_other_server(holder)
        for _ in range(2):
            frames = await transact(wire, run("s"))
            assert (shape(frames), errors(frames), messages(frames)) == ("EZ", ["0A000"], [REFUSED])
        assert shape(await transact(wire, describe("S", "s"), SYNC)) == "EZ"
        assert rows(await transact(wire, parse(SELECT, "again"), run("again"))) == [[b"1", b"new"]]


async def test_the_transaction_of_a_refused_statement_has_failed(postgres: Postgres, pool_of_two: Proxy) -> None:
    async with session(pool_of_two) as holder, session(pool_of_two) as wire:
        await told(wire)
        await alter(postgres)
        await to_the_other_server(holder)
        await wire.query("BEGIN")
        frames = await transact(wire, run("s"))
        assert (errors(frames), frames[-1].body) == (["0A000"], b"E")
        assert errors(await transact(wire, run("s"))) == ["25P02"]
        await wire.query("ROLLBACK")
        assert errors(await transact(wire, run("s"))) == ["0A000"]


async def test_what_comes_before_and_behind_it_in_a_pipeline_is_as_ever(postgres: Postgres, pool_of_two: Proxy) -> None:
    async with session(pool_of_two) as holder, session(pool_of_two) as wire:
        await told(wire)
        await alter(postgres)
        await to_the_other_server(holder)
        before = parse("SELECT 'before'") + bind() + execute()
        behind = parse("SELECT 'behind'") + run("")
        frames = await transact(wire, before, run("s"), behind, units=2)
        assert (shape(frames), errors(frames)) == ("12DCEZ12DCZ", ["0A000"])


async def test_a_server_new_to_a_statement_that_returns_the_same_runs_it(
    postgres: Postgres, pool_of_two: Proxy
) -> None:
    async with session(pool_of_two) as holder, session(pool_of_two) as wire:
        await told(wire)
        await postgres.fetch("DROP TABLE changing; CREATE TABLE changing AS SELECT 2 AS n")  # another table, alike
        await to_the_other_server(holder)
        for _ in range(2):
            frames = await transact(wire, run("s"))
            assert (shape(frames), rows(frames)) == ("2DCZ", [[b"2"]])


async def test_a_statement_without_rows_moves_too(pool_of_two: Proxy) -> None:
    async with session(pool_of_two) as holder, session(pool_of_two) as wire:
        frames = await transact(wire, parse("UPDATE changing SET n = n", "u"), describe("S", "u"), SYNC)
        assert shape(frames) == "1tnZ"
        await to_the_other_server(holder)
        assert shape(await transact(wire, run("u"))) == "2CZ"


async def test_a_client_that_was_told_nothing_gets_the_new_rows(postgres: Postgres, pool_of_two: Proxy) -> None:
    """It hears with each portal what comes."""
    async with session(pool_of_two) as holder, session(pool_of_two) as wire:
        await transact(wire, parse(SELECT, "s"), SYNC)
        await alter(postgres)
        await to_the_other_server(holder)
        assert shape(await transact(wire, bind("s"), describe("P"), execute(), SYNC)) == "2TDCZ"


async def test_who_prepares_after_ddl_does_not_share_what_was_prepared_before(pool_of_one: Proxy) -> None:
    async with session(pool_of_one) as old, session(pool_of_one) as new:
        await told(old)
        await alter(pool_of_one)
        frames = await transact(new, parse(SELECT, "s"), describe("S", "s"), run("s"))
        assert (shape(frames), rows(frames)) == ("1tT2DCZ", [[b"1", b"new"]])
        assert errors(await transact(old, run("s"))) == ["0A000"]
        assert rows(await transact(new, run("s"))) == [[b"1", b"new"]]
