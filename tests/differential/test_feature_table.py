"""What a sharded database is asked for, one line each: what others answer wrongly, and the table of features.

Every statement is said to one PostgreSQL and to the same rows on three shards. ``RIGHT``, which most are, has to be
answered alike, ``REFUSED`` with 0A000, and ``EITHER`` in one of these ways; never is anything else allowed.
Rows named P and S are shapes that other proxies answer wrongly without a word; numbers are those of the features that
a sharding proxy is asked for.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import psycopg
import pytest
import pytest_asyncio
from psycopg.conninfo import make_conninfo

from tests.differential.spread.saying import Statement
from tests.differential.spread.shop import shop_behind
from tests.differential.spread.world import World
from tests.integration.postgres import PASSWORD, Farm
from tests.integration.proxy import HOST, USER

SHARDS = 3
pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(300)]

RIGHT, REFUSED, EITHER = "right", "refused", "either"
SORTED: tuple[int, ...] = ()


@dataclass(frozen=True)
class Case:
    """``order`` is that of the last statement's rows, as a Statement's."""

    row: str
    sql: tuple[str, ...]
    order: tuple[int, ...] | None = None
    expected: str = RIGHT
    data: bytes | None = None

    def __str__(self) -> str:
        return f"{self.row}: {self.sql[-1] if len(self.sql) == 1 else self.sql[1]}"[:110]


def case(
    row: str, *sql: str, order: tuple[int, ...] | None = None, expected: str = RIGHT, data: bytes | None = None
) -> Case:
    return Case(row, sql, order, expected, data)


# Keys 3, 2 and 1 are on the three shards.
READS = (
    # --- what other proxies answer wrongly
    case("P1", "SELECT k, id FROM orders WHERE k = 1 UNION SELECT k, id FROM orders WHERE k = 2"),
    case("P1", "SELECT k, id FROM orders WHERE k = 1 EXCEPT SELECT k, id FROM orders WHERE k = 2"),
    case(
        "P1",
        "WITH x AS (SELECT * FROM orders WHERE k = 1), y AS (SELECT * FROM orders WHERE k = 3) "
        "SELECT x.id, y.id FROM x CROSS JOIN y",
    ),
    case("P1", "SELECT a.id, b.id FROM orders a, items b WHERE a.k = 1 AND b.k = 2"),
    case("P2", "SELECT id, k = 1 AS mine FROM orders"),
    case("P2", "SELECT CASE WHEN k = 1 THEN 'one' ELSE t END FROM orders"),
    case("P2", "SELECT o.id, i.id FROM orders o LEFT JOIN items i ON i.k = o.k AND i.k = 1"),
    case("P3", "SELECT n, count(*) FROM orders WHERE k IN (1, 3) GROUP BY n"),
    case("P4", "SELECT n, count(*) FROM orders GROUP BY n HAVING count(*) > 5"),
    case("P5", "SELECT date_trunc('day', placed), count(*) FROM orders GROUP BY date_trunc('day', placed)"),
    case("P5", "SELECT n FROM orders GROUP BY n"),
    case("P5", "SELECT k FROM orders GROUP BY k"),
    case("P5", "SELECT sum(price) / count(*) FROM orders"),
    case("P5", "SELECT coalesce(sum(n), 0) FROM orders WHERE t = 'nothing'"),
    case("P5", "SELECT count(DISTINCT n)::int FROM orders"),
    case("P6", "SELECT id, n FROM orders ORDER BY n * 2 DESC, id", order=SORTED),
    case("P6", "SELECT t FROM orders ORDER BY id", order=SORTED),
    case("P6", "SELECT n, id FROM orders ORDER BY n DESC NULLS LAST, id", order=SORTED),
    case("P6", "SELECT n, id FROM orders ORDER BY n NULLS FIRST, id LIMIT 7", order=SORTED),
    case("P6", "SELECT t, id FROM orders ORDER BY t, id LIMIT 9", order=SORTED),
    case("P7", "SELECT id, row_number() OVER (ORDER BY id) FROM orders"),
    case("P7", "SELECT id, sum(n) OVER () FROM orders"),
    case("P7", "SELECT count(*) FROM (SELECT DISTINCT n FROM orders) x"),
    case("P7", "SELECT o.id, i.id FROM orders o JOIN items i ON i.n = o.n"),
    case("P8", "SELECT count(*) FROM unknown"),
    case("P9", "SELECT count(*) FROM orders; SELECT count(*) FROM items"),
    case("P9", "COPY (SELECT id, t FROM orders ORDER BY id) TO STDOUT", order=SORTED),
    case("P9", "COPY orders TO STDOUT", expected=EITHER),
    case("S1", "SELECT id FROM orders ORDER BY id", order=SORTED),
    case("S2", "SELECT id FROM orders ORDER BY id LIMIT 2", order=SORTED),
    case("S3", "SELECT count(*) FROM orders"),
    case("S4", "SELECT k, id FROM leads ORDER BY k, id LIMIT 3", order=SORTED),
    case("S4", "SELECT md5(id::text) AS m FROM orders ORDER BY m LIMIT 3", order=SORTED),
    # --- the table of features
    case("22", "SELECT n, count(*), sum(price) OVER () FROM orders WHERE k = 1 GROUP BY n, price"),
    case("23", "SELECT * FROM orders"),
    case("23", "SELECT id, t FROM orders WHERE n = 3 OR t = 'a'"),
    case("23", "SELECT * FROM orders WHERE k IN (1, 2)"),
    case("24", "SELECT price, id FROM orders ORDER BY price DESC, id", order=SORTED),
    case("24", "SELECT placed, id FROM orders ORDER BY placed NULLS FIRST, id", order=SORTED),
    case("24", 'SELECT t, id FROM orders ORDER BY t COLLATE "C" DESC NULLS LAST, id', order=SORTED),
    case("24", "SELECT mood, id FROM orders ORDER BY mood, id", order=SORTED),
    case("25", "SELECT id FROM orders ORDER BY id LIMIT 5 OFFSET 7", order=SORTED),
    case("25", "SELECT n, id FROM orders ORDER BY n FETCH FIRST 4 ROWS WITH TIES", order=(0,)),
    case("25", "SELECT id FROM orders ORDER BY id OFFSET 100", order=SORTED),
    case("25", "SELECT id FROM orders LIMIT 0"),
    case("26", "SELECT DISTINCT n FROM orders"),
    case("26", "SELECT DISTINCT n, t FROM orders ORDER BY n, t", order=SORTED),
    case("26", "SELECT DISTINCT ON (n) n, id FROM orders ORDER BY n, id DESC", order=SORTED),
    case("27", "SELECT count(*), count(n), sum(n), min(t), max(price), avg(n), avg(price), avg(k) FROM orders"),
    case("27", "SELECT n, sum(k), avg(price), min(placed), max(id) FROM orders GROUP BY n ORDER BY n", order=SORTED),
    case("28", "SELECT stddev(n), variance(price), var_pop(k), stddev_samp(n) FROM orders"),
    case("28", "SELECT bool_and(n > 0), bool_or(n IS NULL), bit_and(n), bit_or(id) FROM orders"),
    case("28", "SELECT array_agg(id ORDER BY id), string_agg(t, ',' ORDER BY t, id) FROM orders"),
    case("28", "SELECT json_agg(id ORDER BY id), jsonb_object_agg(id, t) FROM orders"),
    case("29", "SELECT count(DISTINCT n) FROM orders"),
    case("29", "SELECT count(DISTINCT n), sum(DISTINCT n), count(DISTINCT t), count(*) FROM orders"),
    case("29", "SELECT t, count(DISTINCT n) FROM orders GROUP BY t"),
    case("30", "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY id), mode() WITHIN GROUP (ORDER BY n) FROM orders"),
    case("30", "SELECT total(id) FROM orders"),
    case("31", "SELECT count(*) FILTER (WHERE n > 2), sum(n) FILTER (WHERE t IS NULL) + 1 FROM orders"),
    case("31", "SELECT n, max(id) - min(id) AS width FROM orders GROUP BY n HAVING sum(id) > 10 AND count(*) < 100"),
    case("32", "SELECT n, t, count(*) FROM orders GROUP BY ROLLUP (n, t)"),
    case("32", "SELECT n, t, count(*), grouping(n) FROM orders GROUP BY GROUPING SETS ((n), (t), ())"),
    case("33", "SELECT k, id, rank() OVER (PARTITION BY k ORDER BY id) FROM orders"),
    case("33", "SELECT n, id, lag(id) OVER (PARTITION BY n ORDER BY id) FROM orders"),
    case("33", "SELECT n, sum(count(*)) OVER (ORDER BY n) FROM orders GROUP BY n"),
    case("34", "SELECT n FROM orders UNION SELECT n FROM items"),
    case("34", "SELECT n, t FROM orders UNION ALL SELECT n, t FROM leads"),
    case("34", "SELECT n FROM orders INTERSECT SELECT n FROM rates"),
    case("34", "SELECT id FROM orders EXCEPT SELECT id FROM items ORDER BY 1", order=SORTED),
    case("35", "SELECT o.id, i.weight FROM orders o JOIN items i USING (k)"),
    case("35", "SELECT o.k, o.id, i.id FROM orders o LEFT JOIN items i ON i.k = o.k AND i.n = o.n"),
    case("35", "SELECT count(*) FROM orders o WHERE EXISTS (SELECT FROM items i WHERE i.k = o.k AND i.n = 1)"),
    case("35", "SELECT o.id, i.id FROM orders o FULL JOIN items i ON i.k = o.k AND i.id = o.id"),
    case("36", "SELECT o.id, l.k FROM orders o JOIN leads l ON l.id = o.id"),
    case("36", "SELECT o.id, l.k FROM orders o LEFT JOIN leads l ON l.t = o.t"),
    case("36", "SELECT o.id, x.id FROM orders o FULL JOIN leads x ON x.n = o.id"),
    case("36", "SELECT o.id, m.t FROM orders o JOIN notes m ON m.id = o.n"),
    case("36", "SELECT a.id, b.id FROM orders a JOIN orders b ON a.n = b.id"),
    case("37", "SELECT id FROM orders WHERE n = (SELECT max(n) FROM items)"),
    case("37", "SELECT id FROM orders WHERE n IN (SELECT n FROM leads WHERE t = 'a')"),
    case("37", "SELECT id FROM orders WHERE id NOT IN (SELECT id FROM leads)"),
    case("38", "SELECT o.id, (SELECT count(*) FROM items i WHERE i.k = o.k) FROM orders o"),
    case("38", "SELECT o.id FROM orders o WHERE o.id > (SELECT avg(i.id) FROM items i WHERE i.n = o.n)"),
    case(
        "39",
        "WITH x AS (SELECT n, count(*) AS c FROM orders GROUP BY n) SELECT x.n, c, l.k FROM x JOIN leads l USING (n)",
    ),
    case(
        "39",
        "WITH RECURSIVE w(id, d) AS (SELECT id, 0 FROM orders WHERE id = 1 UNION ALL "
        "SELECT o.id, d + 1 FROM orders o JOIN w ON o.n = w.id WHERE d < 3) SELECT id, d FROM w",
    ),
    case("40", "SELECT o.id, x.m FROM orders o, LATERAL (SELECT max(id) AS m FROM leads l WHERE l.n = o.n) x"),
    case("40", "SELECT id FROM orders WHERE n > ALL (SELECT n FROM leads WHERE n < 2)"),
    case("40", "SELECT id FROM orders WHERE n = ANY (SELECT n FROM items WHERE id = 5)"),
    case("41", "SELECT * FROM per_key"),
    case("41", "SELECT c, count(*) FROM per_key GROUP BY c"),
    case("41", "SELECT orders_of(2)", expected=REFUSED),
    case("41", "PREPARE p AS SELECT count(*) FROM orders", "EXECUTE p", "DEALLOCATE p", expected=EITHER),
    case(
        "41",
        "BEGIN",
        "DECLARE c CURSOR FOR SELECT id FROM orders ORDER BY id",
        "FETCH 3 FROM c",
        "COMMIT",
        order=SORTED,
    ),
    case("44", "COPY (SELECT n, count(*) FROM orders GROUP BY n) TO STDOUT (FORMAT csv)"),
)

WRITES = (
    case("P8", "INSERT INTO unknown VALUES (1, 'a')", "SELECT count(*) FROM unknown", "DELETE FROM unknown"),
    case("42", "INSERT INTO orders (k, id, n) VALUES (1, 91, 1), (2, 92, 2), (3, 93, 3), (1, 94, 4) RETURNING id, k",
         order=SORTED),
    case("42", "INSERT INTO orders (k, id, n) VALUES (1, 0, 1), (2, 1, 2), (3, 2, 3) ON CONFLICT (k, id) "
         "DO UPDATE SET n = orders.n + 10 RETURNING id, n", order=SORTED),
    case("42", "INSERT INTO orders (k, id, n) VALUES (1, 0, 1), (2, 92, 2), (3, 93, 3) ON CONFLICT DO NOTHING"),
    case("42", "INSERT INTO orders (k, id) VALUES (1, 91), (2, 1), (3, NULL)"),
    case("43", "INSERT INTO items (k, id, n) SELECT k, id + 100, n FROM orders"),
    case("43", "INSERT INTO items (k, id, n) SELECT id, id, n FROM leads", expected=EITHER),
    case("43", "INSERT INTO notes (k, id, n) SELECT k, id + 100, n FROM orders", expected=EITHER),
    case("44", "COPY orders (k, id, t) FROM STDIN", data=b"1\t91\ta\n2\t92\t\\N\n3\t93\tb\\tc\n1\t94\t\n"),
    case("44", "COPY orders (k, id, t) FROM STDIN (FORMAT csv, HEADER)",
         data=b'k,id,t\n1,91,"a ""b"""\n2,92,\n3,93,"x\ny"\n'),
    case("44", "COPY orders (k, id, t) FROM STDIN", data=b"1\t91\ta\n2\tx\ta\n3\t93\tb\n"),
    case("45", "UPDATE orders SET n = n + 1"),
    case("45", "UPDATE orders SET t = 'x' WHERE n = 2 RETURNING k, id, t"),
    case("45", "DELETE FROM items WHERE n = 1"),
    case("45", "DELETE FROM orders WHERE (k, id) IN (SELECT k, id FROM orders ORDER BY id LIMIT 3) RETURNING id",
         expected=EITHER),
    case("45", "UPDATE orders o SET n = i.m FROM (SELECT k, max(n) AS m FROM items GROUP BY k) i WHERE i.k = o.k"),
    case("45", "UPDATE orders o SET t = l.t FROM leads l WHERE l.id = o.id", expected=EITHER),
    case("45", "DELETE FROM orders o USING items i WHERE i.k = o.k AND i.n = 2"),
    case("45", "DELETE FROM orders WHERE 1 / (n - n) = 1"),
    case("46", "UPDATE orders SET k = 2 WHERE k = 1 AND id = 0", expected=EITHER),
    case("46", "UPDATE orders SET k = k + 1", expected=EITHER),
    case("46", "UPDATE orders SET k = 3 RETURNING id", expected=EITHER),
    case("47", "MERGE INTO items i USING orders o ON i.k = o.k AND i.id = o.id WHEN MATCHED THEN DELETE "
         "WHEN NOT MATCHED THEN INSERT (k, id, n) VALUES (o.k, o.id, 7)"),
    case("47", "MERGE INTO orders o USING leads l ON l.id = o.id WHEN MATCHED THEN UPDATE SET n = 9", expected=EITHER),
    case("48", "BEGIN", "SELECT id FROM orders WHERE n = 2 ORDER BY id FOR UPDATE", "COMMIT", order=SORTED),
    case("48", "BEGIN", "SELECT pg_advisory_xact_lock(5)", "COMMIT"),
    case("49", "UPDATE rates SET n = n + 1"),
    case("50", "ALTER TABLE items ADD COLUMN extra int4 DEFAULT 7", "SELECT sum(extra) FROM items",
         "ALTER TABLE items DROP COLUMN extra"),
    case("50", "CREATE INDEX items_n ON items (n)", "DROP INDEX items_n"),
    case("50", "CREATE INDEX CONCURRENTLY items_n ON items (n)", "DROP INDEX items_n"),
    case("50", "BEGIN", "TRUNCATE items", "SELECT count(*) FROM items", "COMMIT"),
    case("51", "BEGIN", "UPDATE orders SET n = n - 1 WHERE k = 1", "UPDATE orders SET n = n + 1 WHERE k = 2",
         "COMMIT"),
    case("51", "BEGIN", "UPDATE orders SET n = n - 1 WHERE k = 1", "UPDATE orders SET n = n + 1 WHERE k = 2",
         "ROLLBACK"),
    case("51", "BEGIN", "DELETE FROM items WHERE k = 1", "SELECT count(*) FROM items", "COMMIT"),
    case("52", "SET trunkline.transaction_mode = 'best_effort'", "BEGIN", "UPDATE orders SET n = 7 WHERE k = 1",
         "UPDATE orders SET n = 8 WHERE k = 2", "COMMIT"),
    case("52", "SET trunkline.transaction_mode = 'single'", "BEGIN", "UPDATE orders SET n = 7 WHERE k = 1", "COMMIT"),
    case("52", "SET trunkline.transaction_mode = 'single'", "BEGIN", "UPDATE orders SET n = 7 WHERE k = 1",
         "UPDATE orders SET n = 8 WHERE k = 2", "ROLLBACK", expected=REFUSED),
    case("53", "BEGIN", "SAVEPOINT a", "UPDATE orders SET n = 1 WHERE k = 1", "ROLLBACK TO a",
         "UPDATE orders SET n = 5 WHERE k = 2", "COMMIT"),
    case("53", "BEGIN", "UPDATE orders SET n = 1 WHERE k = 1", "SAVEPOINT a", "UPDATE orders SET n = 2 WHERE k = 2",
         "SELECT 1 / 0", "ROLLBACK TO a", "UPDATE orders SET n = 3 WHERE k = 3", "RELEASE a", "COMMIT"),
    case("53", "BEGIN", "UPDATE orders SET n = 1 WHERE k = 1", "INSERT INTO orders (k, id) VALUES (2, 1)",
         "SELECT count(*) FROM orders", "COMMIT"),
    case("55", "BEGIN ISOLATION LEVEL REPEATABLE READ", "SELECT sum(n) FROM orders", "SELECT sum(n) FROM items",
         "COMMIT", expected=EITHER),
)  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def world(farm: Farm) -> AsyncIterator[World]:
    async with shop_behind(farm, "table", SHARDS) as made:
        yield made


@pytest.mark.parametrize("one", READS, ids=str)
@pytest.mark.parametrize("way", ["simple", "extended"])
async def test_a_read(world: World, one: Case, way: str) -> None:
    if way == "extended" and (";" in one.sql[0] or one.sql[0].startswith("COPY")):
        pytest.skip("of the simple protocol only")
    await _check(world, one, is_extended=way == "extended")


@pytest.mark.parametrize("one", WRITES, ids=str)
@pytest.mark.parametrize("way", ["simple", "extended"])
async def test_a_write(world: World, one: Case, way: str) -> None:
    if way == "extended" and one.data is not None:
        pytest.skip("of the simple protocol only")
    await _check(world, one, is_extended=way == "extended", is_write=True)
    if one.row != "P8":
        await world.start_again()


async def test_row_54_of_two_that_wait_for_each_other_one_goes_on(world: World) -> None:
    for port, database in ((world.postgres.port, world.plain_name), (world.port, world.name)):
        told = await _deadlock(port, database)
        assert sorted(told) == ["", "40P01"], database
    assert not await world.tables_differ()
    await world.start_again()


async def _deadlock(port: int, database: str) -> list[str]:
    """Two clients take two rows in the order of each: what they are told."""
    url = make_conninfo(host=HOST, port=port, user=USER, password=PASSWORD, dbname=database)
    async with (
        await psycopg.AsyncConnection.connect(url) as one,
        await psycopg.AsyncConnection.connect(url) as other,
    ):

        async def change(connection: psycopg.AsyncConnection, key: int) -> str:
            try:
                await connection.execute("UPDATE orders SET n = 99 WHERE k = %s", (key,))
            except psycopg.Error as error:
                await connection.rollback()
                return error.sqlstate or "?"
            return ""

        assert await change(one, 1) == await change(other, 2) == ""
        told = await asyncio.gather(change(one, 2), change(other, 1))
        for connection in (one, other):
            await connection.commit()
        return list(told)


async def _check(world: World, one: Case, *, is_extended: bool, is_write: bool = False) -> None:
    refused = world.tally.refused.total()
    unit = [Statement(sql, () if is_extended else None, is_write=is_write, data=one.data) for sql in one.sql]
    place = 2 if one.sql[0].startswith("BEGIN") and one.order is not None else len(unit) - 1
    unit[place] = replace(unit[place], order=one.order)
    wrong = await world.say(unit)
    assert not wrong, wrong
    is_refused = world.tally.refused.total() > refused
    assert one.expected == EITHER or is_refused == (one.expected == REFUSED), dict(world.tally.refused)
