"""Answers over several shards that were wrong once, each as small as it could be made.

All are said to one PostgreSQL and to the same rows on three shards (spread/shop.py), as test_feature_table does.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio

from tests.differential.spread.running import CONFIG
from tests.differential.spread.saying import WAYS, Parameter, Statement
from tests.differential.spread.shop import shop
from tests.differential.spread.world import World
from tests.integration.postgres import Farm, flavours_to_run
from tests.integration.proxy import Proxy
from tests.integration.spread_pair import readable
from tests.integration.wire import SYNC, bind, close, describe, execute, parse, query

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(300)]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def world(farm: Farm) -> AsyncIterator[World]:
    made = World(await farm.get(flavours_to_run(every_postgres=False)[0]), "found", 3, shop())
    await made.create()
    async with Proxy(CONFIG, databases={made.name: made.settings()}) as proxy:
        await made.connect(proxy.port)
        made.log = lambda: proxy.log
        yield made
        await made.close()
    await made.drop()


async def same(world: World, *unit: Statement) -> None:
    wrong = await world.say(unit)
    assert not wrong, wrong


@pytest.mark.parametrize("sql", ["SELECT id FROM orders ORDER BY id", "SELECT id FROM orders WHERE k = 1 OR t = 'a'"])
async def test_the_tag_of_a_portal_that_was_suspended_counts_the_rows_of_its_last_execute(
    world: World, sql: str
) -> None:
    for _ in range(WAYS):
        await same(world, Statement(sql, (), None))


async def test_an_error_is_told_at_a_flush(world: World) -> None:
    for _ in range(WAYS):
        await same(world, Statement("SELECT nothing FROM orders", ()))


@pytest.mark.parametrize(
    "sql", ["SELECT o.id, l.k FROM orders o JOIN leads l ON l.n = o.id", "SELECT c, count(*) FROM per_key GROUP BY c"]
)
@pytest.mark.parametrize("begin", ["", "BEGIN"])
async def test_temporary_tables_of_a_gather_call_for_no_new_catalog(world: World, sql: str, begin: str) -> None:
    """It was read after each, and whoever came next waited for it."""
    unit = [Statement("BEGIN"), Statement(sql), Statement("COMMIT")] if begin else [Statement(sql)]
    for _ in range(3):  # whatever another test's DDL has begun is over then
        await same(world, *unit)
    before = world.log().count("the catalog has been read")
    for _ in range(5):
        await same(world, *unit)
    assert world.log().count("the catalog has been read") == before


# --- conversations in which something is left of one statement when the next is said ---------------------------------

ALL = "SELECT id FROM orders ORDER BY id"
FAILS = "SELECT 1 / (id - 7) FROM orders ORDER BY id"
DESCRIBED = parse("SELECT id, t FROM rates", "about") + describe("S", "about") + close("S", "about") + SYNC


def asked(sql: str, portal: str = "", max_rows: int = 0) -> bytes:
    return parse(sql) + bind(portal=portal) + describe("P", portal) + execute(portal, max_rows)


def simple(*statements: str) -> tuple[bytes, ...]:
    return tuple(map(query, statements))


SOME, REST = asked(ALL, "c", 3) + SYNC, execute("c") + SYNC
MORE = asked("SELECT id FROM items ORDER BY id, k", "d", 3) + SYNC
NULLS = asked("SELECT NULL FROM orders", "c", 3) + SYNC
GATHERED = asked("SELECT o.id FROM orders o JOIN leads l ON l.n = o.n ORDER BY 1", "c", 3) + SYNC
COMMENTED = ("UPDATE orders SET n = 8", "SAVEPOINT a", FAILS, "/* back */ ROLLBACK TO a -- to a", ALL)
CONVERSATIONS = {
    "a savepoint behind an error": simple("SAVEPOINT a", FAILS, "SELECT 1", "ROLLBACK TO a", ALL),
    "a savepoint behind a comment": simple(*COMMENTED),
    "a portal while another text is described": (SOME, DESCRIBED, REST),
    "a portal and a simple query": (SOME, *simple("SELECT count(*) FROM items"), REST),
    "a portal and a savepoint": (SOME, *simple("SAVEPOINT a"), REST),
    "two portals": (SOME, MORE, REST, execute("d") + SYNC),
    "a portal whose transaction ends": (*simple("UPDATE orders SET n = 9"), NULLS),
    "a gathered portal and an error": (GATHERED, *simple(FAILS)),
}


@pytest.mark.parametrize("steps", CONVERSATIONS.values(), ids=CONVERSATIONS)
@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
async def test_what_is_left_of_one_statement_is_not_taken_for_the_next_one(
    world: World, steps: tuple[bytes, ...], end: str
) -> None:
    """A COMMIT went by the rows of a portal for the shards' own answers of whether they had written."""
    ours, wanted = await world.converse(query("BEGIN"), *steps, query(end), query("SELECT sum(n) FROM orders"))
    assert readable(ours, in_order=True) == readable(wanted, in_order=True)
    await world.start_again()


async def test_a_batch_that_has_written_is_committed_whatever_is_left_of_its_portals(world: World) -> None:
    update = asked("UPDATE orders SET n = 9 WHERE k = 1") + asked("UPDATE orders SET n = 9")
    ours, wanted = await world.converse(update + asked(ALL, "c", 1) + SYNC, query("SELECT sum(n) FROM orders"))
    assert readable(ours, in_order=True) == readable(wanted, in_order=True)
    await world.start_again()


@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK", "END WORK", "ABORT TRANSACTION"])
@pytest.mark.parametrize("fails", ["SELECT 1", FAILS])
async def test_and_chain_ends_a_transaction_at_all_shards_and_begins_another(
    world: World, end: str, fails: str
) -> None:
    """It was said to one of them."""
    before = ["BEGIN ISOLATION LEVEL REPEATABLE READ", ALL, "UPDATE orders SET n = 9", fails]
    behind = [f"{end} AND CHAIN", "SHOW transaction_isolation", "SELECT sum(n) FROM orders", "ROLLBACK", ALL]
    ours, wanted = await world.converse(*simple(*before, *behind))
    assert readable(ours, in_order=True) == readable(wanted, in_order=True)
    await world.start_again()


# --- a client whose encoding has another order than the servers' ------------------------------------------------------

CYRILLIC = "UPDATE orders SET t = chr(1072 + id % 16)"
TEXTS = [
    'SELECT t COLLATE "C" AS w, count(*) FROM orders GROUP BY w ORDER BY w',
    'SELECT DISTINCT t COLLATE "C" AS w FROM orders ORDER BY w DESC',
    'SELECT t FROM orders ORDER BY t COLLATE "C", id LIMIT 20 OFFSET 3',
    'SELECT max(t COLLATE "C"), min(t COLLATE "C") FROM orders',
    "SELECT count(o.t), max(l.t) FROM orders o JOIN leads l ON l.n = o.n WHERE o.t <> l.t",
]


@pytest.mark.parametrize("sql", TEXTS)
@pytest.mark.parametrize("ours_says", ["SET LOCAL", "SET"])
async def test_texts_are_compared_in_the_encoding_of_the_servers(world: World, sql: str, ours_says: str) -> None:
    said = simple("BEGIN", CYRILLIC, f"{ours_says} client_encoding = 'KOI8R'", sql, "ROLLBACK")
    if ours_says == "SET":
        said = simple("SET client_encoding = 'KOI8R'", "BEGIN", CYRILLIC, sql, "ROLLBACK")
    ours, wanted = await world.converse(*said)
    assert readable(ours, in_order=True) == readable(wanted, in_order=True)
    await world.start_again()


async def test_copied_data_in_another_encoding_are_not_put_before_shards(world: World) -> None:
    copy = Statement("COPY items (k, id) FROM STDIN", data=b"1\t1\n", is_write=True)
    for said in ("", " (ENCODING 'UTF8')"):
        await world.converse(*simple("SET client_encoding = 'KOI8R'"))
        refused = world.tally.refused.total()
        await same(world, replace(copy, sql=copy.sql + said))
        assert world.tally.refused.total() == refused + (not said)
        await world.start_again()


@pytest.mark.parametrize("locks", ["TRUNCATE orders", "ALTER TABLE leads ADD COLUMN extra int4"])
async def test_a_gather_does_not_wait_for_its_own_transaction(world: World, locks: str) -> None:
    """It waited for ever for the table that the block had locked."""
    gathered = "SELECT o.id FROM orders o JOIN leads l ON l.n = o.n"
    await same(world, Statement("BEGIN"), Statement("SELECT count(*) FROM orders"), Statement(locks))
    refused = world.tally.refused.total()
    await same(world, Statement(gathered), Statement("ROLLBACK"))
    assert world.tally.refused.total() == refused + 1
    elsewhere = "SELECT i.id FROM items i JOIN rates r ON r.n = i.n JOIN items j ON j.n = r.n"
    await same(world, Statement("BEGIN"), Statement("SELECT count(*) FROM orders"), Statement(locks))
    await same(world, Statement(elsewhere), Statement("ROLLBACK"))
    assert world.tally.refused.total() == refused + 1


# --- what each shard would compute for itself -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT count(DISTINCT '(now)'::timestamptz) FROM orders",
        "SELECT count(txid_current_if_assigned()) FROM orders",
        "SELECT id FROM orders ORDER BY id LIMIT 99999999999999999999",
    ],
)
async def test_it_is_computed_once_or_not_at_all(world: World, sql: str) -> None:
    await same(world, Statement(sql), Statement(sql, ()))


async def test_a_parameter_that_says_now_is_read_by_one_server(world: World) -> None:
    refused = world.tally.refused.total()
    now = (Parameter(1184, 0, b"now", "'now'"),)
    for _ in range(WAYS):
        await same(world, Statement("SELECT count(DISTINCT $1) FROM orders", now))
        await same(world, Statement("SELECT count(*) FROM orders WHERE placed < $1", now))
    assert world.tally.refused.total() == refused
    for _ in range(WAYS):
        await same(world, Statement("UPDATE orders SET placed = $1", now, is_write=True))
    assert world.tally.refused.total() == refused + WAYS
