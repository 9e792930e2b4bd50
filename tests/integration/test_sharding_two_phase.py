"""Transactions that clients prepare for two phases: they are on one shard, and are ended there or not at all."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.integration.conftest import ProxyFactory
from tests.integration.postgres import Postgres
from tests.integration.sharded import create, keys_of
from tests.integration.transcript import errors, messages, session, shape
from tests.integration.wire import SYNC, Wire, bind, execute, parse, rows

DATABASE = "phases"
FIRST, OTHER = keys_of(0, 1)[0], keys_of(1, 1)[0]
S1, S0 = "/* trunkline: shard=s1 */ ", "/* trunkline: shard=s0 */ "
ENDS = pytest.mark.parametrize(("end", "left"), [("COMMIT", "changed"), ("ROLLBACK", "before")])


@pytest.fixture
async def wire(postgres: Postgres, start_proxy: ProxyFactory) -> AsyncIterator[Wire]:
    settings = await create(postgres, DATABASE)
    proxy = await start_proxy({"pool_mode": "transaction", "default_pool_size": 1}, databases={DATABASE: settings})
    async with session(proxy, database=DATABASE) as logged_in:
        for key in (FIRST, OTHER):
            assert shape(await logged_in.query(f"INSERT INTO customers VALUES ({key}, 'before')")) == "CZ"
        yield logged_in
    left = await prepared(postgres)
    for name, database in left:  # a database that has one cannot be dropped
        await postgres.fetch(f"ROLLBACK PREPARED '{name}'", database=database)
    assert left == []


async def prepared(postgres: Postgres) -> list[tuple[str, str]]:
    """Names and databases of what waits for its second phase."""
    return [
        (str(name), str(database))
        for name, database in await postgres.fetch(
            "SELECT gid, database FROM pg_prepared_xacts WHERE database LIKE %s", f"{DATABASE}_s_"
        )
    ]


async def change(wire: Wire, key: int) -> None:
    await wire.query("BEGIN")
    assert shape(await wire.query(f"UPDATE customers SET name = 'changed' WHERE id = {key}")) == "CZ"


async def name_of(wire: Wire, key: int) -> object:
    return rows(await wire.query(f"SELECT name FROM customers WHERE id = {key}"))[0][0]


@ENDS
async def test_it_is_prepared_and_ended_on_the_shard_that_a_comment_says(
    postgres: Postgres, wire: Wire, end: str, left: str
) -> None:
    await change(wire, OTHER)
    frames = await wire.query(f"{S1}PREPARE TRANSACTION 'phase one'")
    assert [item.body for item in frames] == [b"PREPARE TRANSACTION\0", b"I"]
    assert await prepared(postgres) == [("phase one", f"{DATABASE}_s1")]
    assert await name_of(wire, OTHER) == b"before"
    elsewhere = messages(await wire.query(f"{S0}{end} PREPARED 'phase one'"))
    assert elsewhere == ["prepared transaction belongs to another database"]
    assert shape(await wire.query(f"{S1}{end} PREPARED 'phase one'")) == "CZ"
    assert await name_of(wire, OTHER) == left.encode()


@ENDS
async def test_it_is_prepared_and_ended_on_the_shard_that_a_setting_says(
    postgres: Postgres, wire: Wire, end: str, left: str
) -> None:
    await wire.query("SET trunkline.shard = 's1'")
    await change(wire, OTHER)
    await wire.send(parse("PREPARE TRANSACTION 'phase one'") + bind() + execute() + SYNC)
    assert shape(await wire.read_until("Z")) == "12CZ"
    assert await prepared(postgres) == [("phase one", f"{DATABASE}_s1")]
    await wire.send(parse(f"{end} PREPARED 'phase one'") + bind() + execute() + SYNC)
    assert shape(await wire.read_until("Z")) == "12CZ"
    assert await name_of(wire, OTHER) == left.encode()


async def test_the_end_of_one_is_refused_where_nothing_says_its_shard(postgres: Postgres, wire: Wire) -> None:
    await change(wire, OTHER)
    await wire.query(f"{S1}PREPARE TRANSACTION 'phase one'")
    for end in ("COMMIT", "ROLLBACK"):
        said = await wire.query(f"{end} PREPARED 'phase one'")
        assert errors(said) == ["0A000"]
        assert messages(said) == ["A prepared transaction is on one shard, and nothing says on which it is looked for."]
        await wire.send(parse(f"{end} PREPARED 'phase one'") + bind() + execute() + SYNC)
        assert errors(await wire.read_until("Z")) == ["0A000"]
    assert await prepared(postgres) == [("phase one", f"{DATABASE}_s1")]
    await wire.query(f"{S1}ROLLBACK PREPARED 'phase one'")


async def test_one_that_is_to_be_found_later_has_its_shard_said(postgres: Postgres, wire: Wire) -> None:
    await change(wire, OTHER)
    frames = await wire.query("PREPARE TRANSACTION 'phase one'")
    assert (errors(frames), frames[-1].body) == (["0A000"], b"E")
    assert [item.body for item in await wire.query("COMMIT")] == [b"ROLLBACK\0", b"I"]
    await change(wire, OTHER)
    frames = await wire.query(f"{S0}PREPARE TRANSACTION 'phase one'")
    assert (errors(frames), frames[-1].body) == (["0A000"], b"E")
    await wire.query("ROLLBACK")
    assert await prepared(postgres) == []
    assert await name_of(wire, OTHER) == b"before"


async def test_in_a_block_that_has_no_shard_yet_the_word_of_the_client_is_its_shard(
    postgres: Postgres, wire: Wire
) -> None:
    await wire.query("BEGIN")
    assert shape(await wire.query(f"{S1}PREPARE TRANSACTION 'of nothing'")) == "CZ"
    assert await prepared(postgres) == [("of nothing", f"{DATABASE}_s1")]
    assert shape(await wire.query(f"{S1}COMMIT PREPARED 'of nothing'")) == "CZ"


async def test_what_is_not_there_is_said_by_the_shard_that_was_asked(wire: Wire) -> None:
    for end in ("COMMIT", "ROLLBACK"):
        assert errors(await wire.query(f"{S1}{end} PREPARED 'nothing'")) == ["42704"]
        frames = await wire.query(f"BEGIN; {S1}{end} PREPARED 'nothing'")
        assert errors(frames) != []
        await wire.query("ROLLBACK")
