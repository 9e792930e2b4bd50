"""The unnamed statement in transaction mode, and statements of unusual size: they too stay their client's own.

[1c prepared statements]
"""

from __future__ import annotations

import pytest

from tests.integration.conftest import ProxyFactory
from tests.integration.postgres import Postgres
from tests.integration.proxy import Proxy
from tests.integration.transcript import errors, messages, same_as_direct, session, shape, transact
from tests.integration.wire import SYNC, Frame, Wire, bind, close, describe, execute, parse, query, rows

PORTAL = bind() + execute() + SYNC


@pytest.fixture
async def pool_of_one(postgres: Postgres, start_proxy: ProxyFactory) -> Proxy:
    return await start_proxy({"default_pool_size": 1}, databases={"postgres": postgres})


async def test_it_survives_sync_and_other_clients(pool_of_one: Proxy) -> None:
    async with session(pool_of_one) as first, session(pool_of_one) as second:
        assert shape(await transact(first, parse("SELECT 'first'"), SYNC)) == "1Z"
        assert shape(await transact(second, parse("SELECT 'second'"), SYNC)) == "1Z"
        for wire, answer in ((first, b"first"), (second, b"second"), (first, b"first"), (first, b"first")):
            frames = await transact(wire, PORTAL)
            assert shape(frames) == "2DCZ"
            assert rows(frames) == [[answer]]


async def test_it_survives_another_clients_simple_query(pool_of_one: Proxy) -> None:
    async with session(pool_of_one) as first, session(pool_of_one) as second:
        await transact(first, parse("SELECT 'first'"), describe("S"), SYNC)
        await second.query("SELECT 1")
        assert shape(await transact(first, describe("S"), SYNC)) == "tTZ"
        assert rows(await transact(first, PORTAL)) == [[b"first"]]


async def test_it_moves_to_another_server(postgres: Postgres, start_proxy: ProxyFactory) -> None:
    proxy = await start_proxy({"default_pool_size": 2}, databases={"postgres": postgres})
    async with session(proxy) as holder, session(proxy) as wire:
        await transact(wire, parse("SELECT pg_backend_pid()"), SYNC)
        before = rows(await transact(wire, PORTAL))
        await holder.query("BEGIN")
        assert rows(await transact(wire, PORTAL)) not in (before, [])


async def test_a_simple_query_ends_it(postgres: Postgres, pool_of_one: Proxy) -> None:
    async def scenario(wire: Wire) -> list[Frame]:
        frames = await transact(wire, parse("SELECT 1"), SYNC)
        frames += await wire.query("SELECT 2")
        return frames + await transact(wire, PORTAL)

    frames = await same_as_direct(postgres, pool_of_one, scenario)
    assert errors(frames) == ["26000"]
    assert messages(frames) == ["unnamed prepared statement does not exist"]


async def test_another_clients_is_never_seen(pool_of_one: Proxy) -> None:
    async with session(pool_of_one) as first, session(pool_of_one) as second:
        await transact(first, parse("SELECT 'secret'"), SYNC)
        assert errors(await transact(second, PORTAL)) == ["26000"]
        assert errors(await transact(second, describe("S"), SYNC)) == ["26000"]
        assert rows(await transact(first, PORTAL)) == [[b"secret"]]


async def test_close_ends_it(postgres: Postgres, pool_of_one: Proxy) -> None:
    async def scenario(wire: Wire) -> list[Frame]:
        frames = await transact(wire, parse("SELECT 1"), SYNC)
        frames += await transact(wire, close("S"), SYNC)
        return frames + await transact(wire, PORTAL)

    assert errors(await same_as_direct(postgres, pool_of_one, scenario)) == ["26000"]


async def test_a_parse_that_fails_ends_the_one_before(postgres: Postgres, pool_of_one: Proxy) -> None:
    async def scenario(wire: Wire) -> list[Frame]:
        frames = await transact(wire, parse("SELECT 1"), SYNC)
        frames += await transact(wire, parse("SELEKT"), SYNC)
        return frames + await transact(wire, PORTAL)

    assert errors(await same_as_direct(postgres, pool_of_one, scenario)) == ["42601", "26000"]


async def test_a_skipped_parse_leaves_the_one_before(postgres: Postgres, pool_of_one: Proxy) -> None:
    async def scenario(wire: Wire) -> list[Frame]:
        frames = await transact(wire, parse("SELECT 'before'"), SYNC)
        frames += await transact(wire, bind("none"), parse("SELECT 'skipped'"), SYNC)
        return frames + await transact(wire, PORTAL)

    frames = await same_as_direct(postgres, pool_of_one, scenario)
    assert errors(frames) == ["26000"]
    assert rows(frames) == [[b"before"]]


@pytest.mark.parametrize("skipped", [close("S"), query("SELECT 1"), parse("SELECT 1")], ids=["close", "query", "parse"])
async def test_what_the_server_skips_does_not_end_it(postgres: Postgres, pool_of_one: Proxy, skipped: bytes) -> None:
    async with session(pool_of_one) as other:

        async def scenario(wire: Wire) -> list[Frame]:
            frames = await transact(wire, parse("SELECT 'before'"), SYNC)
            frames += await transact(wire, bind("none"), skipped, SYNC)
            await transact(other, parse("SELECT 'other'"), SYNC)
            return frames + await transact(wire, PORTAL)

        assert rows(await same_as_direct(postgres, pool_of_one, scenario)) == [[b"before"]]


# --- sizes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", "large"])
@pytest.mark.parametrize("size", [60_000, 65_530, 70_000, 1_000_000])
async def test_a_large_parse_and_bind_pass(postgres: Postgres, pool_of_one: Proxy, name: str, size: int) -> None:
    async def scenario(wire: Wire) -> list[Frame]:
        value = b"v" * size
        frames = await transact(
            wire, parse(f"SELECT length($1), '{'x' * size}' IS NULL", name), bind(name, [value]), execute(), SYNC
        )
        return frames + await transact(wire, bind(name, [value]), execute(), SYNC)

    frames = await same_as_direct(postgres, pool_of_one, scenario)
    assert shape(frames) == "12DCZ2DCZ"
    assert rows(frames)[0][0] == str(size).encode()


async def test_a_large_parse_is_no_other_clients(pool_of_one: Proxy) -> None:
    async with session(pool_of_one) as first:
        await transact(first, parse(f"SELECT 'first' || '{'x' * 100_000}'", "s"), SYNC)
        assert rows(await transact(first, bind("s"), execute(), SYNC))[0][0][:5] == b"first"
    async with session(pool_of_one) as second:
        assert shape(await transact(second, parse("SELECT 'second'", "s"), SYNC)) == "1Z"
        assert rows(await transact(second, bind("s"), execute(), SYNC)) == [[b"second"]]


async def test_a_large_unnamed_statement_takes_the_place_of_a_small_one(pool_of_one: Proxy) -> None:
    async with session(pool_of_one) as first, session(pool_of_one) as second:
        await transact(first, parse("SELECT 'small'"), SYNC)
        await transact(second, parse("SELECT 'second'"), SYNC)
        large = parse(f"SELECT 'large' -- {'x' * 100_000}")
        assert rows(await transact(first, large, SYNC, bind(), execute(), SYNC, units=2)) == [[b"large"]]


async def test_a_large_unnamed_statement_is_the_first(pool_of_one: Proxy) -> None:
    async with session(pool_of_one) as first, session(pool_of_one) as second:
        await transact(second, parse("SELECT 'second'"), SYNC)
        large = parse(f"SELECT 'large' -- {'x' * 100_000}")
        assert rows(await transact(first, large, bind(), execute(), SYNC)) == [[b"large"]]


async def test_a_statement_that_was_parsed_for_a_name_is_not_the_unnamed_one(
    postgres: Postgres, pool_of_one: Proxy
) -> None:
    async with session(pool_of_one) as first, session(pool_of_one) as second:
        await transact(first, parse("SELECT 'known'", "s"), SYNC)
        await transact(second, parse("SET work_mem = '4MB'", "t"), parse("SELECT 'known'", "s"), SYNC)
        for wire in (second, first):
            assert errors(await transact(wire, bind(), execute(), SYNC)) == ["26000"]


@pytest.mark.parametrize("length", [62, 63, 64, 1000])
async def test_names_count_to_their_63rd_byte(postgres: Postgres, pool_of_one: Proxy, length: int) -> None:
    name = "n" * length
    seen = []
    for server in (postgres, pool_of_one):
        async with session(server) as wire:
            frames = await transact(wire, parse("SELECT 'name'", name), SYNC)
            frames += await transact(wire, parse("SELECT 'other'", name[:-1] + "o"), SYNC)
            frames += await transact(wire, bind(name), execute(), SYNC)
            frames += await transact(wire, bind(name + "n"), execute(), SYNC)
            frames += await transact(wire, close("S", name), bind(name), SYNC)
        seen.append((shape(frames), errors(frames), rows(frames)))
    assert seen[0] == seen[1]
    assert ("42P05" in seen[0][1]) == (length > 63)


@pytest.mark.parametrize("name", ["", "large"])
async def test_a_large_statement_does_not_keep_its_server_from_others(pool_of_one: Proxy, name: str) -> None:
    async with session(pool_of_one) as first, session(pool_of_one) as second:
        large = parse(f"SELECT 'first' -- {'x' * 100_000}", name)
        assert rows(await transact(first, large, bind(name), execute(), SYNC)) == [[b"first"]]
        assert rows(await second.query("SELECT 'second'")) == [[b"second"]]
        assert rows(await transact(second, parse("SELECT 'other'"), bind(), execute(), SYNC)) == [[b"other"]]
        assert rows(await transact(first, bind(name), execute(), SYNC)) == [[b"first"]]


@pytest.mark.parametrize("name", ["", "large"])
async def test_a_large_statement_moves_to_another_server(
    postgres: Postgres, start_proxy: ProxyFactory, name: str
) -> None:
    proxy = await start_proxy({"default_pool_size": 2}, databases={"postgres": postgres})
    async with session(proxy) as holder, session(proxy) as wire:
        await transact(wire, parse(f"SELECT pg_backend_pid() -- {'x' * 100_000}", name), SYNC)
        before = rows(await transact(wire, bind(name), execute(), SYNC))
        await holder.query("BEGIN")
        assert rows(await transact(wire, bind(name), execute(), SYNC)) not in (before, [])
