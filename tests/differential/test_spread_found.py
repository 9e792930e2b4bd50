"""Answers over several shards that were wrong once, each as small as it could be made.

All are said to one PostgreSQL and to the same rows on three shards (spread/shop.py), as test_feature_table does.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import pytest
import pytest_asyncio

from tests.differential.spread.saying import WAYS, Parameter, Statement
from tests.differential.spread.shop import shop_behind
from tests.differential.spread.world import World
from tests.integration.postgres import Farm
from tests.integration.spread_pair import readable
from tests.integration.transcript import errors
from tests.integration.waiting import wait_until
from tests.integration.wire import SYNC, Frame, bind, close, describe, execute, parse, query, rows

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(300)]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def world(farm: Farm) -> AsyncIterator[World]:
    async with shop_behind(farm, "found", 3) as made:
        yield made


async def same(world: World, *unit: Statement) -> None:
    wrong = await world.say(unit)
    assert not wrong, wrong


async def done(world: World, *unit: Statement) -> None:
    """The same, and nothing of it is refused."""
    before = world.tally.refused.copy()
    await same(world, *unit)
    assert world.tally.refused == before


@pytest.mark.parametrize("sql", ["SELECT id FROM orders ORDER BY id", "SELECT id FROM orders WHERE k = 1 OR t = 'a'"])
async def test_the_tag_of_a_portal_that_was_suspended_counts_the_rows_of_its_last_execute(
    world: World, sql: str
) -> None:
    for _ in range(WAYS):
        await same(world, Statement(sql, (), None))


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT id FROM orders WHERE id = 3",
        "SELECT id FROM orders WHERE id < 0",
        "SELECT id FROM orders",
        "SELECT id FROM orders ORDER BY id",
        "SELECT id FROM orders WHERE id < 0 ORDER BY id",
        "SELECT count(*) FROM orders",
    ],
)
async def test_the_header_of_a_binary_copy_comes_with_the_first_row(world: World, sql: str) -> None:
    await done(world, Statement(f"COPY ({sql}) TO STDOUT (FORMAT binary)"))


@pytest.mark.parametrize(
    "inserted",
    [
        "INSERT INTO orders (k, id) VALUES (1, 500) RETURNING id, k",
        "INSERT INTO orders (k, id) VALUES (1, 1) ON CONFLICT DO NOTHING RETURNING id, k",
        "INSERT INTO orders (k, id) VALUES (1, 0) ON CONFLICT (k, id) DO UPDATE SET n = 5 RETURNING id, k",
        "INSERT INTO items (k, id) VALUES (NULL, 500) RETURNING id, k",
    ],
)
async def test_children_go_where_their_parent_goes(world: World, inserted: str) -> None:
    for rest in (
        "INSERT INTO items (k, id) SELECT i.k, x FROM i, unnest('{1,2}'::int[]) AS x RETURNING *",
        "UPDATE items SET n = 5 FROM i WHERE i.k = items.k",
        "SELECT * FROM i LEFT JOIN items USING (k)",
    ):
        statement = Statement(f"WITH i AS ({inserted}) {rest}", is_write=True)
        await done(world, Statement("BEGIN"), statement, Statement("ROLLBACK"))
        await done(world, replace(statement, parameters=()))
        await world.refill()


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM items WHERE k = 4; UPDATE items SET k = 1 WHERE k = 2",
        "UPDATE items SET k = 1 WHERE k = 2; UPDATE items SET k = 2 WHERE k = 1; SELECT count(*) FROM items",
        "INSERT INTO rates (k, id) VALUES (1, 100); INSERT INTO notes (k, id) VALUES (5, 100); DELETE FROM items",
        "CREATE INDEX of_n ON items (n); INSERT INTO notes (k, id) VALUES (5, 101); DROP INDEX of_n",
        "DELETE FROM items WHERE k = 4; LOCK rates; LOCK items; SELECT 1/0",
    ],
)
async def test_statements_of_one_query_are_done_one_by_one(world: World, sql: str) -> None:
    await done(world, Statement(sql, is_write=True))
    await world.refill()


@pytest.mark.parametrize(
    "sql",
    [
        "WITH d AS (DELETE FROM items WHERE n = 2 RETURNING id) SELECT count(*) FROM d",
        "WITH d AS (DELETE FROM items WHERE n = 1 RETURNING *) SELECT id FROM d ORDER BY id LIMIT 2",
        "WITH u AS (UPDATE items SET n = 7 RETURNING id, k, n) SELECT u.id, o.n FROM u JOIN orders o USING (k)",
        "WITH u AS (UPDATE items SET n = 9) SELECT count(*), max(n) FROM items",
        "WITH u AS (UPDATE items SET n = 8 RETURNING n) SELECT DISTINCT u.n, (SELECT count(*) FROM rates) FROM u",
        "WITH d AS (DELETE FROM items WHERE id = 7 RETURNING *) SELECT * FROM d UNION ALL SELECT * FROM items",
    ],
)
async def test_what_a_query_in_with_has_written_is_read(world: World, sql: str) -> None:
    for parameters in (None, ()):
        statement = Statement(sql, parameters, is_write=True)
        await done(world, statement)
        await world.refill()
        await done(world, Statement("BEGIN"), statement, Statement("SELECT count(*) FROM items"), Statement("ROLLBACK"))


@pytest.mark.parametrize(
    "rows",
    [
        "(1, 900), (2, NULL), (1, 900)",
        "(2, 900), (1, NULL), (2, 900), (3, 2)",
        "(3, 901), (3, 901), (1, NULL)",
        "(1, 0), (2, NULL)",
    ],
)
async def test_of_rows_that_are_wrong_the_first_one_is_told(world: World, rows: str) -> None:
    for sql in (f"INSERT INTO orders (k, id) VALUES {rows}", f"INSERT INTO orders (k, id) VALUES {rows} RETURNING id"):
        await done(world, Statement(sql, is_write=True))
        await done(world, Statement(sql, (), is_write=True))
        await done(world, Statement("BEGIN"), Statement("SELECT 1"), Statement("COMMIT"))


HELD = "SELECT count(*) FROM pg_locks WHERE relation = 'items'::regclass AND mode = 'ExclusiveLock' AND granted"


async def test_a_table_is_locked_at_every_shard(world: World) -> None:
    lock = Statement("LOCK TABLE items IN EXCLUSIVE MODE")
    await done(world, lock)  # which both refuse: it is for transaction blocks
    await done(world, Statement("BEGIN"), lock, Statement("COMMIT"))
    await done(world, Statement("LOCK items; SELECT count(*) FROM items"))
    wire = await world.another()
    await wire.query("BEGIN")
    await wire.query(lock.sql)
    for database in world.databases:
        assert await world.postgres.fetch(HELD, database=database) == [(1,)]
    await wire.close()


@pytest.mark.parametrize("sql", ["SELECT mood, id FROM orders", "SELECT mood, id FROM orders ORDER BY id"])
async def test_a_cursor_gives_values_of_the_users_types(world: World, sql: str) -> None:
    """Whose types have another number on each shard."""
    for parameters in (None, ()):
        fetched = [Statement("FETCH ALL FROM c", parameters) for _ in range(WAYS)]
        for one in fetched:
            await done(world, Statement("BEGIN"), Statement(f"DECLARE c CURSOR FOR {sql}"), one, Statement("COMMIT"))


@pytest.mark.parametrize("order", ["", " ORDER BY id", " ORDER BY id LIMIT 3"])
async def test_rows_with_values_of_the_users_types_are_locked(world: World, order: str) -> None:
    for parameters in (None, ()):
        await done(world, Statement(f"SELECT mood, id FROM orders{order} FOR UPDATE", parameters))


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


# --- types of users, whose numbers are each shard's own ---------------------------------------------------------------


async def test_a_statement_for_one_shard_within_a_transaction_returns_types_of_users(world: World) -> None:
    """It was described at one shard and run at another, whose number for the enum is not the same."""
    for key in range(1, 7):
        mood = f"INSERT INTO orders (k, id, mood) VALUES ({key}, 90, 'ok'), ({key}, 91, 'sad') RETURNING *"
        write = Statement(mood, (), is_write=True)
        read = Statement(f"SELECT mood, id FROM orders WHERE k = {key} ORDER BY id", (), ())
        for _ in range(WAYS // 3):
            await done(world, Statement("BEGIN"), Statement(ALL), write, read, Statement("ROLLBACK"))
            await done(world, Statement("BEGIN"), Statement(ALL), write.with_literals(), Statement("ROLLBACK"))


@pytest.mark.parametrize(
    "sql",
    ["SELECT mood, id FROM orders WHERE k = $1", "SELECT $1::int8, min(mood) FROM rates, orders WHERE orders.k = $1"],
)
async def test_a_named_statement_that_was_described_at_one_shard_returns_types_of_users_at_another(
    world: World, sql: str
) -> None:
    """Its result was taken for one that DDL had changed."""
    for key in range(1, 11):
        for _ in range(WAYS):
            await done(world, Statement(sql, (Parameter(INT8, 0, b"%d" % key, str(key)),)))


@pytest.mark.parametrize(
    ("changed", "back"), [("ALTER n TYPE int8", "ALTER n TYPE int4"), ("RENAME n TO number", "RENAME number TO n")]
)
async def test_a_result_that_ddl_has_changed_is_refused_at_every_shard(world: World, changed: str, back: str) -> None:
    """Types of PostgreSQL's own, and names, are told apart between two shards as well."""
    told = parse("SELECT * FROM orders WHERE k = $1", "s") + describe("S", "s") + SYNC
    keys = [bind("s", [b"%d" % key]) + execute() + SYNC for key in range(1, 11)]
    ours, wanted = await world.converse(told, query(f"ALTER TABLE orders {changed}"), *keys)
    await world.converse(query(f"ALTER TABLE orders {back}"))
    assert errors(ours) == errors(wanted) == ["0A000"] * len(keys)
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


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT DISTINCT x.n AS q, y.q AS c, x.k FROM orders AS x, (SELECT count(*) AS q FROM rates) AS y"
        " ORDER BY q, 2, 3",
        "SELECT DISTINCT ON (q) x.n AS q, y.q AS c, x.k FROM orders AS x, (SELECT count(*) AS q FROM rates) AS y"
        " ORDER BY q, 2, 3",
        "SELECT x.n AS q, y.q AS c, count(*) FROM orders AS x, (SELECT count(*) AS q FROM rates) AS y GROUP BY x.n, y.q"
        " ORDER BY q, c",
    ],
)
async def test_an_output_by_the_name_of_another_column_is_what_order_by_means(world: World, sql: str) -> None:
    """It was ambiguous: what the shards were asked for besides had the same name."""
    await done(world, Statement(sql))


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


# --- writes that need rows of other shards ----------------------------------------------------------------------------

INT8, INT4, TEXT, INT4S, INT8S = 20, 23, 25, 1007, 1016


def said(sql: str, *values: tuple[int, str]) -> list[Statement]:
    """A write with literals, and with parameters."""
    parameters = tuple(Parameter(oid, 0, value.encode(), f"'{value}'") for oid, value in values)
    statement = Statement(sql, parameters, is_write=True)
    return [statement.with_literals(), statement]


WRITES = [
    *said("DELETE FROM orders o USING leads l WHERE l.id = o.id AND l.n = 1 RETURNING o.*, l.t"),
    *said("UPDATE orders SET n = l.n, t = $1 FROM leads l WHERE l.id = orders.id RETURNING orders.id, l.*",
          (TEXT, "x")),
    *said("UPDATE items i SET n = (SELECT count(*) FROM leads l WHERE l.n < i.n) WHERE id > 3"),
    *said("DELETE FROM orders WHERE (k, id) IN (SELECT k, id FROM orders ORDER BY id DESC, k LIMIT 3) RETURNING id"),
    *said("UPDATE orders o SET mood = (SELECT p.mood FROM orders p WHERE p.id = o.id + 1) WHERE o.price > 1"),
    *said("WITH w AS (SELECT id FROM notes WHERE n > $1::int8) DELETE FROM items USING w WHERE w.id = items.id",
          (INT8, "1")),
    *said("UPDATE notes SET t = o.t FROM orders o JOIN leads l ON l.id = o.id WHERE o.id = notes.id RETURNING *"),
    *said("DELETE FROM rates r WHERE EXISTS (SELECT FROM leads l WHERE l.id = r.id AND l.n > 0) RETURNING r.id"),
    *said("UPDATE rates SET t = (SELECT max(t) FROM orders) WHERE id IN (SELECT id FROM notes)"),
    *said("MERGE INTO orders o USING leads l ON l.id = o.id WHEN MATCHED AND l.n = 1 THEN DELETE"
          " WHEN MATCHED THEN UPDATE SET n = l.n"),
    *said("UPDATE items SET weight = weight / (SELECT min(n) FROM leads)"),
    # what a source has and its table has not
    *said("MERGE INTO orders AS x USING rates AS s ON x.k = s.k AND x.id = s.id WHEN MATCHED AND s.n = $1::int4"
          " THEN DELETE WHEN MATCHED THEN UPDATE SET n = s.n"
          " WHEN NOT MATCHED THEN INSERT (k, id, n, t) VALUES (s.k, s.id, s.n, s.t)", (INT4, "1")),
    *said("MERGE INTO orders USING notes ON notes.id = orders.id AND notes.k = orders.k WHEN MATCHED THEN UPDATE"
          " SET t = $1 WHEN NOT MATCHED AND notes.n > 0 THEN INSERT VALUES (notes.k, notes.id) RETURNING orders.*",
          (TEXT, "x")),
    *said("MERGE INTO leads x USING public.orders s ON x.k = s.t AND x.id = s.id"
          " WHEN NOT MATCHED AND s.t IS NOT NULL THEN INSERT (k, id, n) VALUES (s.t, s.id, s.n)"),
    *said("MERGE INTO items x USING (VALUES (1, $1, 77), (2, 'b', 2), (99, '', 79), (NULL, 'd', 80)) s(k, t, id)"
          " ON x.k = s.k AND x.id = s.id WHEN NOT MATCHED THEN INSERT (k, id, t) VALUES (s.k, s.id, s.t)"
          " WHEN MATCHED THEN DELETE RETURNING merge_action(), x.id, s.t", (TEXT, "x")),
    *said("MERGE INTO leads x USING (VALUES ('', 100), ('B', 1), ('zz', 101)) s(k, id) ON s.k = x.k AND x.id = s.id"
          " WHEN MATCHED THEN UPDATE SET n = 7 WHEN NOT MATCHED THEN INSERT (k, id) VALUES (s.k, s.id)"),
    *said("MERGE INTO orders x USING (SELECT g AS k, date_trunc('century', now()) AS at"
          " FROM generate_series(1, 20) g) s ON s.k = x.k AND x.id = s.k"
          " WHEN NOT MATCHED THEN INSERT (k, id, placed) VALUES (s.k, s.k, s.at)"
          " WHEN MATCHED THEN UPDATE SET t = 'met'"),
    *said("WITH w AS (SELECT l.id + $1::int4 AS k, max(l.n) AS n FROM leads l GROUP BY l.id) MERGE INTO orders USING w"
          " ON orders.k = w.k AND orders.id = w.k WHEN MATCHED THEN DO NOTHING"
          " WHEN NOT MATCHED THEN INSERT (k, id, n) VALUES (w.k, w.k, w.n)", (INT4, "1")),
    *said("MERGE INTO orders x USING (SELECT k + 1 AS k, id, mood FROM orders) s ON s.k = x.k AND s.id = x.id"
          " WHEN NOT MATCHED BY TARGET AND s.id < 10 THEN INSERT (k, id, mood) VALUES (s.k, s.id + 1000, s.mood)"
          " WHEN NOT MATCHED BY SOURCE AND x.id > 15 THEN DELETE"),
    *said("MERGE INTO orders x USING leads s ON x.k = 5 AND x.id = s.id WHEN MATCHED THEN DELETE"
          " WHEN NOT MATCHED THEN INSERT (k, id) VALUES (5, s.id)"),
    *said("MERGE INTO rates x USING orders s ON x.k = s.k AND x.id = s.id WHEN MATCHED THEN DELETE"
          " WHEN NOT MATCHED THEN INSERT (k, id, n, t) VALUES (s.k, s.id, s.n, s.t)"),
    *said("MERGE INTO notes x USING orders s ON x.id = s.id WHEN MATCHED THEN DELETE"
          " WHEN NOT MATCHED THEN INSERT (k, id, n, t) VALUES (s.k, s.id, s.n, s.t)"),
    *said("MERGE INTO orders x USING notes s ON x.k = s.k AND x.id = s.id"
          " WHEN NOT MATCHED THEN INSERT (k, id, n) VALUES (s.k, s.id, 1 / (s.n - s.n))"
          " WHEN MATCHED THEN UPDATE SET n = 1 / 0"),
    # keys that are changed
    *said("UPDATE items SET k = $1 WHERE id < 20 RETURNING k, id, weight", (INT8, "5")),
    *said("UPDATE items SET k = k + 1, t = 'moved' WHERE k IS NOT NULL RETURNING *"),
    *said("UPDATE items SET k = NULL WHERE id = 7"),
    *said("UPDATE items SET k = (n || '0')::int8"),
    *said("UPDATE orders o SET k = $2, n = 7 WHERE k = $1 RETURNING *", (INT8, "2"), (INT8, "12")),
    *said("UPDATE orders SET k = 1"),
    *said("UPDATE orders SET k = 4 WHERE id IN (4, 14, 24)"),
    *said("UPDATE orders SET k = 'x' WHERE id = 1"),
    *said("UPDATE leads SET k = 'A' WHERE t = 'a' RETURNING k"),
    # rows that are selected
    *said("INSERT INTO items SELECT k + 1, id, n, t, 0.5 FROM orders RETURNING *"),
    *said("INSERT INTO leads (k, id, t) SELECT t, id + 100, t FROM orders WHERE t <> '' ON CONFLICT DO NOTHING"),
    *said("INSERT INTO orders (k, id) SELECT unnest($1::int8[]), unnest($2::int4[]) RETURNING k, id, mood",
          (INT8S, "{3,1,2,1}"), (INT4S, "{90,91,92,93}")),
    *said("INSERT INTO orders (k, id) SELECT * FROM unnest($1::int8[], $2::int4[]) ON CONFLICT (k, id)"
          " DO UPDATE SET n = excluded.id RETURNING id", (INT8S, "{3,1,2}"), (INT4S, "{90,1,92}")),
    *said("INSERT INTO orders (k, id, mood, placed) SELECT p0::int8, p1::int4, 'ok', NULL FROM"
          " (VALUES ($1, $2, 0), ($3, $4, 1)) AS v (p0, p1, o) ORDER BY o DESC RETURNING id, mood",
          (TEXT, "1"), (TEXT, "95"), (TEXT, "2"), (TEXT, "96")),
    *said("INSERT INTO orders SELECT o.k + 1, o.id + 100, o.n, o.t, o.price, o.placed, o.mood FROM orders o"),
    *said("INSERT INTO orders (k, id) SELECT n, id FROM orders"),
    *said("INSERT INTO items (k, weight) SELECT max(k), avg(price) FROM orders GROUP BY n HAVING count(*) > 2"),
    *said("INSERT INTO notes SELECT k, id + 100, n, t FROM orders WHERE n = $1 RETURNING k", (INT8, "2")),
    *said("INSERT INTO rates SELECT 7, id + 100, n, t FROM leads WHERE n > 1 ON CONFLICT DO NOTHING RETURNING id"),
    *said("INSERT INTO orders (k, id) SELECT random() * 0 + 5, 200 RETURNING k"),
    # rows whose keys are computed
    *said("INSERT INTO orders (k, id, t) VALUES (1 + 1, 200, 'a'), (3, 201, DEFAULT), (abs(-7), 202, $1),"
          " (length('abcd'), 203, 'd') RETURNING k, id, t", (TEXT, "x")),
    *said("INSERT INTO leads (k, id) VALUES (lower($1) || 'd', 200), ('x', 201) ON CONFLICT DO NOTHING RETURNING k",
          (TEXT, "ABC")),
    *said("INSERT INTO orders (k, id) VALUES (10.0 / $1::int8, 200)", (INT8, "4")),
    *said("INSERT INTO orders (k, id) VALUES (5, 200), (1 / 0, 200)"),
    *said("INSERT INTO items (k, id) VALUES (NULLIF(1, 1), 200), (1 + NULL, 201)"),
    *said("INSERT INTO orders (k, id) VALUES ((SELECT max(k) FROM orders) + 1, 200), (random() * 0 + 7, 201)"),
]  # fmt: skip


@pytest.mark.parametrize("statement", WRITES, ids=str)
async def test_rows_of_other_shards_are_there_where_a_write_needs_them(world: World, statement: Statement) -> None:
    count = [Statement(f"SELECT count(*), sum(n) FROM {name}") for name in ("orders", "items", "leads")]
    before = Statement(
        "INSERT INTO leads (k, id, n) VALUES ('block', 23, 1), ('b', 25, 4), ('c', 27, 2)", is_write=True
    )
    await done(world, Statement("BEGIN"), before, statement, *count, Statement("ROLLBACK"))
    await done(world, statement, *count)
    await world.refill()


INSERT = "WHEN NOT MATCHED THEN INSERT (k, id) VALUES"
UNMATCHED = {
    "the key is not compared": f"USING leads s ON x.id = s.id {INSERT} (s.n, s.id)",
    "another key is inserted": f"USING leads s ON x.k = s.n AND x.id = s.id {INSERT} (s.id, s.id)",
    "a computed key is inserted": f"USING leads s ON x.k = s.n AND x.id = s.id {INSERT} (s.n + 1, s.id)",
    "it is compared in a part of ON": f"USING leads s ON x.k = s.n OR x.id = s.id {INSERT} (s.n, s.id)",
    "its source picks rows": f"USING (SELECT n FROM leads LIMIT 3) s ON x.k = s.n AND x.id = 7 {INSERT} (s.n, 7)",
    "its source is a join": f"USING leads s JOIN notes n ON n.id = s.id ON x.k = s.n {INSERT} (s.n, 7)",
}


@pytest.mark.parametrize("said", UNMATCHED.values(), ids=UNMATCHED)
async def test_a_row_that_another_shard_may_match_is_not_inserted(world: World, said: str) -> None:
    before = world.tally.refused.total()
    await same(world, Statement(f"MERGE INTO orders x {said}", is_write=True))
    assert world.tally.refused.total() == before + 1


async def waits(world: World, sql: str) -> None:
    """Until a server waits for a lock in such a statement."""
    asked = "SELECT count(*)::int4 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE %s"

    async def there() -> bool:
        ((count,),) = await world.postgres.fetch(asked, sql + "%")
        return bool(count)

    await wait_until(there)


def tags(reply: Sequence[Frame]) -> list[bytes]:
    return [one.body.rstrip(b"\0") for one in reply if one.type == "C"]


async def test_who_waits_for_a_row_that_is_moved_finds_it_at_its_new_shard(world: World) -> None:
    """Once it has read where the row was, nobody would look for it where it is."""
    await world.refill()
    one, other = await world.another(), await world.another()
    try:
        for key in range(8):
            await one.query("BEGIN")
            assert tags(await one.query(f"UPDATE items SET k = {key} WHERE id = 2")) == [b"UPDATE 2"]
            await other.send_query(f"UPDATE items SET n = {70 + key} WHERE id = 2")
            await waits(world, "UPDATE items SET n")
            await one.query("COMMIT")
            assert tags(await other.read_until("Z")) == [b"UPDATE 2"]
        found = rows(await one.query("SELECT k, n FROM items WHERE id = 2"))
        assert found == [[b"7", b"77"]] * 2
    finally:
        await one.close()
        await other.close()
        await world.refill()


@pytest.mark.parametrize("block", [False, True])
async def test_rows_that_change_between_their_reading_and_the_write_are_read_again(world: World, block: bool) -> None:
    """In a block the client hears of it."""
    await world.refill()
    client = await world.another()
    there = world.databases[1]
    sql = "UPDATE orders SET n = (SELECT count(*) FROM leads l WHERE l.n = 3) + 0 * (SELECT count(*) FROM rates)"
    await client.query(sql)  # which is described now
    ((before,),) = await world.postgres.fetch("SELECT count(*) FROM leads WHERE n = 3", database=there)
    connection = await world.postgres.connect(there)
    try:
        async with connection:
            await connection.execute("BEGIN")
            await connection.execute("LOCK TABLE rates IN ACCESS EXCLUSIVE MODE")
            if block:
                await client.query("BEGIN")
            await client.send_query(sql)
            await waits(world, "UPDATE orders SET n")
            await world.postgres.fetch("INSERT INTO leads VALUES ('a', 77, 3, 'new')", database=there)
            await connection.execute("ROLLBACK")
        reply = await client.read_until("Z")
        assert errors(reply) == (["40001"] if block else [])
        await client.query("ROLLBACK")
        ((count,),) = rows(await client.query("SELECT count(*) FROM leads WHERE n = 3"))
        values = rows(await client.query("SELECT DISTINCT n FROM orders"))
        assert values == [[b"%d" % (int(count or 0) - block)]]
        assert before < int(count or 0)
    finally:
        await client.close()
        await world.refill()
