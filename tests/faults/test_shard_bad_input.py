"""Bad input to a database with shards: what is long, deep or damaged harms nobody else, and hears the right words."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator

import pytest

from tests.faults.sharded import FIRST, OTHER, one_row_each
from tests.integration.conftest import ProxyFactory
from tests.integration.postgres import Postgres
from tests.integration.proxy import Proxy
from tests.integration.transcript import errors, messages, session, shape
from tests.integration.waiting import wait_until
from tests.integration.wire import SYNC, Frame, Wire, bind, execute, parse, query, rows

DATABASE = "shop"
MEGABYTES_10 = 10_000_000
SLOW_TO_PLAN = f"SELECT name FROM customers WHERE id = {OTHER} AND id IN ({OTHER}" + f", {OTHER}" * 60_000 + ")"


@pytest.fixture
async def proxy(postgres: Postgres, start_proxy: ProxyFactory) -> AsyncIterator[Proxy]:
    async with one_row_each(postgres, start_proxy, DATABASE) as started:
        yield started


@pytest.fixture
async def wire(proxy: Proxy) -> AsyncIterator[Wire]:
    async with session(proxy, database=DATABASE) as logged_in:
        yield logged_in
        for key in (FIRST, OTHER):
            assert rows(await logged_in.query(name_of(key))) == [[b"%d" % key]]


def name_of(key: int) -> str:
    return f"SELECT name FROM customers WHERE id = {key}"


# --- deep -------------------------------------------------------------------------------------------------------------

DEEP = {
    "parentheses": "SELECT " + "(" * 100_000 + "1" + ")" * 100_000,
    "parentheses that stay open": "SELECT " + "(" * 100_000,
    "parentheses around a key": f"{name_of(OTHER)} AND " + "(" * 100_000 + "true" + ")" * 100_000,
    "additions": "SELECT 1" + " + 1" * 100_000,
    "negations": "SELECT " + "NOT " * 100_000 + "true",
    "casts": "SELECT 1" + "::int" * 20_000,
    "subqueries": "SELECT " + "(SELECT " * 5_000 + "1" + ")" * 5_000,
    "unions": "SELECT 1" + " UNION SELECT 1" * 20_000,
    "joins": "SELECT 1 FROM customers c" + " JOIN customers USING (id)" * 5_000,
    "arrays": "SELECT " + "ARRAY[" * 20_000 + "1" + "]" * 20_000,
}
TOO_COMPLEX = {"54001", "42601", "53200"}  # "memory exhausted" is PostgreSQL's syntax error for too many parentheses


@pytest.mark.parametrize("name", DEEP)
async def test_what_is_nested_deeply_is_refused_and_nothing_crashes(wire: Wire, name: str) -> None:
    assert set(errors(await wire.query(DEEP[name]))) <= TOO_COMPLEX
    await wire.send(parse(DEEP[name]) + bind() + execute() + SYNC)
    assert set(errors(await wire.read_until("Z"))) <= TOO_COMPLEX
    await wire.query("BEGIN")
    await wire.query(name_of(OTHER))
    frames = await wire.query(DEEP[name])
    assert set(errors(frames)) <= TOO_COMPLEX
    assert frames[-1].body == (b"E" if errors(frames) else b"T")
    await wire.query("ROLLBACK")


async def test_parentheses_without_end_hear_what_postgresql_says_of_them(wire: Wire, postgres: Postgres) -> None:
    async with session(postgres) as direct:
        for sql in (DEEP["parentheses"], DEEP["parentheses around a key"]):
            said = await direct.query(sql)
            assert errors(said) != []
            assert messages(await wire.query(sql)) == messages(said)


# --- long -------------------------------------------------------------------------------------------------------------


async def test_others_are_served_while_a_long_statement_is_planned(proxy: Proxy, wire: Wire) -> None:
    """Whoever asks after the long statement has its answer before; were it planned on the loop, it could not."""
    async with session(proxy, database=DATABASE) as other:
        await wire.send_query(SLOW_TO_PLAN)
        await wait_until(lambda: threads(proxy.pid) > 1, what="a thread plans")
        served = 0
        while threads(proxy.pid) > 1:
            assert rows(await other.query(name_of(FIRST))) == [[b"%d" % FIRST]]
            served += 1
        assert served > 1
        assert rows(await wire.read_until("Z")) == [[b"%d" % OTHER]]


async def test_ten_megabytes_go_where_their_key_says_and_others_are_served_meanwhile(
    proxy: Proxy, wire: Wire, postgres: Postgres
) -> None:
    """A literal, a comment, a parameter and a prepared text of that size."""
    filler = "x" * MEGABYTES_10
    name = f"UPDATE customers SET name = '{filler}' WHERE id = {OTHER}"
    by_parameter = parse("UPDATE customers SET name = $1 WHERE id = $2") + bind("", [filler.encode(), b"%d" % OTHER])
    async with session(proxy, database=DATABASE) as other:
        for asked, said in (
            (query(name), "CZ"),
            (query(f"{name_of(OTHER)} /* {filler} */"), "TDCZ"),
            (by_parameter + execute() + SYNC, "12CZ"),
            (parse(name) + bind() + execute() + SYNC, "12CZ"),
        ):
            answer = asyncio.ensure_future(ask(wire, asked))
            served = 0
            while not answer.done() or not served:
                assert rows(await other.query(name_of(FIRST))) == [[b"%d" % FIRST]]
                served += 1
            assert shape(await answer) == said
    [(size,)] = await postgres.fetch("SELECT length(name) FROM customers", database=f"{DATABASE}_s1")
    assert size == MEGABYTES_10
    await wire.query(f"UPDATE customers SET name = '{OTHER}' WHERE id = {OTHER}")


async def ask(wire: Wire, asked: bytes) -> list[Frame]:
    await wire.send(asked)
    return await wire.read_until("Z")


# --- shards that there are not ----------------------------------------------------------------------------------------

NO_SHARD = (
    "/* trunkline: shard=s9 */ SELECT 1",
    f"/* trunkline: shard=s9 */ {name_of(OTHER)}",
    "SELECT 1 /* trunkline: shard='' */",
    "SET trunkline.shard = 's9'",
    "SET SESSION trunkline.shard TO s9",
    "SET LOCAL trunkline.shard = 'S1'",
)


async def test_a_shard_that_there_is_not_is_an_error_in_any_form(wire: Wire) -> None:
    for sql in NO_SHARD:
        for begin in (None, "BEGIN", f"BEGIN; {name_of(OTHER)}"):
            if begin is not None:
                await wire.query(begin)
            for asked in (query(sql), parse(sql) + bind() + execute() + SYNC):
                await wire.query("SAVEPOINT before" if begin is not None else "SELECT 1")
                frames = await ask(wire, asked)
                assert (errors(frames), frames[-1].body) == (["42704"], b"E" if begin is not None else b"I"), sql
                if begin is not None:
                    await wire.query("ROLLBACK TO before")
            await wire.query("ROLLBACK")


async def test_a_startup_option_with_no_shard_is_told_at_each_statement_until_it_is_set_right(proxy: Proxy) -> None:
    async with session(proxy, database=DATABASE, options="-c trunkline.shard=s9") as wire:
        for sql in ("SELECT 1", name_of(OTHER), "SELECT name FROM customers"):
            assert errors(await wire.query(sql)) == ["42704"]
            assert errors(await ask(wire, parse(sql) + bind() + execute() + SYNC)) == ["42704"]
        await wire.query("SET trunkline.shard = 's1'")
        assert rows(await wire.query("SELECT name FROM customers")) == [[b"%d" % OTHER]]


def threads(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/task"))
