"""COPY in a database with shards: of one shard, of reference and home tables. Each answer is PostgreSQL's own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import NamedTuple

import pytest

from tests.integration.conftest import ProxyFactory
from tests.integration.postgres import Postgres
from tests.integration.proxy import Proxy
from tests.integration.sharded import create, create_database, keys_of
from tests.integration.transcript import errors, session
from tests.integration.waiting import wait_until
from tests.integration.wire import SYNC, Frame, Wire, bind, error_fields, execute, frame, parse, query, rows

DATABASE, WHOLE = "copied", "copied_whole"
ON_FIRST, ON_OTHER = keys_of(0, 4), keys_of(1, 4)
S1 = "/* trunkline: shard=s1 */ "
COPY_IN, DONE = "COPY customers FROM STDIN", frame("c")


class Pair(NamedTuple):
    """A client of the database with shards, and one of a database that stands for one of them."""

    proxy: Proxy
    sharded: Wire
    whole: Wire

    async def both(self, asked: str, *data: bytes, hint: str = "") -> list[Frame]:
        """The answers to a COPY and its data, in which both have to agree; the hint is for the shards."""
        seen, wanted = [
            await answers(wire, query(sql), *data) for wire, sql in ((self.sharded, hint + asked), (self.whole, asked))
        ]
        assert [readable(item) for item in seen] == [readable(item) for item in wanted]
        return seen


@pytest.fixture
async def pair(postgres: Postgres, start_proxy: ProxyFactory) -> AsyncIterator[Pair]:
    settings = await create(postgres, DATABASE)
    await create_database(postgres, WHOLE)
    config = {"pool_mode": "transaction", "default_pool_size": 1}
    proxy: Proxy = await start_proxy(config, databases={DATABASE: settings})
    async with session(proxy, database=DATABASE) as sharded, session(postgres, database=WHOLE) as whole:
        yield Pair(proxy, sharded, whole)


async def answers(wire: Wire, *messages: bytes) -> list[Frame]:
    await wire.send(*messages)
    return [item for item in await wire.read_until("Z") if item.type != "S"]


def readable(item: Frame) -> object:
    if item.type not in "EN":
        return item.type if item.type == "T" else item  # a RowDescription has the table's oid
    return {name: value for name, value in error_fields(item).items() if name in "SCMDHW"}


def lines(keys: list[int]) -> bytes:
    return frame("d", b"".join(b"%d\tcustomer %d\n" % (key, key) for key in keys))


async def ids_on(postgres: Postgres, shard: str) -> list[int]:
    found = await postgres.fetch("SELECT id FROM customers ORDER BY id", database=f"{DATABASE}_{shard}")
    return [key for (key,) in found]


# --- in ---------------------------------------------------------------------------------------------------------------


async def test_rows_are_copied_to_the_shard_that_a_comment_says(pair: Pair, postgres: Postgres) -> None:
    said = await pair.both(COPY_IN, lines(ON_OTHER), DONE, hint=S1)
    assert "".join(item.type for item in said) == "GCZ"
    assert (await ids_on(postgres, "s0"), await ids_on(postgres, "s1")) == ([], ON_OTHER)
    for key in ON_OTHER:
        assert rows(await pair.both(f"SELECT name FROM customers WHERE id = {key}")) == [[b"customer %d" % key]]


async def test_rows_are_copied_to_the_shard_that_a_setting_says(pair: Pair, postgres: Postgres) -> None:
    for shard, keys in (("s1", ON_OTHER), ("s0", ON_FIRST)):
        await pair.sharded.query(f"SET trunkline.shard = '{shard}'")
        await pair.both(COPY_IN, lines(keys[:2]), lines(keys[2:]), DONE)
        assert await ids_on(postgres, shard) == keys
        await pair.both("COPY customers (name, id) FROM STDIN WITH (FORMAT csv, HEADER)", frame("d", b"n,i\n"), DONE)
    assert (await ids_on(postgres, "s0"), await ids_on(postgres, "s1")) == (ON_FIRST, ON_OTHER)


async def test_a_copy_over_the_extended_protocol_is_like_any(pair: Pair, postgres: Postgres) -> None:
    said = [
        await answers(wire, parse(hint + COPY_IN) + bind() + execute(), lines(ON_OTHER), DONE, SYNC)
        for wire, hint in ((pair.sharded, S1), (pair.whole, ""))
    ]
    assert said[0] == said[1]
    assert await ids_on(postgres, "s1") == ON_OTHER


async def test_a_copy_without_a_shard_is_refused_and_its_data_dropped(pair: Pair, postgres: Postgres) -> None:
    for asked in ("COPY customers (name) FROM STDIN", "COPY countries FROM STDIN (FREEZE)"):
        await pair.sharded.send(query(asked), lines(ON_OTHER), DONE)
        assert errors(await pair.sharded.read_until("Z")) == ["0A000"]
        assert rows(await pair.sharded.query("SELECT 1")) == [[b"1"]]
    assert (await ids_on(postgres, "s0"), await ids_on(postgres, "s1")) == ([], [])


async def test_home_tables_are_copied_at_home(pair: Pair, postgres: Postgres) -> None:
    await pair.both("COPY notes FROM STDIN", frame("d", b"1\tone\n2\t\\N\n"), DONE)
    await pair.both("COPY notes TO STDOUT")
    assert await postgres.fetch("SELECT id FROM notes", database=f"{DATABASE}_s0") == [(1,), (2,)]
    assert await postgres.fetch("SELECT id FROM notes", database=f"{DATABASE}_s1") == []


@pytest.mark.parametrize("in_block", [False, True])
async def test_a_copy_that_fails_in_the_middle_leaves_nothing(pair: Pair, postgres: Postgres, in_block: bool) -> None:
    for data in (
        (lines(ON_OTHER[:1]), frame("d", b"no number\tx\n"), lines(ON_OTHER[1:]), DONE),
        (lines(ON_OTHER), frame("d", b"7\n"), DONE),
        (lines(ON_OTHER[:1] * 2), DONE),
        (lines(ON_OTHER), frame("f", b"the client has changed its mind\0")),
    ):
        if in_block:
            await pair.both("BEGIN")
        said = await pair.both(COPY_IN, *data, hint=S1)
        assert (len(errors(said)), said[-1].body) == (1, b"E" if in_block else b"I")
        if in_block:
            await pair.both("COMMIT")
    assert await ids_on(postgres, "s1") == []
    await pair.both(COPY_IN, lines(ON_OTHER), DONE, hint=S1)
    assert await ids_on(postgres, "s1") == ON_OTHER


async def test_a_client_that_goes_away_in_a_copy_leaves_nothing(pair: Pair, postgres: Postgres) -> None:
    for asked in (S1 + COPY_IN, f"BEGIN; {COPY_IN}"):
        async with session(pair.proxy, database=DATABASE, options="-c trunkline.shard=s1") as wire:
            await wire.send(query(asked), lines(ON_OTHER))
            await wire.read_until("G")
            wire.abort()
        await wait_until(lambda: nothing_runs(postgres), what="the shard has no transaction")
        assert await ids_on(postgres, "s1") == []
        await pair.both(f"SELECT name FROM customers WHERE id = {ON_OTHER[0]}")


async def nothing_runs(postgres: Postgres) -> bool:
    sql = "SELECT 1 FROM pg_stat_activity WHERE datname LIKE %s AND pid <> pg_backend_pid() AND state <> 'idle'"
    return await postgres.fetch(sql, f"{DATABASE}_s_") == []


# --- out --------------------------------------------------------------------------------------------------------------


async def test_rows_are_copied_from_where_they_are(pair: Pair) -> None:
    await pair.both(COPY_IN, lines(ON_OTHER), DONE, hint=S1)
    await pair.both("COPY customers TO STDOUT", hint=S1)
    await pair.both("COPY customers (name) TO STDOUT WITH (FORMAT binary)", hint=S1)
    await pair.both("COPY countries TO STDOUT WITH (FORMAT csv, HEADER)")
    await pair.both(f"COPY (SELECT * FROM customers WHERE id = {ON_OTHER[0]}) TO STDOUT")
    await pair.both("COPY (SELECT * FROM customers ORDER BY id) TO STDOUT", hint=S1)
    await pair.both(f"COPY (SELECT 1 / (id - {ON_OTHER[2]}) FROM customers ORDER BY id) TO STDOUT", hint=S1)
    await pair.both("COPY (SELECT * FROM customers ORDER BY id) TO STDOUT")


async def test_a_copy_in_a_transaction_is_on_its_own_shard(pair: Pair) -> None:
    await pair.both(COPY_IN, lines(ON_OTHER), DONE, hint=S1)
    for asked, hint in (
        ("BEGIN", ""),
        (f"SELECT name FROM customers WHERE id = {ON_OTHER[0]}", ""),
        ("COPY customers TO STDOUT", S1),
        ("COPY countries TO STDOUT", ""),
    ):
        await pair.both(asked, hint=hint)
    await pair.both("COPY notes FROM STDIN", frame("d", b"1\tat home\n"), DONE)
    await pair.both("COPY notes TO STDOUT")
    await pair.both("SAVEPOINT before")
    await pair.both("COPY notes FROM STDIN", frame("d", b"no number\n"), DONE)
    await pair.both("COPY notes TO STDOUT")
    await pair.both("ROLLBACK TO before")
    await pair.both("COPY customers TO STDOUT", hint=S1)
    await pair.both("COMMIT")
