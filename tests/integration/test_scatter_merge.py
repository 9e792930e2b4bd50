"""One answer of two shards: what a client gets is what one PostgreSQL with all rows gives it, in text and in binary."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from tests.integration.conftest import ProxyFactory
from tests.integration.postgres import Postgres
from tests.integration.sharded import create, create_database
from tests.integration.transcript import errors, session
from tests.integration.wire import SYNC, Frame, Wire, bind, execute, parse, rows

DATABASE = "merged"
SCHEMA = """
CREATE TABLE a (k int8, x int4, n numeric, t text COLLATE "C", d date, ts timestamptz, b bool, f float8, u uuid,
                s int2, o text, e numeric(20, 4));
CREATE TABLE b (k int8 NOT NULL, y int4, t text COLLATE "C");
CREATE TABLE r (id int8 PRIMARY KEY, name text COLLATE "C");
CREATE VIEW va AS SELECT k, x + 1 AS x1, t FROM a WHERE x IS NOT NULL;
INSERT INTO r SELECT i, 'name ' || i FROM generate_series(0, 9) AS i;
"""
TABLES = {
    "a": {"shard_by": "k"},
    "b": {"shard_by": "k", "colocated_with": "a"},
    "r": {"reference": True},
}


def _filled() -> str:
    """Rows with NULL, with equal values, and with what is equal and yet not the same."""
    chance = random.Random(7)

    def some(values: list[str]) -> str:
        return chance.choice([*values, "NULL"])

    found = []
    for _ in range(300):
        number = some(["1", "1.0", "1.00", "-2.5", "0", "100000000000000000000.00001", "3.333", "'NaN'"])
        values = [
            str(chance.randint(1, 40)),
            some([str(chance.randint(-3, 3)), "2147483647", "-2147483648"]),
            number,
            some(["'a'", "'B'", "'b'", "''", "'ä'", "'a '", "'zz'"]),
            some(["'2020-01-01'", "'infinity'", "'1999-12-31'", "'0044-03-15 BC'"]),
            some(["'2020-01-01 00:00+00'", "'-infinity'", "'2021-05-05 12:00:00.000001+02'"]),
            some(["true", "false"]),
            some(["1.5", "'NaN'", "'-Infinity'", "0", "'-0'", "1e300"]),
            some([f"'00000000-0000-0000-0000-{chance.randint(0, 3):012d}'"]),
            some([str(chance.randint(-2, 2))]),
            some(["'a'", "'B'", "'b'", "'A'"]),
            some([str(chance.randint(-(10**12), 10**12) / 10000)]),
        ]
        found.append(f"INSERT INTO a VALUES ({', '.join(values)})")
    for _ in range(60):
        found.append(f"INSERT INTO b VALUES ({chance.randint(1, 40)}, {some(['1', '2', '3'])}, {some(['1', '2'])})")
    return "; ".join(found)


@dataclass
class Pair:
    """A client of one PostgreSQL, and one of the proxy."""

    one: Wire
    several: Wire


@pytest.fixture(scope="module")
def filled() -> list[str]:
    return _filled().split("; ")


@pytest.fixture
async def pair(postgres: Postgres, start_proxy: ProxyFactory, filled: list[str]) -> AsyncIterator[Pair]:
    settings = await create(postgres, DATABASE, SCHEMA, TABLES)
    await create_database(postgres, f"{DATABASE}_one", SCHEMA)
    proxy = await start_proxy({"pool_mode": "transaction", "default_pool_size": 3}, databases={DATABASE: settings})
    async with session(postgres, database=f"{DATABASE}_one") as one, session(proxy, database=DATABASE) as several:
        await one.query("; ".join(filled))
        for statement in filled:
            await several.query(statement)
        yield Pair(one, several)


EXACT = """
SELECT k, x FROM a ORDER BY k, x
SELECT x, n = 1, o, k FROM a ORDER BY x DESC, n NULLS FIRST, o COLLATE "C" DESC, k
SELECT k, x, t, d, ts, b, u, s, e FROM a ORDER BY t, k, x, d, ts, b, u, s, e
SELECT d, ts, b FROM a ORDER BY d, ts DESC NULLS LAST, b
SELECT f + 0, u, s FROM a ORDER BY f DESC, u, s
SELECT k FROM a ORDER BY -k LIMIT 5
SELECT k, x FROM a ORDER BY 1, 2 OFFSET 290
SELECT x AS k, k AS x FROM a ORDER BY x, k LIMIT 7 OFFSET 3
SELECT x FROM a ORDER BY x FETCH FIRST 3 ROWS WITH TIES
SELECT x FROM a ORDER BY x DESC OFFSET 2 FETCH NEXT 4 ROWS WITH TIES
SELECT x FROM a ORDER BY x LIMIT 0
SELECT x FROM a ORDER BY x LIMIT ALL OFFSET NULL
SELECT x1 FROM va ORDER BY x1 LIMIT 0 OFFSET 2
SELECT x1, count(*) FROM va GROUP BY x1 ORDER BY 2 LIMIT 0
SELECT sum(x1) FROM va LIMIT 0
SELECT x FROM a ORDER BY x LIMIT 4000000000000000000 OFFSET 298
SELECT count(*), count(x), sum(x), sum(s), sum(k), min(x), max(d), avg(x), avg(s), avg(k) FROM a
SELECT sum(e), avg(e), min(e), max(e), variance(e), stddev(e), var_pop(e), stddev_pop(e) FROM a
SELECT sum(n), avg(n), max(n), stddev(n) FROM a
SELECT sum(n), avg(n), stddev(n) FROM a WHERE n <> 'NaN'
SELECT stddev(x), var_pop(x), stddev_samp(k), var_samp(s) FROM a
SELECT stddev(x), var_pop(x), avg(x), sum(x), count(x), bool_and(b) FROM a WHERE k = 1 AND x IS NULL OR k = 100
SELECT bool_and(b), bool_or(b), every(b), bit_and(x), bit_or(s), bit_and(k) FROM a
SELECT count(*) FROM a WHERE false
SELECT sum(x), max(n), count(*) FROM a WHERE x > 1000000000000
SELECT count(DISTINCT k), min(DISTINCT x), count(*) FILTER (WHERE x > 0), avg(x) FILTER (WHERE b) FROM a
SELECT x, count(*), sum(e), avg(e) FROM a GROUP BY x ORDER BY x
SELECT x, b, count(*), avg(s) AS q FROM a GROUP BY 1, b ORDER BY b DESC, x LIMIT 5 OFFSET 1
SELECT count(*), k, sum(f) FROM a WHERE f < 1e100 GROUP BY k ORDER BY count(*) DESC, k
SELECT k, sum(x) FROM a GROUP BY k HAVING count(*) > 7 ORDER BY 2 DESC NULLS LAST, 1
SELECT x, count(*) AS c FROM a GROUP BY x ORDER BY c DESC, x LIMIT 3 OFFSET 1
SELECT b, s, avg(x) AS m, sum(e) FROM a GROUP BY b, s ORDER BY m NULLS FIRST, sum(e) DESC, b, s
SELECT x, sum(e) FROM a GROUP BY x HAVING count(*) > 25 AND avg(e) < 100000.5 ORDER BY x
SELECT u, max(d), count(*) FILTER (WHERE b) FROM a GROUP BY u HAVING 5 < sum(s) ORDER BY max(d), u DESC
SELECT n = 1 AS one, count(*) FROM a GROUP BY 1 HAVING count(*) >= 1 ORDER BY count(*) DESC
SELECT count(*) FROM a HAVING count(*) > 1000000
SELECT DISTINCT x FROM a ORDER BY x
SELECT DISTINCT x, b FROM a ORDER BY x DESC, b LIMIT 4
SELECT DISTINCT ON (x) x, k, e FROM a ORDER BY x, k, e
SELECT a.k, a.x, b.y FROM a JOIN b ON a.k = b.k ORDER BY 1, 2, 3
SELECT a.k, b.y, r.name FROM a LEFT JOIN b USING (k) LEFT JOIN r ON r.id = b.y ORDER BY 1, 2, 3
SELECT a.k, b.k, count(*) FROM a FULL JOIN b USING (k) GROUP BY a.k, b.k ORDER BY 1, 2
SELECT k, x FROM a WHERE EXISTS (SELECT FROM b WHERE b.k = a.k AND b.y = 1) ORDER BY 1, 2
SELECT k, x FROM a WHERE k IN (SELECT k FROM b WHERE y = 2) AND x IN (SELECT id FROM r) ORDER BY 1, 2
SELECT k, (SELECT max(y) FROM b WHERE b.k = a.k) AS m FROM a ORDER BY m DESC NULLS LAST, k
SELECT x1, count(*) FROM va GROUP BY x1 ORDER BY x1
SELECT v.k, q.c FROM va AS v JOIN (SELECT k, count(*) AS c FROM b GROUP BY k) AS q ON q.k = v.k ORDER BY 2, 1
SELECT k, y, row_number() OVER (PARTITION BY k ORDER BY y, t) FROM b ORDER BY k, 3
WITH q AS (SELECT k, min(x) AS m FROM a GROUP BY k) SELECT q.k, m, b.y FROM q JOIN b ON b.k = q.k ORDER BY 1, 2, 3
SELECT k FROM a UNION SELECT k FROM b ORDER BY 1
SELECT k, x FROM a UNION ALL SELECT k, y FROM b ORDER BY 2, 1
SELECT k FROM a EXCEPT SELECT k FROM b ORDER BY k
SELECT k FROM a INTERSECT SELECT k FROM b ORDER BY k DESC LIMIT 3
SELECT a.k, z.y FROM a, LATERAL (SELECT y FROM b WHERE b.k = a.k ORDER BY y LIMIT 1) AS z ORDER BY 1, 2
SELECT date_part('year', d) AS year, count(*) FROM a WHERE d > '1900-01-01' AND d < 'infinity' GROUP BY 1 ORDER BY 1
""".strip().splitlines()

IN_ANY_ORDER = """
SELECT * FROM a
SELECT x, count(*) FROM a GROUP BY x
SELECT t, o, count(*) AS c FROM a GROUP BY t, o ORDER BY t
SELECT t, o, sum(x) FROM a GROUP BY 1, 2
SELECT DISTINCT t, x FROM a
SELECT DISTINCT o, d FROM a
SELECT n, count(*) FROM a GROUP BY n
SELECT k, t FROM a UNION ALL SELECT k, t FROM b
""".strip().splitlines()


def _shown(found: list[list[bytes | None]]) -> list[str]:
    return sorted(map(repr, found))


@pytest.mark.parametrize("binary", [0, 1])
async def test_the_answer_is_that_of_one_postgresql(pair: Pair, binary: int) -> None:
    wrong = []
    for sql in [*EXACT, *IN_ANY_ORDER]:
        answers = [await _ask(wire, sql, binary) for wire in (pair.one, pair.several)]
        one, several = ([(*rows(found), errors(found))] for found in answers)
        if sql in IN_ANY_ORDER:
            one, several = ([_comparable(sql, found)] for found in answers)
        if one != several:
            wrong.append(f"{sql}\n  one: {str(one)[:600]}\n  several: {str(several)[:600]}")
    assert not wrong, "\n".join(wrong)


def _comparable(sql: str, found: list[Frame]) -> list[str]:
    """Of equal groups any row may stand for all: 1.0 or 1.00."""
    if "GROUP BY n" in sql:
        return [*sorted(repr(row[-1]) for row in rows(found)), *errors(found)]
    return [*_shown(rows(found)), *errors(found)]


async def _ask(wire: Wire, sql: str, binary: int) -> list[Frame]:
    if not binary:
        return list(await wire.query(sql))
    await wire.send(parse(sql) + bind(result_formats=(1,)) + execute() + SYNC)
    return list(await wire.read_until("Z"))
