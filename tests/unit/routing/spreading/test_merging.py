"""Which statements are merged, what the shards are asked for them, and which are not, and why."""

from __future__ import annotations

import pytest

from tests.unit.routing.spreading.shop import request
from trunkline.routing.spreading.merge import Having, Kind, SortKey
from trunkline.routing.spreading.merging import plan, plan_or_reason
from trunkline.routing.spreading.unsure import Unsure

# The statement, and what a shard is asked.
MERGED = {
    "SELECT * FROM a": "SELECT * FROM a",
    "SELECT k, x FROM a ORDER BY 2 DESC, k LIMIT 3 -- three": (
        "SELECT k, x, x, k FROM a ORDER BY 3 DESC NULLS FIRST, 4 ASC NULLS LAST"
    ),
    "SELECT x AS k, k AS x FROM a ORDER BY x": "SELECT x AS k, k AS x, k FROM a ORDER BY 3 ASC NULLS LAST",
    "SELECT * FROM a ORDER BY c NULLS FIRST": 'SELECT *, "a"."c" FROM a ORDER BY 7 ASC NULLS FIRST',
    "SELECT count(*) FROM a": "SELECT count(*), count(*) FROM a",
    "SELECT avg(x) AS q FROM a": "SELECT avg(x) AS q, pg_catalog.sum(x), pg_catalog.count(x) FROM a",
    "SELECT stddev(x) FILTER (WHERE x > 2) FROM a": (
        "SELECT stddev(x) FILTER (WHERE x > 2), pg_catalog.sum(x) FILTER (WHERE x > 2),"
        " pg_catalog.sum((x)::pg_catalog.numeric * (x)::pg_catalog.numeric) FILTER (WHERE x > 2),"
        " pg_catalog.count(x) FILTER (WHERE x > 2) FROM a"
    ),
    "SELECT t, sum(x) FROM a GROUP BY 1": (
        'SELECT t, sum(x), (t) COLLATE pg_catalog."C" AS "?1?", sum(x) AS "?2?" FROM a'
        " GROUP BY 1 ORDER BY 3 ASC NULLS LAST"
    ),
    "SELECT k, sum(f) AS s FROM a GROUP BY k HAVING count(*) > 1 ORDER BY s": (
        'SELECT k, sum(f) AS s, sum(f) AS "?1?" FROM a GROUP BY k HAVING count(*) > 1 ORDER BY 3 ASC NULLS LAST'
    ),
    "SELECT x, count(*) AS c FROM a GROUP BY x HAVING sum(x) > 1.5 AND 2 <= max(x) ORDER BY c DESC, x LIMIT 2": (
        'SELECT x, count(*) AS c, count(*) AS "?1?", x AS "?2?", sum(x) AS "?3?", max(x) AS "?4?", x AS "?5?",'
        ' count(*) AS "?6?", count(*) AS "?7?", sum(x) AS "?8?", max(x) AS "?9?" FROM a'
        " GROUP BY x ORDER BY 7 ASC NULLS LAST"
    ),
    "SELECT count(*) FROM a HAVING count(*) FILTER (WHERE (x > 1)) > 3": (
        "SELECT count(*), count(*) FILTER (WHERE (x > 1)), count(*), count(*) FILTER (WHERE (x > 1)) FROM a"
    ),
    "SELECT DISTINCT x FROM a": "SELECT DISTINCT x, x FROM a ORDER BY 2 ASC NULLS LAST",
    "SELECT DISTINCT ON (x) x, k FROM a ORDER BY x, k": (
        'SELECT DISTINCT ON (x) x, k, x AS "?1?", k AS "?2?" FROM a ORDER BY x, k'
    ),
    "SELECT DISTINCT ON (x, x) x, k FROM a ORDER BY x, k": (
        'SELECT DISTINCT ON (x, x) x, k, x AS "?1?", k AS "?2?" FROM a ORDER BY x, k'
    ),
    "SELECT k FROM a UNION SELECT k FROM b ORDER BY 1": (
        "SELECT q.*, q.c1 FROM (SELECT k FROM a UNION SELECT k FROM b) AS q (c1) ORDER BY 2 ASC NULLS LAST"
    ),
    "SELECT x IS DISTINCT FROM k AS from FROM a": "SELECT x IS DISTINCT FROM k AS from FROM a",
}
AS_IT_IS = [
    "SELECT a.x FROM a JOIN b ON a.k = b.k",
    "SELECT a.x FROM a, r, b WHERE a.k = r.id AND r.id = b.k",
    "SELECT a.x FROM a LEFT JOIN b USING (k) LEFT JOIN r ON r.id = b.y",
    "SELECT a.x FROM a FULL JOIN b USING (k)",
    "SELECT x FROM a WHERE EXISTS (SELECT FROM b WHERE b.k = a.k)",
    "SELECT x FROM a WHERE NOT EXISTS (SELECT FROM b WHERE b.k = a.k)",
    "SELECT x FROM a WHERE k IN (SELECT k FROM b) AND x > 1",
    "SELECT x FROM a WHERE x NOT IN (SELECT id FROM r)",
    "SELECT row_number() OVER w FROM a WINDOW w AS (PARTITION BY k ORDER BY x)",
    "SELECT x1 FROM va",
    "SELECT q.n FROM (SELECT k, count(*) AS n FROM a GROUP BY k) AS q JOIN b USING (k)",
    "WITH q AS (SELECT DISTINCT k, x FROM a) SELECT * FROM q",
    "SELECT a.x FROM a, LATERAL (SELECT y FROM b WHERE b.k = a.k ORDER BY y LIMIT 1) AS z",
    "SELECT a.x FROM a, generate_series(1, 3) AS g",
    "SELECT k FROM a UNION ALL SELECT k FROM b",
]
NOT_MERGED = {
    "SELECT a.x FROM a JOIN b ON a.x = b.y": "different shards",
    "SELECT a.x FROM a JOIN other USING (k)": "different shards",
    "SELECT a.x FROM a, b": "different shards",
    "SELECT a.x FROM a LEFT JOIN b ON a.x = b.y WHERE a.k = b.k": "different shards",
    "SELECT a.x FROM r LEFT JOIN a ON r.id = a.k": "outer join",
    "SELECT a.x FROM a RIGHT JOIN r ON r.id = a.k": "outer join",
    "SELECT a.x FROM a FULL JOIN r ON r.id = a.k": "outer join",
    "SELECT a.x FROM a JOIN h ON h.id = a.k": "home shard",
    "SELECT x FROM a WHERE k NOT IN (SELECT k FROM b)": "different shards",
    "SELECT x FROM a WHERE (k IN (SELECT k FROM b)) IS NULL": "different shards",
    "SELECT x FROM a WHERE x = (SELECT max(y) FROM b)": "different shards",
    "SELECT name FROM r WHERE id IN (SELECT k FROM a)": "more than one shard",
    "SELECT x FROM a WHERE x IN (SELECT id FROM r LIMIT 1)": "differ",
    "SELECT row_number() OVER (ORDER BY x) FROM a": "window",
    "SELECT row_number() OVER (PARTITION BY k), sum(x) OVER () FROM a": "window",
    "SELECT sum(x) / count(*) FROM a": "expression over aggregates",
    "SELECT x, count(*) FROM a GROUP BY x HAVING count(*) > x": "no plain number",
    "SELECT x, count(*) FROM a GROUP BY x HAVING bool_and(x > 1)": "HAVING",
    "SELECT x, count(*) FROM a GROUP BY x ORDER BY abs(x)": "not in GROUP BY",
    "SELECT x, count(*) FROM a GROUP BY x ORDER BY count(*) + 1": "expression over aggregates",
    "SELECT x, count(*) FROM a GROUP BY ROLLUP (x)": "GroupingSet",
    "SELECT count(DISTINCT x) FROM a": "distinct values",
    "SELECT string_agg(t, ',') FROM a": "not made of parts",
    "SELECT array_agg(x ORDER BY x) FROM a": "not made of parts",
    "SELECT x FROM a UNION SELECT y FROM b": "several shards",
    "SELECT x FROM a UNION ALL SELECT id FROM r": "what is not",
    "SELECT k FROM (SELECT k FROM a LIMIT 3) AS q": "limit",
    "SELECT q.n FROM (SELECT x, count(*) AS n FROM a GROUP BY x) AS q": "one group",
    "SELECT k, own(x) FROM a": "not PostgreSQL's own",
    "SELECT now() FROM a": "another result",
    "SELECT current_date FROM a": "time",
    "SELECT 'now'::timestamptz FROM a": "time",
    "SELECT 'a'::regclass FROM a": "number of an object",
    "SELECT ctid FROM a": "system column",
    "SELECT a FROM a": "not known",
    "SELECT x FROM a ORDER BY x LIMIT 1 + 1": "limit",
    "SELECT x FROM a LIMIT 1 FOR UPDATE": "LIMIT",
    "SELECT x FROM a, r FOR UPDATE": "has a copy",
    "SELECT DISTINCT x FROM a FOR UPDATE": "not the rows",
    "SELECT k FROM (SELECT k FROM a FOR UPDATE) AS q": "locks",
    "SELECT (SELECT count(a.x)) FROM a": "outer query",
    "SELECT x FROM a ORDER BY x USING <": "USING",
    "SELECT DISTINCT ON (x) x, n FROM a": "begins with",
    "SELECT DISTINCT ON (x, n) x, n FROM a ORDER BY x": "begins with",
    "WITH RECURSIVE q AS (SELECT k FROM a UNION SELECT k + 1 FROM q) SELECT * FROM q": "RECURSIVE",
    "INSERT INTO a SELECT * FROM a": "no query",
}


@pytest.mark.parametrize("sql", MERGED)
def test_the_shards_are_asked_in_the_clients_words(sql: str) -> None:
    assert plan_or_reason(request(sql)).sql.decode() == MERGED[sql]


@pytest.mark.parametrize("sql", AS_IT_IS)
def test_what_each_shard_does_by_itself_is_left_as_it_is(sql: str) -> None:
    assert plan_or_reason(request(sql)).sql.decode() == sql


@pytest.mark.parametrize("sql", NOT_MERGED)
def test_what_is_not_certain_is_not_merged(sql: str) -> None:
    with pytest.raises(Unsure, match=NOT_MERGED[sql]):
        plan_or_reason(request(sql))
    assert plan(request(sql)) is None


def test_a_group_of_a_key_that_an_outer_join_may_leave_empty_is_on_several_shards() -> None:
    sql = "SELECT b.k, count(*) FROM a LEFT JOIN b USING (k) GROUP BY b.k"
    assert plan_or_reason(request(sql)).unique == 1
    preserved = plan_or_reason(request("SELECT a.k, count(*) FROM a LEFT JOIN b USING (k) GROUP BY a.k"))
    assert preserved.unique is None


def test_parts_stand_behind_the_keys() -> None:
    merge = plan_or_reason(request("SELECT x, count(*), avg(n) FROM a GROUP BY x"))
    assert [(one.kind, one.column, one.parts) for one in merge.combines] == [
        (Kind.COUNT, 1, (4,)),
        (Kind.AVG, 2, (5, 6)),
    ]
    assert (merge.visible, merge.hidden, merge.unique) == (3, 4, 1)


def test_what_groups_are_ordered_and_chosen_by_is_computed_as_well() -> None:
    merge = plan_or_reason(
        request("SELECT x, count(*) FROM a GROUP BY x HAVING avg(x) < -2.50 ORDER BY 2 DESC, x NULLS FIRST")
    )
    assert (merge.visible, merge.computed, merge.made, merge.unique) == (2, 3, 5, 1)
    assert merge.final_order == (SortKey(True, True), SortKey(False, True))
    assert merge.having == (Having(2, "<", -250, 2),)
    assert [(one.kind, one.column, one.parts) for one in merge.combines] == [
        (Kind.COUNT, 1, (6,)),
        (Kind.COUNT, 2, (7,)),
        (Kind.AVG, 4, (8, 9)),
    ]


def test_what_distinct_on_names_twice_is_one_key() -> None:
    assert plan_or_reason(request("SELECT DISTINCT ON (x, 1) x, k FROM a ORDER BY x, k")).unique == 1
