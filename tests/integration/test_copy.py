"""COPY both ways, simple and extended, with everything that can go wrong in the middle of it.

[1c COPY] [rows 39, 55]
"""

from __future__ import annotations

import pytest

from tests.integration.conftest import ProxyFactory
from tests.integration.postgres import Postgres
from tests.integration.proxy import Proxy
from tests.integration.transcript import errors, messages, read_units, same_as_direct, session, shape, transact
from tests.integration.waiting import wait_until
from tests.integration.wire import FLUSH, SYNC, TERMINATE, Frame, Wire, bind, execute, frame, parse, query, rows, text

COPY_DONE = frame("c")
COUNT = "SELECT count(*), coalesce(sum(number), 0) FROM copied"
COPY_IN = "COPY copied FROM STDIN"


def data(*numbers: object) -> bytes:
    return b"".join(frame("d", f"{number}\n".encode()) for number in numbers)


def fail(why: str) -> bytes:
    return frame("f", text(why))


def extended(sql: str) -> bytes:
    return parse(sql) + bind() + execute()


@pytest.fixture
async def pool_of_one(postgres: Postgres, start_proxy: ProxyFactory) -> Proxy:
    return await start_proxy({"default_pool_size": 1}, databases={"postgres": postgres})


@pytest.fixture(autouse=True)
async def _table(postgres: Postgres) -> None:
    await postgres.fetch("DROP TABLE IF EXISTS copied")
    await postgres.fetch("CREATE TABLE copied (number int)")


async def emptied(wire: Wire) -> None:
    await wire.query("TRUNCATE copied")


async def after_copy(postgres: Postgres, proxy: Proxy, *messages: bytes, units: int = 1) -> list[Frame]:
    """Start a COPY FROM STDIN, send these messages behind its CopyInResponse, and look what is in the table then."""

    async def scenario(wire: Wire) -> list[Frame]:
        await emptied(wire)
        await wire.send_query(COPY_IN)
        frames = await wire.read_until("G")
        frames += await transact(wire, *messages, units=units)
        return frames + await wire.query(COUNT)

    return await same_as_direct(postgres, proxy, scenario)


async def test_rows_are_copied_in(postgres: Postgres, pool_of_one: Proxy) -> None:
    frames = await after_copy(postgres, pool_of_one, data(1, 2, 3), COPY_DONE)
    assert shape(frames) == "GCZTDCZ"
    assert rows(frames) == [[b"3", b"6"]]


async def test_rows_are_copied_in_without_waiting_for_leave(postgres: Postgres, pool_of_one: Proxy) -> None:
    async def scenario(wire: Wire) -> list[Frame]:
        await emptied(wire)
        return await transact(wire, query(COPY_IN), data(1, 2), COPY_DONE, query(COUNT), units=2)

    assert rows(await same_as_direct(postgres, pool_of_one, scenario)) == [[b"2", b"3"]]


async def test_rows_are_copied_out(postgres: Postgres, pool_of_one: Proxy) -> None:
    async def scenario(wire: Wire) -> list[Frame]:
        sql = "COPY (SELECT generate_series(1, 3)) TO STDOUT"
        frames = await wire.query(sql)
        return frames + await transact(wire, extended(sql), SYNC)

    assert shape(await same_as_direct(postgres, pool_of_one, scenario)) == "HdddcCZ12HdddcCZ"


async def test_binary_rows_go_round(postgres: Postgres, pool_of_one: Proxy) -> None:
    async def scenario(wire: Wire) -> list[Frame]:
        await emptied(wire)
        frames = await wire.query("COPY (SELECT generate_series(1, 100)) TO STDOUT (FORMAT binary)")
        copied = b"".join(frame("d", message.body) for message in frames if message.type == "d")
        await wire.send_query("COPY copied FROM STDIN (FORMAT binary)")
        frames += await wire.read_until("G")
        frames += await transact(wire, copied, COPY_DONE)
        return frames + await wire.query(COUNT)

    assert rows(await same_as_direct(postgres, pool_of_one, scenario)) == [[b"100", b"5050"]]


async def test_copy_fail_stores_nothing(postgres: Postgres, pool_of_one: Proxy) -> None:
    frames = await after_copy(postgres, pool_of_one, data(1, 2), fail("enough"))
    assert errors(frames) == ["57014"]
    assert messages(frames) == ["COPY from stdin failed: enough"]
    assert rows(frames) == [[b"0", b"0"]]


async def test_a_bad_row_ends_the_copy_and_the_rest_is_dropped(postgres: Postgres, pool_of_one: Proxy) -> None:
    frames = await after_copy(postgres, pool_of_one, data(1, "x", 2, 3), COPY_DONE)
    assert errors(frames) == ["22P02"]
    assert rows(frames) == [[b"0", b"0"]]


async def test_data_behind_an_error_that_was_seen_is_dropped(postgres: Postgres, pool_of_one: Proxy) -> None:
    async def scenario(wire: Wire) -> list[Frame]:
        await emptied(wire)
        await wire.send_query(COPY_IN)
        frames = await wire.read_until("G")
        frames += await transact(wire, data("x"), data(*range(10_000)), frame("d", b"x" * 70_000))
        await wire.send(data(1, 2), COPY_DONE, fail("late"))
        return frames + await wire.query(COUNT)

    frames = await same_as_direct(postgres, pool_of_one, scenario)
    assert errors(frames) == ["22P02"]
    assert rows(frames) == [[b"0", b"0"]]


async def test_an_error_at_the_end_of_the_copy_stores_nothing(postgres: Postgres, pool_of_one: Proxy) -> None:
    async def scenario(wire: Wire) -> list[Frame]:
        await wire.query(
            "DROP TABLE IF EXISTS late; CREATE TABLE late (number int UNIQUE DEFERRABLE INITIALLY DEFERRED)"
        )
        frames = await transact(wire, query("COPY late FROM STDIN"), data(1, 1), COPY_DONE)
        return frames + await wire.query("SELECT count(*) FROM late")

    frames = await same_as_direct(postgres, pool_of_one, scenario)
    assert errors(frames) == ["23505"]
    assert rows(frames) == [[b"0"]]


async def test_a_refused_copy_leaves_the_data_without_effect(postgres: Postgres, pool_of_one: Proxy) -> None:
    async def scenario(wire: Wire) -> list[Frame]:
        frames = await transact(wire, query("COPY nowhere FROM STDIN"), data(1, 2), COPY_DONE)
        return frames + await wire.query("SELECT 1")

    frames = await same_as_direct(postgres, pool_of_one, scenario)
    assert errors(frames) == ["42P01"]
    assert shape(frames) == "EZTDCZ"


@pytest.mark.parametrize("stray", [data(1), COPY_DONE, fail("stray")], ids=["d", "c", "f"])
async def test_copy_messages_without_a_copy_are_dropped(postgres: Postgres, pool_of_one: Proxy, stray: bytes) -> None:
    async def scenario(wire: Wire) -> list[Frame]:
        frames = await transact(wire, stray, query("SELECT 1"), stray, units=1)
        frames += await transact(wire, query("BEGIN"), stray, query("SELECT 2"), stray, query("COMMIT"), units=3)
        return frames + await transact(wire, extended("SELECT 3"), stray, SYNC)

    assert errors(await same_as_direct(postgres, pool_of_one, scenario)) == []


@pytest.mark.parametrize("ignored", [SYNC, FLUSH, SYNC + FLUSH + SYNC], ids=["sync", "flush", "both"])
async def test_sync_and_flush_inside_a_copy_are_ignored(postgres: Postgres, pool_of_one: Proxy, ignored: bytes) -> None:
    frames = await after_copy(postgres, pool_of_one, data(1), ignored, data(2), ignored, COPY_DONE)
    assert shape(frames) == "GCZTDCZ"
    assert rows(frames) == [[b"2", b"3"]]


@pytest.mark.parametrize("end", [COPY_DONE, fail("no"), data("x") + COPY_DONE], ids=["done", "fail", "bad row"])
async def test_the_extended_copy_of_libpq(postgres: Postgres, pool_of_one: Proxy, end: bytes) -> None:
    """Sync stands right behind Execute, where the copying server ignores it, and again behind the data."""

    async def scenario(wire: Wire) -> list[Frame]:
        await emptied(wire)
        await wire.send(extended(COPY_IN), SYNC)
        frames = await wire.read_until("G")
        frames += await transact(wire, data(1, 2), end, SYNC)
        return frames + await wire.query(COUNT)

    frames = await same_as_direct(postgres, pool_of_one, scenario)
    assert shape(frames) in ("12GCZTDCZ", "12GEZTDCZ")


async def test_data_that_comes_before_its_copy_begins_waits_for_it(postgres: Postgres, pool_of_one: Proxy) -> None:
    async def scenario(wire: Wire) -> list[Frame]:
        await emptied(wire)
        sent = query("SELECT pg_sleep(0.1)") + query(COPY_IN) + data(*range(30_000)) + COPY_DONE
        return await transact(wire, sent, query(COUNT), units=3)

    assert rows(await same_as_direct(postgres, pool_of_one, scenario))[1] == [b"30000", b"449985000"]


async def test_stray_data_in_an_unfinished_batch_does_not_hold_it_up(postgres: Postgres, pool_of_one: Proxy) -> None:
    async def scenario(wire: Wire) -> list[Frame]:
        frames = await transact(wire, extended("SELECT 1"), data(1), extended("SELECT 2"), COPY_DONE, SYNC)
        frames += await transact(wire, extended("SELECT 1/0"), data(1), extended("SELECT 2"), SYNC)
        return frames + await transact(wire, query("SELECT 3"), frame("d", b"x" * 200_000), query("SELECT 4"), units=2)

    assert shape(await same_as_direct(postgres, pool_of_one, scenario)) == "12DC12DCZ1EZTDCZTDCZ"


async def test_an_extended_copy_sent_at_once(postgres: Postgres, pool_of_one: Proxy) -> None:
    async def scenario(wire: Wire) -> list[Frame]:
        await emptied(wire)
        return await transact(wire, extended(COPY_IN), SYNC, data(1, 2), COPY_DONE, SYNC, query(COUNT), units=2)

    assert rows(await same_as_direct(postgres, pool_of_one, scenario)) == [[b"2", b"3"]]


async def test_an_extended_copy_that_is_refused_at_once(postgres: Postgres, pool_of_one: Proxy) -> None:
    async def scenario(wire: Wire) -> list[Frame]:
        sent = extended("COPY nowhere FROM STDIN") + SYNC + data(1) + COPY_DONE + SYNC
        return await transact(wire, sent, query("SELECT 1"), units=3)

    assert errors(await same_as_direct(postgres, pool_of_one, scenario)) == ["42P01"]


@pytest.mark.parametrize(
    "intruder", [query("SELECT 1"), parse("SELECT 1"), bind(), execute()], ids=["Q", "P", "B", "E"]
)
async def test_a_request_inside_a_copy_ends_the_session(
    postgres: Postgres, pool_of_one: Proxy, intruder: bytes
) -> None:
    async def scenario(wire: Wire) -> list[Frame]:
        await wire.send_query(COPY_IN)
        frames = await wire.read_until("G")
        await wire.send(data(1), intruder)
        return frames + await wire.read_frames_to_end()

    frames = await same_as_direct(postgres, pool_of_one, scenario)
    assert errors(frames) == ["08P01", "08P01"]
    assert await postgres.fetch(COUNT) == [(0, 0)]


async def test_copies_in_one_query_follow_each_other(postgres: Postgres, pool_of_one: Proxy) -> None:
    async def scenario(wire: Wire) -> list[Frame]:
        await emptied(wire)
        await wire.send_query(f"{COPY_IN}; {COPY_IN}; COPY copied TO STDOUT")
        frames = await wire.read_until("G")
        await wire.send(data(1), COPY_DONE)
        frames += await wire.read_until("G")
        return frames + await transact(wire, data(2), COPY_DONE)

    assert shape(await same_as_direct(postgres, pool_of_one, scenario)) == "GCGCHddcCZ"


async def test_fifty_megabytes_are_copied_out(pool_of_one: Proxy) -> None:
    async with session(pool_of_one) as wire:
        await wire.send_query("COPY (SELECT repeat('x', 1048575) FROM generate_series(1, 50)) TO STDOUT")
        frames = await read_units(wire, 1)
        assert sum(len(message.body) for message in frames if message.type == "d") == 50 * 1048576
        assert rows(await wire.query("SELECT 1")) == [[b"1"]]


async def test_fifty_megabytes_are_copied_in(pool_of_one: Proxy) -> None:
    async with session(pool_of_one) as wire:
        await wire.query("BEGIN; CREATE TEMP TABLE large (line text) ON COMMIT DROP")
        await wire.send_query("COPY large FROM STDIN")
        await wire.read_until("G")
        await wire.send(*[frame("d", b"x" * 1048575 + b"\n")] * 50, COPY_DONE)
        await read_units(wire, 1)
        assert rows(await wire.query("SELECT sum(length(line)) FROM large")) == [[b"%d" % (50 * 1048575)]]


@pytest.mark.parametrize("how", ["reset", "close", "terminate"])
async def test_a_client_that_dies_in_a_copy_stores_nothing(postgres: Postgres, pool_of_one: Proxy, how: str) -> None:
    async with session(pool_of_one) as wire, session(pool_of_one) as other:
        await wire.send_query(COPY_IN)
        await wire.read_until("G")
        await wire.send(data(*range(1000)))
        if how == "reset":
            wire.abort()
        elif how == "close":
            await wire.close()
        else:
            await wire.send(TERMINATE)
        assert rows(await other.query(COUNT)) == [[b"0", b"0"]]

    async def gone() -> bool:
        return await postgres.fetch("SELECT 1 FROM pg_stat_activity WHERE query LIKE 'COPY copied%'") == []

    await wait_until(gone)
