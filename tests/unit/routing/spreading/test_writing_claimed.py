"""UPDATE and DELETE of just those rows that a query within them locks."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.unit.routing.spreading import shop
from trunkline.routing.planning.planner import plan as make_plan
from trunkline.routing.plans.plan import Refusal
from trunkline.routing.schema.catalog import Catalog
from trunkline.routing.spreading.request import Request
from trunkline.routing.spreading.writing import plan
from trunkline.routing.spreading.writing_claimed import ClaimedWrite

_A = shop.CATALOG.relations["public", "a"]
CATALOG = Catalog(
    {**shop.CATALOG.relations, ("public", "a"): replace(_A, keys=(("k", "x"),))},
    shop.CATALOG.functions,
    server=shop.CATALOG.server,
)
NEXT = "SELECT k, x FROM a WHERE n = 1 ORDER BY t LIMIT 2 FOR UPDATE SKIP LOCKED"
LIES = b' FROM "public"."a" AS "a" WHERE "a".ctid OPERATOR(pg_catalog.=) ANY (\'{"(0,1)"}\''


def request(sql: str) -> Request:
    found = shop.request(sql)
    return replace(found, catalog=CATALOG, plan=make_plan(found.sql, CATALOG, found.sharding, found.search_path))


@pytest.mark.parametrize(
    "sql",
    [
        f"DELETE FROM a WHERE (k, x) IN ({NEXT}) RETURNING *",
        f"UPDATE a SET n = 2 FROM ({NEXT}) AS q WHERE a.k = q.k AND q.x = a.x",
        f"WITH q AS ({NEXT}) UPDATE a AS j SET n = 2 FROM q WHERE j.k = q.k AND j.x = q.x AND j.n > 0",
        f"WITH q AS ({NEXT}) DELETE FROM a WHERE (k, x) IN (SELECT k, x FROM q)",
        f"DELETE FROM a USING ({NEXT.replace('k, x', '*')}) AS q WHERE a.k = q.k AND a.x = q.x",
    ],
)
def test_each_shard_writes_the_rows_that_it_has_locked(sql: str) -> None:
    found = plan(request(sql))
    assert isinstance(found, ClaimedWrite), found
    assert LIES in found.said([b"(0,1)"], b"")
    assert b"SKIP LOCKED" not in found.said([], b"")


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        (f"DELETE FROM a WHERE k IN ({NEXT.replace('k, x', 'k')})", "no unique key"),
        (f"DELETE FROM a WHERE (k, x) IN ({NEXT.replace('k, x', 'k, x + 1')})", "no unique key"),
        (f"DELETE FROM a WHERE (k, x) NOT IN ({NEXT})", "no unique key"),
        (f"DELETE FROM a WHERE (k, x) = ({NEXT})", "no unique key"),
        (
            f"DELETE FROM a USING ({NEXT.replace('k, x', 'k, n AS x')}) AS q WHERE a.k = q.k AND a.x = q.x",
            "no unique key",
        ),
        (f"DELETE FROM b WHERE (k, y) IN ({NEXT})", "reads more"),
        (f"DELETE FROM a USING b WHERE a.k = b.k AND (a.k, a.x) IN ({NEXT})", "reads more"),
        (f"UPDATE a SET t = r.name FROM r WHERE r.id = n AND (k, x) IN ({NEXT})", "other tables"),
        (f"DELETE FROM a WHERE (k, x) IN ({NEXT}) OR (k, x) IN ({NEXT})", "several limits"),
        (f"DELETE FROM a WHERE (k, x) IN ({NEXT.replace('FROM a', 'FROM va')})", "no sharded table"),
    ],
)
def test_what_may_write_others_is_refused(sql: str, reason: str) -> None:
    found = plan(request(sql))
    assert isinstance(found, Refusal)
    assert reason in found.reason
