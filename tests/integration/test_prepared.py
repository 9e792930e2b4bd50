"""Prepared statements of the protocol in transaction mode: each client has its own names, whatever server it is on.

[1c prepared statements] [rows 50, 51]
"""

from __future__ import annotations

import pytest

from tests.integration.conftest import ProxyFactory
from tests.integration.postgres import Postgres
from tests.integration.proxy import Proxy
from tests.integration.transcript import errors, messages, same_as_direct, session, shape, transact
from tests.integration.wire import FLUSH, SYNC, Frame, Wire, bind, close, describe, execute, parse, query, rows

PID = "SELECT pg_backend_pid()"


@pytest.fixture
async def pool_of_one(postgres: Postgres, start_proxy: ProxyFactory) -> Proxy:
    return await start_proxy({"default_pool_size": 1}, databases={"postgres": postgres})


@pytest.fixture
async def pool_of_two(postgres: Postgres, start_proxy: ProxyFactory) -> Proxy:
    return await start_proxy({"default_pool_size": 2}, databases={"postgres": postgres})


def run(name: str, *values: bytes) -> bytes:
    """Bind, Execute and Sync of a prepared statement."""
    return bind(name, values) + execute() + SYNC


async def server_statements(wire: Wire) -> int:
    """How many statements the server at the other end has."""
    return int(rows(await wire.query("SELECT count(*) FROM pg_prepared_statements"))[0][0] or 0)


async def test_equal_statements_of_many_clients_are_prepared_once(pool_of_one: Proxy) -> None:
    async with session(pool_of_one) as first, session(pool_of_one) as second:
        for wire, name in ((first, "a"), (second, "b"), (first, "c")):
            frames = await transact(wire, parse("SELECT $1::int + 1", name), run(name, b"41"))
            assert shape(frames) == "12DCZ"
            assert rows(frames) == [[b"42"]]
        assert await server_statements(first) == 1


async def test_the_same_name_means_other_sql_to_another_client(pool_of_one: Proxy) -> None:
    async with session(pool_of_one) as first, session(pool_of_one) as second:
        await transact(first, parse("SELECT 'first'", "s"), SYNC)
        await transact(second, parse("SELECT 'second'", "s"), SYNC)
        for wire, answer in ((first, b"first"), (second, b"second"), (first, b"first")):
            assert rows(await transact(wire, run("s"))) == [[answer]]


async def test_a_statement_is_prepared_again_on_another_server(pool_of_two: Proxy) -> None:
    async with session(pool_of_two) as holder, session(pool_of_two) as wire:
        assert shape(await transact(wire, parse("SELECT pg_backend_pid()", "s"), SYNC)) == "1Z"
        before = rows(await transact(wire, run("s")))
        await holder.query("BEGIN")  # takes the server that was used last
        frames = await transact(wire, run("s"))
        assert shape(frames) == "2DCZ"
        assert rows(frames) != before
        frames = await transact(wire, describe("S", "s"), SYNC)
        assert shape(frames) == "tTZ"


@pytest.mark.parametrize("limit", [1, 2])
async def test_more_statements_than_a_server_may_keep_work_within_one_batch(
    postgres: Postgres, start_proxy: ProxyFactory, limit: int
) -> None:
    proxy = await start_proxy(
        {"default_pool_size": 1, "max_prepared_statements": limit}, databases={"postgres": postgres}
    )
    async with session(proxy) as wire:
        names = ["a", "b", "c"]
        frames = await transact(wire, *[parse(f"SELECT '{name}'", name) for name in names], SYNC)
        assert shape(frames) == "111Z"
        order = [*names, *reversed(names), "b"]
        frames = await transact(wire, *[bind(name) + execute() for name in order], SYNC)
        assert shape(frames) == "2DC" * len(order) + "Z"
        assert rows(frames) == [[name.encode()] for name in order]
        assert await server_statements(wire) == limit


async def test_many_clients_thrash_a_cache_of_one(postgres: Postgres, start_proxy: ProxyFactory) -> None:
    proxy = await start_proxy({"default_pool_size": 1, "max_prepared_statements": 1}, databases={"postgres": postgres})
    async with session(proxy) as first, session(proxy) as second:
        await transact(first, parse("SELECT 'first'", "s"), SYNC)
        await transact(second, parse("SELECT 'second'", "s"), SYNC)
        for _ in range(20):
            assert rows(await transact(first, run("s"))) == [[b"first"]]
            assert rows(await transact(second, run("s"))) == [[b"second"]]


# --- errors in PostgreSQL's own words ---------------------------------------------------------------------------


async def test_a_name_that_is_taken_is_refused_in_the_clients_words(postgres: Postgres, pool_of_one: Proxy) -> None:
    async def scenario(wire: Wire) -> list[Frame]:
        frames = await transact(wire, parse("SELECT 1", "mine"), SYNC)
        frames += await transact(wire, parse("SELECT 2", "mine"), SYNC)
        frames += await transact(wire, parse("SELECT 1", "mine"), SYNC)
        return frames + await transact(wire, run("mine"))

    frames = await same_as_direct(postgres, pool_of_one, scenario)
    assert errors(frames) == ["42P05", "42P05"]
    assert messages(frames)[0] == 'prepared statement "mine" already exists'
    assert rows(frames) == [[b"1"]]


async def test_an_unknown_name_is_refused(postgres: Postgres, pool_of_one: Proxy) -> None:
    async def scenario(wire: Wire) -> list[Frame]:
        frames = await transact(wire, run("never"))
        frames += await transact(wire, describe("S", "never"), SYNC)
        return frames + await transact(wire, close("S", "never"), SYNC)

    frames = await same_as_direct(postgres, pool_of_one, scenario)
    assert errors(frames) == ["26000", "26000"]
    assert messages(frames)[0] == 'prepared statement "never" does not exist'


async def test_another_clients_name_is_unknown(pool_of_one: Proxy) -> None:
    async with session(pool_of_one) as first, session(pool_of_one) as second:
        await transact(first, parse("SELECT 1", "s"), SYNC)
        assert errors(await transact(second, run("s"))) == ["26000"]


async def test_a_wrong_parameter_count_is_told_in_the_clients_words(postgres: Postgres, pool_of_one: Proxy) -> None:
    async def scenario(wire: Wire) -> list[Frame]:
        await transact(wire, parse("SELECT $1::int", "mine"), SYNC)
        frames = await transact(wire, run("mine"))
        return frames + await transact(wire, run("mine", b"1"))

    frames = await same_as_direct(postgres, pool_of_one, scenario)
    assert errors(frames) == ["08P01"]
    assert '"mine"' in messages(frames)[0]
    assert rows(frames) == [[b"1"]]


async def test_a_parse_that_failed_leaves_no_name(postgres: Postgres, pool_of_one: Proxy) -> None:
    async def scenario(wire: Wire) -> list[Frame]:
        frames = await transact(wire, parse("SELEKT 1", "s"), SYNC)
        frames += await transact(wire, run("s"))
        frames += await transact(wire, parse("SELECT 2", "s"), SYNC)
        return frames + await transact(wire, run("s"))

    frames = await same_as_direct(postgres, pool_of_one, scenario)
    assert errors(frames) == ["42601", "26000"]
    assert rows(frames) == [[b"2"]]


async def test_an_error_takes_back_what_stood_behind_it_in_the_batch(postgres: Postgres, pool_of_one: Proxy) -> None:
    async def scenario(wire: Wire) -> list[Frame]:
        await transact(wire, parse("SELECT 'kept'", "kept"), SYNC)
        failing = parse("SELECT 1/0") + bind() + execute()
        frames = await transact(wire, failing, parse("SELECT 1", "late"), close("S", "kept"), SYNC)
        frames += await transact(wire, run("late"))
        frames += await transact(wire, run("kept"))
        return frames + await transact(wire, parse("SELECT 'again'", "late"), run("late"))

    frames = await same_as_direct(postgres, pool_of_one, scenario)
    assert errors(frames) == ["22012", "26000"]
    assert rows(frames) == [[b"kept"], [b"again"]]


async def test_what_stood_before_the_error_in_the_batch_holds(postgres: Postgres, pool_of_one: Proxy) -> None:
    async def scenario(wire: Wire) -> list[Frame]:
        await transact(wire, parse("SELECT 'old'", "old"), SYNC)
        failing = parse("SELECT 1/0") + bind() + execute()
        frames = await transact(wire, parse("SELECT 'early'", "early"), close("S", "old"), failing, SYNC)
        frames += await transact(wire, run("early"))
        return frames + await transact(wire, run("old"))

    frames = await same_as_direct(postgres, pool_of_one, scenario)
    assert errors(frames) == ["22012", "26000"]


async def test_a_name_may_be_closed_and_taken_again_in_one_batch(postgres: Postgres, pool_of_one: Proxy) -> None:
    async def scenario(wire: Wire) -> list[Frame]:
        frames = await transact(wire, parse("SELECT 'one'", "s"), SYNC)
        frames += await transact(
            wire, bind("s"), execute(), close("S", "s"), parse("SELECT 'two'", "s"), bind("s"), execute(), SYNC
        )
        frames += await transact(wire, close("S", "s"), parse("SELECT 'one'", "s"), run("s"))
        return frames + await transact(wire, close("S", "s"), bind("s"), execute(), SYNC)

    frames = await same_as_direct(postgres, pool_of_one, scenario)
    assert shape(frames) == "1Z2DC312DCZ312DCZ3EZ"
    assert rows(frames) == [[b"one"], [b"two"], [b"one"]]


@pytest.mark.parametrize("statement", ["DEALLOCATE ALL", "DISCARD ALL"])
@pytest.mark.parametrize("extended", [False, True], ids=["simple", "extended"])
async def test_all_names_are_gone_after(postgres: Postgres, pool_of_one: Proxy, statement: str, extended: bool) -> None:
    async def scenario(wire: Wire) -> list[Frame]:
        await transact(wire, parse("SELECT 1", "s"), SYNC)
        how = parse(statement) + bind() + execute() + SYNC if extended else query(statement)
        frames = await transact(wire, how)
        frames += await transact(wire, run("s"))
        return frames + await transact(wire, parse("SELECT 2", "s"), run("s"))

    frames = await same_as_direct(postgres, pool_of_one, scenario)
    assert errors(frames) == ["26000"]
    assert rows(frames) == [[b"2"]]


async def test_deallocate_all_of_one_client_does_not_end_anothers_names(pool_of_one: Proxy) -> None:
    async with session(pool_of_one) as first, session(pool_of_one) as second:
        await transact(first, parse("SELECT 'first'", "s"), SYNC)
        await second.query("DEALLOCATE ALL")
        assert rows(await transact(first, run("s"))) == [[b"first"]]


# --- transactions -----------------------------------------------------------------------------------------------


async def test_a_failed_transaction_refuses_new_and_known_statements(postgres: Postgres, pool_of_one: Proxy) -> None:
    async def scenario(wire: Wire) -> list[Frame]:
        await transact(wire, parse("SELECT 'known'", "known"), SYNC)
        frames = await wire.query("BEGIN; SELECT 1/0")
        frames += await transact(wire, run("known"))
        frames += await transact(wire, parse("SELECT 'known'", "again"), SYNC)
        frames += await transact(wire, parse("SELECT 'new'", "new"), SYNC)
        frames += await transact(wire, parse("ROLLBACK", "back"), run("back"))
        for name in ("known", "again", "new", "back"):
            frames += await transact(wire, run(name))
        return frames

    frames = await same_as_direct(postgres, pool_of_one, scenario)
    assert errors(frames) == ["22012", "25P02", "25P02", "25P02", "26000", "26000"]


async def test_a_rollback_keeps_what_was_prepared_in_the_transaction(postgres: Postgres, pool_of_one: Proxy) -> None:
    async def scenario(wire: Wire) -> list[Frame]:
        frames = await wire.query("BEGIN")
        frames += await transact(wire, parse("SELECT 7", "s"), SYNC)
        frames += await wire.query("ROLLBACK")
        return frames + await transact(wire, run("s"))

    assert rows(await same_as_direct(postgres, pool_of_one, scenario)) == [[b"7"]]


async def test_statements_and_portals_are_described(postgres: Postgres, pool_of_one: Proxy) -> None:
    async def scenario(wire: Wire) -> list[Frame]:
        await transact(wire, parse("SELECT $1::int AS number, $2::text AS word", "s"), SYNC)
        frames = await transact(wire, describe("S", "s"), bind("s", [b"1", b"x"]), describe("P"), execute(), SYNC)
        frames += await transact(wire, parse("SET work_mem = '4MB'"), describe("S"), bind(), describe("P"), SYNC)
        frames += await transact(wire, bind("s", [b"1", b"x"], "portal"), describe("P", "portal"), SYNC)
        return frames + await transact(wire, describe("P", "none"), SYNC)

    frames = await same_as_direct(postgres, pool_of_one, scenario)
    assert shape(frames) == "tT2TDCZ1tn2nZ2TZEZ"
    assert errors(frames) == ["34000"]


async def test_a_flush_brings_the_answers_before_the_sync(pool_of_one: Proxy) -> None:
    async with session(pool_of_one) as first, session(pool_of_one) as second:
        await transact(second, parse("SELECT 1", "s"), SYNC)
        await first.send(parse("SELECT 1", "s"), describe("S", "s"), FLUSH)
        assert shape(await first.read_until("T")) == "1tT"
        await first.send(run("s"))
        assert shape(await first.read_until("Z")) == "2DCZ"


# --- DEALLOCATE ALL with more behind it -------------------------------------------------------------------------


@pytest.mark.parametrize("statement", ["DEALLOCATE ALL", "DISCARD ALL", "\n deallocate prepare all"])
@pytest.mark.parametrize("extended", [False, True], ids=["simple", "extended"])
async def test_names_taken_right_behind_it_hold(
    postgres: Postgres, pool_of_one: Proxy, statement: str, extended: bool
) -> None:
    """Also those of statements that the server knew until then, from this client or another one."""
    ending = parse(statement) + bind() + execute() + SYNC if extended else query(statement)

    async def scenario(wire: Wire) -> list[Frame]:
        frames = await transact(wire, parse("SELECT 'old'", "old"), SYNC)
        for name, answer in (("new", "new"), ("again", "old"), ("third", "others")):
            taken = parse(f"SELECT '{answer}'", name) + describe("S", name) + bind(name) + execute() + SYNC
            frames += await transact(wire, ending, taken, bind("old"), SYNC, units=3)
            frames += await transact(wire, run(name))
        return frames

    async with session(pool_of_one) as other:
        await transact(other, parse("SELECT 'others'", "s"), SYNC)
        frames = await same_as_direct(postgres, pool_of_one, scenario)
        assert rows(await transact(other, run("s"))) == [[b"others"]]
    assert rows(frames) == [[b"new"], [b"new"], [b"old"], [b"old"], [b"others"], [b"others"]]
    assert errors(frames) == ["26000"] * 3


async def test_it_may_stand_in_the_middle_of_a_batch(postgres: Postgres, pool_of_one: Proxy) -> None:
    async def scenario(wire: Wire) -> list[Frame]:
        await transact(wire, parse("SELECT 'old'", "old"), parse("DEALLOCATE ALL", "ending"), SYNC)
        batch = bind("old") + execute() + bind("ending") + execute() + parse("SELECT 'new'", "old") + bind("old")
        return await transact(wire, batch + execute() + SYNC)

    assert rows(await same_as_direct(postgres, pool_of_one, scenario)) == [[b"old"], [b"new"]]


async def test_one_that_is_not_recognized_harms_nobody_for_long(pool_of_one: Proxy) -> None:
    """Behind a comment it is seen when it has run; what was sent behind it may fail, but nothing is left of that."""
    async with session(pool_of_one) as wire:
        await transact(wire, parse("SELECT 1", "s"), SYNC)
        await transact(wire, query("/* all */ DEALLOCATE ALL"), parse("SELECT 2", "t"), run("t"), units=2)
        frames = await transact(wire, parse("SELECT 2", "u"), run("u"))
        assert rows(frames) == [[b"2"]]
