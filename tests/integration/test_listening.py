"""LISTEN and NOTIFY in transaction pooling: one connection listens for all clients of a database, and none can tell."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest

from tests.integration.conftest import ProxyFactory
from tests.integration.postgres import PASSWORD, Postgres
from tests.integration.proxy import HOST, USER, Proxy
from tests.integration.transcript import session, shape
from tests.integration.waiting import wait_until
from tests.integration.wire import Frame, Wire, error_fields, rows

NOTIFICATIONS = 5000
BATCH = 50


@pytest.fixture
async def pool_of_one(postgres: Postgres, start_proxy: ProxyFactory) -> Proxy:
    """A pool in which a client that kept its server would starve all others."""
    return await start_proxy({"default_pool_size": 1}, databases={"postgres": postgres, "again": postgres})


def payload(notification: Frame) -> str:
    return notification.body[4:].split(b"\0")[1].decode()


def payloads(frames: list[Frame]) -> list[str]:
    return [payload(frame) for frame in frames if frame.type == "A"]


async def heard(wire: Wire) -> str:
    """The next notification."""
    frame = await wire.read_frame()
    assert frame.type == "A", frame
    return payload(frame)


# --- what a listener hears --------------------------------------------------------------------------------------


async def test_many_listeners_share_one_connection(postgres: Postgres, pool_of_one: Proxy) -> None:
    async with session(pool_of_one) as first, session(pool_of_one) as second, session(pool_of_one) as talker:
        for wire in (first, second):
            assert shape(await wire.query("LISTEN news")) == "CZ"
        for number in range(20):
            await talker.query(f"NOTIFY news, '{number}'")
        for wire in (first, second):
            assert [await heard(wire) for _ in range(20)] == [str(number) for number in range(20)]
        assert await postgres.server_connections("postgres") == 2
        assert await pool_of_one.admin("SHOW PINS") == []
        [row] = await pool_of_one.admin("SHOW LISTENERS")
        assert (row["database"], row["channel"], row["clients"]) == ("postgres", "news", 2)


async def test_notifications_from_elsewhere_are_heard(postgres: Postgres, pool_of_one: Proxy) -> None:
    async with session(pool_of_one) as wire:
        await wire.query("LISTEN news")
        async with session(postgres) as talker:
            await talker.query("BEGIN; NOTIFY news, 'one'; NOTIFY news, 'two'; NOTIFY other; COMMIT")
            assert [await heard(wire), await heard(wire)] == ["one", "two"]
            await talker.query("BEGIN; NOTIFY news, 'never'; ROLLBACK; NOTIFY news, 'three'")
            assert await heard(wire) == "three"


async def test_a_notify_keeps_the_semantics_of_its_transaction(pool_of_one: Proxy) -> None:
    async with session(pool_of_one) as wire, session(pool_of_one) as talker:
        await wire.query("LISTEN news")
        await talker.query("BEGIN")
        await talker.query("NOTIFY news, 'rolled back'")
        await talker.query("ROLLBACK")
        await talker.query("SELECT pg_notify('news', 'committed')")
        assert await heard(wire) == "committed"


async def test_a_client_hears_between_its_transactions_only(postgres: Postgres, pool_of_one: Proxy) -> None:
    async with session(pool_of_one) as wire, session(pool_of_one) as witness:
        for each in (wire, witness):
            await each.query("LISTEN news")
        await wire.query("BEGIN")
        await postgres.fetch("NOTIFY news, 'during'")
        assert await heard(witness) == "during"
        assert shape(await wire.query("SELECT 1")) == "TDCZ"
        frames = await wire.query("COMMIT")
        assert shape(frames[:2]) in ("CZ", "AC")
        assert payloads(frames) + [await heard(wire) for _ in range(1 - len(payloads(frames)))] == ["during"]


async def test_a_client_hears_itself(pool_of_one: Proxy) -> None:
    async with session(pool_of_one) as wire:
        await wire.query("LISTEN news")
        frames = await wire.query("NOTIFY news, 'me'")
        assert payloads(frames) + [await heard(wire) for _ in range(1 - len(payloads(frames)))] == ["me"]


async def test_every_database_is_its_own(postgres: Postgres, start_proxy: ProxyFactory) -> None:
    await postgres.fetch("DROP DATABASE IF EXISTS elsewhere WITH (FORCE)")
    await postgres.fetch("CREATE DATABASE elsewhere")
    url = f"postgres://{HOST}:{postgres.port}/elsewhere"
    proxy = await start_proxy({"default_pool_size": 1}, databases={"postgres": postgres, "elsewhere": url})
    async with session(proxy) as here, session(proxy, database="elsewhere") as there:
        for wire in (here, there):
            await wire.query("LISTEN news")
        await postgres.fetch("NOTIFY news, 'here'")
        await postgres.fetch("NOTIFY news, 'there'", database="elsewhere")
        assert (await heard(here), await heard(there)) == ("here", "there")
        for wire in (here, there):
            assert rows(await wire.query("SELECT 1")) == [[b"1"]]


async def test_an_encoding_is_the_clients_own(postgres: Postgres, pool_of_one: Proxy) -> None:
    async with session(pool_of_one, client_encoding="LATIN1") as latin, session(pool_of_one) as utf8:
        await latin.send(b'Q\0\0\0\x11LISTEN "\xe9"\0\0'[:1] + (4 + 11).to_bytes(4, "big") + b'LISTEN "\xe9"\0'[:11])
        await latin.read_until("Z")
        await utf8.query('LISTEN "é"')
        await postgres.fetch("""SELECT pg_notify('é', 'ü')""")
        frame = await latin.read_frame()
        assert frame.body[4:] == b"\xe9\0\xfc\0"
        frame = await utf8.read_frame()
        assert frame.body[4:] == "é\0ü\0".encode()


# --- what it no longer hears ------------------------------------------------------------------------------------

ENDS = ["UNLISTEN news", "UNLISTEN *", "DISCARD ALL", "BEGIN; UNLISTEN news; COMMIT",
        "SELECT pg_advisory_unlock_all(); CLOSE ALL; UNLISTEN *; RESET ALL;"]  # fmt: skip
GOES_ON = ["BEGIN; UNLISTEN news; ROLLBACK", "UNLISTEN other", "UNLISTEN *; SELECT 1/0", "SELECT 1/0; UNLISTEN *"]


@pytest.mark.parametrize("sql", ENDS)
async def test_unlisten_is_heeded(postgres: Postgres, pool_of_one: Proxy, sql: str) -> None:
    async with session(pool_of_one) as wire, session(pool_of_one) as witness:
        for each in (wire, witness):
            await each.query("LISTEN news")
        await wire.query(sql)
        await postgres.fetch("NOTIFY news, 'late'")
        assert await heard(witness) == "late"
        assert shape(await wire.query("SELECT 1")) == "TDCZ"


@pytest.mark.parametrize("sql", GOES_ON)
async def test_unlisten_that_did_not_happen_is_not_heeded(postgres: Postgres, pool_of_one: Proxy, sql: str) -> None:
    async with session(pool_of_one) as wire:
        await wire.query("LISTEN news")
        await wire.query(sql)
        await postgres.fetch("NOTIFY news, 'still'")
        assert await heard(wire) == "still"


@pytest.mark.parametrize("sql", ["BEGIN; LISTEN news; ROLLBACK", "LISTEN news; SELECT 1/0", "LISTEN news; UNLISTEN *"])
async def test_a_listen_that_did_not_happen_is_none(postgres: Postgres, pool_of_one: Proxy, sql: str) -> None:
    async with session(pool_of_one) as wire, session(pool_of_one) as witness:
        await witness.query("LISTEN news")
        await wire.query(sql)
        await postgres.fetch("NOTIFY news, 'late'")
        assert await heard(witness) == "late"
        assert shape(await wire.query("SELECT 1")) == "TDCZ"


async def test_a_listen_in_a_transaction_begins_with_its_commit(postgres: Postgres, pool_of_one: Proxy) -> None:
    async with session(pool_of_one) as wire:
        await wire.query("BEGIN")
        await wire.query("LISTEN news")
        await postgres.fetch("NOTIFY news, 'before'")
        await wire.query("COMMIT")
        await postgres.fetch("NOTIFY news, 'after'")
        assert await heard(wire) == "after"


async def test_a_listener_that_leaves_at_once_is_never_taken_over(postgres: Postgres, pool_of_one: Proxy) -> None:
    async with session(pool_of_one) as witness:
        await witness.query("LISTEN other")
        for _ in range(20):
            async with session(pool_of_one) as wire:
                await wire.query("LISTEN leaving")

        async def forgotten() -> bool:
            return [row["channel"] for row in await pool_of_one.admin("SHOW LISTENERS")] == ["other"]

        await wait_until(forgotten)


async def test_a_listener_that_leaves_is_forgotten(postgres: Postgres, pool_of_one: Proxy) -> None:
    async def shared_says(like: str) -> bool:
        return bool(await postgres.fetch("SELECT pid FROM pg_stat_activity WHERE query LIKE %s", like))

    async with session(pool_of_one) as witness:
        await witness.query("LISTEN other")
        async with session(pool_of_one) as wire:
            await wire.query("LISTEN leaving")
            await wait_until(lambda: shared_says('%LISTEN "leaving"'))
        await wait_until(lambda: shared_says('UNLISTEN "leaving"'))
        await postgres.fetch("NOTIFY other, 'still'")
        assert await heard(witness) == "still"


# --- when it cannot go on ---------------------------------------------------------------------------------------


async def test_who_may_have_missed_something_is_told(postgres: Postgres, pool_of_one: Proxy) -> None:
    async with session(pool_of_one) as wire, session(pool_of_one) as other:
        await wire.query("LISTEN news")
        assert rows(await other.query("SELECT 1")) == [[b"1"]]
        await postgres.fetch("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN %%'"
                             " AND pid <> pg_backend_pid()")  # fmt: skip
        [last] = await wire.read_frames_to_end()
        assert (error_fields(last)["S"], error_fields(last)["C"]) == ("FATAL", "08006")
        assert rows(await other.query("SELECT 2")) == [[b"2"]]
    async with session(pool_of_one) as wire:
        await wire.query("LISTEN news")
        await postgres.fetch("NOTIFY news, 'again'")
        assert await heard(wire) == "again"


async def test_a_client_with_other_state_keeps_its_server_and_hears(postgres: Postgres, pool_of_one: Proxy) -> None:
    async with session(pool_of_one) as wire:
        await wire.query("LISTEN news")
        await wire.query("CREATE TEMPORARY TABLE kept (n int)")
        await wire.query("LISTEN more")
        await postgres.fetch("NOTIFY news, 'one'")
        assert await heard(wire) == "one"
        await postgres.fetch("NOTIFY more, 'two'")
        assert await heard(wire) == "two"
        await wire.query("DROP TABLE kept")
        for channel in ("news", "more"):
            await postgres.fetch(f"NOTIFY {channel}, 'three'")
            assert await heard(wire) == "three"
        assert await pool_of_one.admin("SHOW PINS") == []


# --- nothing lost, nothing twice --------------------------------------------------------------------------------


@asynccontextmanager
async def talking(server: Postgres, channel: str) -> AsyncIterator[asyncio.Task[None]]:
    """Numbered notifications, a few in each transaction, while the block runs or longer."""

    async def talk() -> None:
        async with session(server) as wire:
            for first in range(0, NOTIFICATIONS, BATCH):
                numbers = range(first, first + BATCH)
                await wire.query("; ".join(f"NOTIFY {channel}, '{number}'" for number in numbers))

    task = asyncio.create_task(talk())
    try:
        yield task
    finally:
        await task


async def test_what_is_heard_during_takeovers_has_no_gap_and_no_double(postgres: Postgres, proxy: Proxy) -> None:
    """Each client listens and unlistens again and again: within each spell the numbers follow one another."""
    spells = 0

    async def listen_again_and_again(talker: asyncio.Task[None]) -> None:
        nonlocal spells
        async with session(proxy) as wire:
            while not talker.done():
                numbers = payloads(await wire.query("LISTEN numbers"))
                for _ in range(5):
                    numbers += payloads(await wire.query("SELECT pg_sleep(0.002)"))
                numbers += payloads(await wire.query("UNLISTEN numbers"))
                spoken = [int(number) for number in numbers]
                assert spoken == list(range(spoken[0], spoken[0] + len(spoken))) if spoken else True
                spells += bool(spoken)

    async with talking(postgres, "numbers") as talker:
        await asyncio.gather(*(listen_again_and_again(talker) for _ in range(4)))
    assert spells


async def test_whoever_listens_throughout_hears_everything_once_and_in_order(postgres: Postgres, proxy: Proxy) -> None:
    async def listen(wire: Wire) -> list[int]:
        frames = await wire.query("LISTEN numbers")
        numbers = [int(number) for number in payloads(frames)]
        while not numbers or numbers[-1] != NOTIFICATIONS - 1:
            frame = await wire.read_frame()
            if frame.type == "A":
                numbers.append(int(payload(frame)))
        return numbers

    wires = [await Wire.connect(proxy.port) for _ in range(6)]
    try:
        for wire in wires:
            await wire.login(USER, PASSWORD)
        async with talking(postgres, "numbers"):
            everything = await asyncio.gather(*(listen(wire) for wire in wires))
    finally:
        for wire in wires:
            await wire.close()
    for numbers in everything:
        assert numbers == list(range(numbers[0], NOTIFICATIONS))


# --- drivers ----------------------------------------------------------------------------------------------------


async def test_psycopg_notifies(postgres: Postgres, pool_of_one: Proxy) -> None:
    connection = await pool_of_one.connect()
    async with connection:
        await connection.execute("LISTEN news")
        await postgres.fetch("NOTIFY news, 'hello'")
        async for notify in connection.notifies(timeout=10, stop_after=1):
            assert (notify.channel, notify.payload) == ("news", "hello")
        assert [row async for row in await connection.execute("SELECT 1")] == [(1,)]


async def test_asyncpg_listeners(postgres: Postgres, pool_of_one: Proxy) -> None:
    seen: asyncio.Queue[str] = asyncio.Queue()
    connection = await asyncpg.connect(pool_of_one.dsn())
    try:
        await connection.add_listener("news", lambda _, pid, channel, text: seen.put_nowait(text))
        await postgres.fetch("NOTIFY news, 'hello'")
        assert await asyncio.wait_for(seen.get(), 10) == "hello"
        await connection.reset()
        assert await connection.fetchval("SELECT 1") == 1
    finally:
        await connection.close()
