"""Many requests in flight at once: as many answers, in their order, and errors that end only their own batch.

[1c pipelining]
"""

from __future__ import annotations

import asyncio

import pytest

from tests.integration.conftest import ProxyFactory
from tests.integration.postgres import Postgres
from tests.integration.proxy import Proxy
from tests.integration.transcript import errors, read_units, same_as_direct, session, shape, transact
from tests.integration.wire import FLUSH, SYNC, Frame, Wire, bind, describe, execute, frame, parse, query, rows

DEPTH = 10_000


@pytest.fixture
async def pool_of_one(postgres: Postgres, start_proxy: ProxyFactory) -> Proxy:
    return await start_proxy({"default_pool_size": 1}, databases={"postgres": postgres})


def ask(sql: str) -> bytes:
    """Parse, Bind and Execute of one statement, without Sync."""
    return parse(sql) + bind() + execute()


@pytest.mark.parametrize("count", [1, 2, 17, 500])
async def test_every_sync_is_answered_once(postgres: Postgres, proxy: Proxy, count: int) -> None:
    async def scenario(wire: Wire) -> list[Frame]:
        return await transact(wire, SYNC * count, units=count)

    assert shape(await same_as_direct(postgres, proxy, scenario)) == "Z" * count


async def test_syncs_behind_an_open_transaction_are_answered_by_the_server(postgres: Postgres, proxy: Proxy) -> None:
    async def scenario(wire: Wire) -> list[Frame]:
        frames = await transact(wire, query("BEGIN"), SYNC, SYNC, units=3)
        frames += await transact(wire, ask("SELECT 1"), SYNC, SYNC, SYNC, units=3)
        return frames + await transact(wire, query("ROLLBACK"), SYNC, units=2)

    frames = await same_as_direct(postgres, proxy, scenario)
    assert [message.body for message in frames if message.type == "Z"] == [b"T"] * 6 + [b"I"] * 2


async def test_a_flush_brings_answers_without_a_sync(postgres: Postgres, proxy: Proxy) -> None:
    async def scenario(wire: Wire) -> list[Frame]:
        await wire.send(FLUSH, parse("SELECT 1", "s"), FLUSH)
        frames = await wire.read_until("1")
        await wire.send(describe("S", "s"), FLUSH)
        frames += await wire.read_until("T")
        await wire.send(bind("s"), execute(), FLUSH)
        frames += await wire.read_until("C")
        return frames + await transact(wire, SYNC)

    assert shape(await same_as_direct(postgres, proxy, scenario)) == "1tT2DCZ"


async def test_a_client_that_only_flushed_keeps_its_server(pool_of_one: Proxy) -> None:
    async with session(pool_of_one) as first, session(pool_of_one) as second:
        await first.send(ask("SELECT 'first'"), FLUSH)
        assert shape(await first.read_until("C")) == "12DC"
        await second.send_query("SELECT 'second'")
        await first.send(ask("SELECT 'again'"), SYNC)
        assert rows(await first.read_until("Z")) == [[b"again"]]
        assert rows(await second.read_until("Z")) == [[b"second"]]


@pytest.mark.parametrize("failing", range(5))
async def test_an_error_ends_its_own_batch_only(postgres: Postgres, proxy: Proxy, failing: int) -> None:
    async def scenario(wire: Wire) -> list[Frame]:
        batches = [
            ask(f"SELECT {number}") + ask("SELECT 1/0" if number == failing else "SELECT 2") + ask("SELECT 3") + SYNC
            for number in range(5)
        ]
        return await transact(wire, *batches, units=5)

    frames = await same_as_direct(postgres, proxy, scenario)
    assert errors(frames) == ["22012"]
    assert len(rows(frames)) == 13


async def test_an_error_inside_a_transaction_fails_what_follows(postgres: Postgres, proxy: Proxy) -> None:
    async def scenario(wire: Wire) -> list[Frame]:
        return await transact(
            wire, ask("BEGIN"), SYNC, ask("SELECT 1/0"), SYNC, ask("SELECT 1"), SYNC, ask("ROLLBACK"), SYNC,
            ask("SELECT 'after'"), SYNC, units=5,
        )  # fmt: skip

    frames = await same_as_direct(postgres, proxy, scenario)
    assert errors(frames) == ["22012", "25P02"]
    assert rows(frames) == [[b"after"]]


async def test_a_query_in_a_failing_batch_is_skipped(postgres: Postgres, proxy: Proxy) -> None:
    async def scenario(wire: Wire) -> list[Frame]:
        batch = parse("SELEKT") + query("SELECT 'skipped'") + ask("SELECT 1") + SYNC
        return await transact(wire, batch, query("SELECT 'answered'"), units=2)

    frames = await same_as_direct(postgres, proxy, scenario)
    assert shape(frames) == "EZTDCZ"
    assert rows(frames) == [[b"answered"]]


async def test_a_query_in_a_good_batch_is_answered(postgres: Postgres, proxy: Proxy) -> None:
    async def scenario(wire: Wire) -> list[Frame]:
        return await transact(wire, ask("SELECT 1"), query("SELECT 2"), ask("SELECT 3"), SYNC, units=2)

    assert shape(await same_as_direct(postgres, proxy, scenario)) == "12DCTDCZ12DCZ"


async def test_queries_in_a_row_are_answered_in_a_row(postgres: Postgres, proxy: Proxy) -> None:
    async def scenario(wire: Wire) -> list[Frame]:
        sent = [query(f"SELECT {number}") for number in range(50)]
        return await transact(wire, *sent, query(""), query("SELECT 1/0; SELECT 1"), query("SELECT 9"), units=53)

    frames = await same_as_direct(postgres, proxy, scenario)
    assert shape(frames).endswith("IZEZTDCZ")


async def test_a_mixed_pipeline_is_answered_in_order(postgres: Postgres, pool_of_one: Proxy) -> None:
    async def scenario(wire: Wire) -> list[Frame]:
        return await transact(
            wire,
            parse("SELECT $1::text", "s"), SYNC,
            query("SELECT 'simple'"),
            bind("s", [b"one"]), describe("P"), execute(), bind("s", [b"two"]), execute(), SYNC,
            frame("S"), query("BEGIN"), bind("s", [b"three"]), execute(), SYNC,
            bind("none"), execute(), SYNC, query("COMMIT"), query("SELECT 'end'"),
            units=9,
        )  # fmt: skip

    frames = await same_as_direct(postgres, pool_of_one, scenario)
    assert rows(frames) == [[b"simple"], [b"one"], [b"two"], [b"three"], [b"end"]]
    assert errors(frames) == ["26000"]


async def test_a_portal_gives_its_rows_in_parts(postgres: Postgres, proxy: Proxy) -> None:
    async def scenario(wire: Wire) -> list[Frame]:
        sql = "SELECT generate_series(1, 5)"
        return await transact(wire, parse(sql), bind(), execute("", 2), execute("", 2), execute("", 2), SYNC)

    assert shape(await same_as_direct(postgres, proxy, scenario)) == "12DDsDDsDCZ"


async def test_a_deep_pipeline_is_answered_whole(pool_of_one: Proxy) -> None:
    async with session(pool_of_one) as wire, session(pool_of_one) as other:
        await transact(wire, parse("SELECT $1::int", "s"), SYNC)
        sent = b"".join(bind("s", [b"%d" % number]) + execute() + SYNC for number in range(DEPTH))
        sending = asyncio.create_task(wire.send(sent))
        frames = await read_units(wire, DEPTH)
        await sending
        assert rows(frames) == [[b"%d" % number] for number in range(DEPTH)]
        assert rows(await other.query("SELECT 1")) == [[b"1"]]


async def test_a_deep_batch_under_one_sync_is_answered_whole(pool_of_one: Proxy) -> None:
    async with session(pool_of_one) as wire:
        await transact(wire, parse("SELECT $1::int", "s"), SYNC)
        sent = b"".join(bind("s", [b"%d" % number]) + execute() for number in range(DEPTH)) + SYNC
        sending = asyncio.create_task(wire.send(sent))
        frames = await wire.read_until("Z")
        await sending
        assert rows(frames) == [[b"%d" % number] for number in range(DEPTH)]


async def test_two_pipelines_take_turns_on_one_server(pool_of_one: Proxy) -> None:
    async with session(pool_of_one) as first, session(pool_of_one) as second:
        await asyncio.gather(*(_talk(wire, word) for wire, word in ((first, "first"), (second, "second"))))


async def _talk(wire: Wire, word: str) -> None:
    for _ in range(30):
        sent = (ask(f"SELECT '{word}'") + SYNC) * 5 + query(f"SELECT '{word}'")
        assert rows(await transact(wire, sent, units=6)) == [[word.encode()]] * 6


async def test_one_byte_at_a_time_gives_the_same_answers(postgres: Postgres, proxy: Proxy) -> None:
    async def scenario(wire: Wire) -> list[Frame]:
        for byte in parse("SELECT $1::text", "s") + bind("s", [b"x"]) + execute() + SYNC + query("SELECT 1"):
            await wire.send(bytes([byte]))
            await asyncio.sleep(0)
        return await read_units(wire, 2)

    assert shape(await same_as_direct(postgres, proxy, scenario)) == "12DCZTDCZ"
