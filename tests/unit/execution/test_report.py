"""Recorded statements are counted as a router would treat them."""

from __future__ import annotations

import json

import pytest

from trunkline.config.key_kinds import KeyList, Lookup
from trunkline.config.sharding import ShardingSettings, ShardSettings, TableSettings
from trunkline.execution.report import WORST, Judge, Judged, Share, Summary
from trunkline.routing.keys.sharding_builder import build
from trunkline.routing.schema.catalog import Catalog, Column, Relation
from trunkline.routing.text.records import Record

ID, REGION = Column("id", "int8"), Column("region", "text")
TABLES = {
    "orders": TableSettings(("id",), method="modulo", group="orders"),
    "sites": TableSettings(("region",), method="list", lists=(KeyList("s0", ("eu",)),), group="sites"),
    "tenants": TableSettings(("id",), method="lookup", lookup=Lookup("places", "id", "shard"), group="tenants"),
    "countries": TableSettings(reference=True, group="countries"),
}
CATALOG = Catalog(
    {("public", name): Relation("public", name, columns=(ID, REGION)) for name in (*TABLES, "notes", "places")}
)
SHARDING = build(ShardingSettings((ShardSettings("s0"), ShardSettings("s1")), "s0", (0, 1), TABLES), CATALOG).sharding


def judge(sql: str, *parameters: bytes | None, unknown: bool = False, calls: int = 1) -> Judged:
    return Judge(CATALOG, SHARDING).judge(Record(sql.encode(), 1, calls, None if unknown else parameters))


@pytest.mark.parametrize(
    ("sql", "share", "shards"),
    [
        ("SELECT * FROM orders WHERE id = 3", Share.ONE, ["s1"]),
        ("SELECT * FROM orders WHERE id IN (2, 4)", Share.ONE, ["s0"]),
        ("SELECT * FROM orders WHERE id IN (2, 3)", Share.SEVERAL, ["s0", "s1"]),
        ("SELECT * FROM orders WHERE id = NULL", Share.FREE, []),
        ("SELECT * FROM orders WHERE id = 'x'", Share.ONE, ["s0"]),
        ("SELECT count(*) FROM orders", Share.SEVERAL, ["s0", "s1"]),
        ("SELECT * FROM sites WHERE region = 'eu'", Share.ONE, ["s0"]),
        ("SELECT * FROM sites WHERE region = 'us'", Share.REFUSED, None),
        ("SELECT * FROM tenants WHERE id = 1", Share.ONE, None),
        ("SELECT * FROM tenants WHERE id IN (1, 2)", Share.SEVERAL, None),
        ("SELECT * FROM countries", Share.FREE, None),
        ("SELECT * FROM notes", Share.FREE, ["s0"]),
        ("SELECT 1", Share.FREE, None),
        ("BEGIN", Share.FREE, None),
        ("SELEKT 1", Share.UNPARSED, ["s0"]),
        ("SELECT * FROM nowhere", Share.FREE, ["s0"]),
        ("UPDATE countries SET region = 'x'", Share.SEVERAL, ["s0", "s1"]),
        ("UPDATE orders SET id = 5 WHERE id = 3", Share.ONE, ["s1"]),
        ("WITH w AS (UPDATE orders SET id = 5 WHERE id = 3) SELECT 1", Share.REFUSED, None),
        ("/* trunkline: shard=s1 */ SELECT count(*) FROM orders", Share.ONE, ["s1"]),
        ("/* trunkline: key=4 table=orders */ SELECT count(*) FROM orders", Share.ONE, ["s0"]),
        ("/* trunkline: shard=s0 */ SELECT * FROM orders WHERE id = 3", Share.REFUSED, ["s1"]),
        ("/* trunkline: shard=s9 */ SELECT 1", Share.REFUSED, None),
    ],
)
def test_a_statement_has_its_share(sql: str, share: Share, shards: list[str] | None) -> None:
    found = judge(sql)
    assert (found.share, found.as_json(SHARDING)["shards"]) == (share, shards)
    assert (found.refusal is not None) == (share is Share.REFUSED)


def test_parameters_say_where_and_without_them_only_the_form_does() -> None:
    assert judge("SELECT * FROM orders WHERE id = $1", b"3").mask == 2
    assert judge("SELECT * FROM orders WHERE id = ANY($1)", b"{2,4}").share is Share.ONE
    assert judge("SELECT * FROM orders WHERE id = ANY($1)", b"{2,3}").share is Share.SEVERAL
    assert judge("SELECT * FROM orders WHERE id = $1", None).share is Share.FREE
    one = judge("SELECT * FROM orders WHERE id = $1", unknown=True)
    assert (one.share, one.mask, one.lines[0]) == (Share.ONE, None, "Route: by the value of a parameter")
    assert judge("SELECT * FROM orders WHERE id = ANY($1)", unknown=True).share is Share.SEVERAL


def test_the_lines_are_those_of_explain_route() -> None:
    assert judge("SELECT * FROM orders WHERE id = 3").lines[:4] == (
        "Route: single shard",
        "  Shards: s1",
        "  ->  public.orders (sharded)",
        "        Key: id = 3",
    )
    assert judge("SELECT * FROM tenants WHERE id = 3").lines[0] == "Route: by the directory"
    assert judge("SELECT * FROM sites WHERE region = 'us'").lines[-1].startswith("  Refused: no shard is said to have")


def test_a_text_is_planned_once_and_shown_with_its_own_literals() -> None:
    one = Judge(CATALOG, SHARDING)
    first, again, other = (one.judge(Record(b"SELECT * FROM orders WHERE id = %d" % key, 1)) for key in (3, 3, 4))
    assert first.plan is again.plan
    assert [(found.mask, found.lines[3].strip()) for found in (first, other)] == [
        (2, "Key: id = 3"),
        (1, "Key: id = 4"),
    ]


def test_names_are_looked_for_along_the_path() -> None:
    assert Judge(CATALOG, SHARDING, ("sales",)).judge(Record(b"SELECT * FROM orders", 1)).share is Share.FREE


def test_the_summary_counts_calls() -> None:
    summary = Summary()
    for sql, calls in (
        ("SELECT * FROM orders WHERE id = 3", 6),
        ("SELECT count(*) FROM orders WHERE region = 'a'", 1),
        ("SELECT count(*) FROM orders WHERE region = 'b'", 2),
        ("WITH w AS (UPDATE orders SET id = 5 WHERE id = 3) SELECT 1", 1),
        ("SELECT 1", 2),
    ):
        summary.add(judge(sql, calls=calls))
    assert (summary.statements, summary.total) == (5, 12)
    assert {share: calls for share, calls in summary.calls.items() if calls} == {
        Share.ONE: 6,
        Share.SEVERAL: 3,
        Share.REFUSED: 1,
        Share.FREE: 2,
    }
    assert summary.share_of(Share.ONE) == 0.5
    assert [(one.calls, one.share) for one in summary.worst()] == [(3, Share.SEVERAL), (1, Share.REFUSED)]
    assert all(one.reason for one in summary.worst())
    said = list(summary.lines())
    assert said[0] == "12 calls of 5 statements"
    assert said[1].split() == ["one", "shard", "6", "50.00%"]
    whole = summary.as_json()["summary"]
    assert whole["shares"]["several shards"] == {"calls": 3, "share": 0.25}
    assert [one["calls"] for one in whole["worst"]] == [3, 1]


def test_a_summary_of_nothing_and_one_of_much_are_short() -> None:
    assert next(iter(Summary().lines())) == "0 calls of 0 statements"
    summary = Summary()
    for number in range(2 * WORST):
        summary.add(judge(f"SELECT count(*) AS n{number} FROM orders", calls=number + 1))
    assert [one.calls for one in summary.worst()] == list(range(2 * WORST, WORST, -1))


def test_what_machines_read_is_json() -> None:
    said = json.loads(json.dumps(judge("SELECT count(*) FROM orders").as_json(SHARDING)))
    assert (said["share"], said["tables"], said["sqlstate"]) == ("several shards", ["public.orders"], None)
    assert not said["refused"]
    assert said["hint"]
    assert said["explained"][0] == "Route: several shards"
