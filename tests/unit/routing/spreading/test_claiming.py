"""Which rows a SELECT ... LIMIT n FOR UPDATE locks, and in which words."""

from __future__ import annotations

import pytest

from tests.unit.routing.spreading.shop import request
from trunkline.routing.plans.plan import Refusal
from trunkline.routing.spreading.claiming import Claim, Waits, plan
from trunkline.routing.spreading.merge import FromParameter, Limits


def claim(sql: str) -> Claim:
    found = plan(request(sql))
    assert isinstance(found, Claim), found
    return found


def test_in_order_rows_are_read_first_and_locked_where_they_lie() -> None:
    found = claim("SELECT k FROM a AS j WHERE x > 3 ORDER BY n DESC LIMIT $1 FOR UPDATE OF j SKIP LOCKED")
    assert found.sql(b"") == b'SELECT k, n, "j".ctid FROM a AS j WHERE x > 3 ORDER BY 2 DESC NULLS FIRST'
    assert found.merge.limits == Limits(FromParameter(1))
    assert found.waits is Waits.SKIP
    places = b"""'{"(0,1)","(7,2)"}'"""
    assert found.locking([b"(0,1)", b"(7,2)"]) == (
        b'SELECT "j".ctid FROM "public"."a" AS "j" WHERE "j".ctid OPERATOR(pg_catalog.=) ANY (%b::pg_catalog.tid[])'
        b' AND "j".ctid::pg_catalog.text OPERATOR(pg_catalog.=) ANY (%b::pg_catalog.text[])'
        b" FOR UPDATE OF j SKIP LOCKED" % (places, places)
    )


def test_without_an_order_rows_are_locked_as_they_are_given() -> None:
    found = claim("SELECT * FROM a FOR NO KEY UPDATE NOWAIT LIMIT 2 OFFSET 1 -- some")
    assert found.sql(b"") == b'SELECT *, "a".ctid FROM a FOR NO KEY UPDATE NOWAIT'
    assert (found.waits, found.merge.limits) == (Waits.ERROR, Limits(2, 1))


def test_the_time_is_that_of_one_shard() -> None:
    found = claim("SELECT k FROM a WHERE n < now() ORDER BY k FETCH FIRST 2 ROWS ONLY FOR SHARE")
    assert b"WHERE n < (timestamptz '2026-01-01 00:00+00') ORDER BY" in found.sql(b"2026-01-01 00:00+00")
    assert found.waits is Waits.BLOCK


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("SELECT k FROM a, b LIMIT 1 FOR UPDATE", "more than one table"),
        ("WITH q AS (SELECT 1) SELECT k FROM a LIMIT 1 FOR UPDATE", "more than one table"),
        ("SELECT k FROM a AS j (k, y) LIMIT 1 FOR UPDATE", "other names"),
        ("SELECT k FROM va LIMIT 1 FOR UPDATE", "no sharded table"),
        ("SELECT id FROM r LIMIT 1 FOR UPDATE", "no query of sharded tables"),
        ("SELECT count(*) FROM a LIMIT 1 FOR UPDATE", "not those of a table"),
        ("SELECT k FROM a WHERE own(x) > 1 LIMIT 1 FOR UPDATE", "own()"),
        ("SELECT k FROM a LIMIT 1 FOR UPDATE FOR SHARE", "several locking clauses"),
        ("SELECT k FROM a ORDER BY k FETCH FIRST 1 ROWS WITH TIES FOR UPDATE", "WITH TIES"),
        ("SELECT k FROM a LIMIT 1 + 1 FOR UPDATE", "limit"),
    ],
)
def test_what_is_not_certain_is_refused(sql: str, reason: str) -> None:
    found = plan(request(sql))
    assert isinstance(found, Refusal)
    assert reason in found.reason
    assert found.hint


@pytest.mark.parametrize("sql", ["SELECT k FROM a LIMIT 1", "SELECT k FROM a FOR UPDATE", "DELETE FROM a"])
def test_anything_else_is_none_of_these(sql: str) -> None:
    assert plan(request(sql)) is None
