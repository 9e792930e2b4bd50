"""EXPLAIN (ROUTE) says where, why, and what would make it one shard."""

from __future__ import annotations

from dataclasses import replace

from trunkline.execution.explanation import as_query, lines
from trunkline.routing.keys.sharding import Sharding
from trunkline.routing.plans.plan import Fixed, Occurrence, Refusal, RoutePlan, Verdict

SHOP = Sharding(("s0", "s1"))
PLAN = RoutePlan(
    Verdict.ROUTED,
    Fixed(3),
    "It names no key.",
    occurrences=(Occurrence("public.orders", "o", "sharded", Fixed(3), "every shard", writes=True),),
    unless_single=Refusal("It concerns more than one shard.", "Name the key."),
    primary="It writes public.orders.",
)


def test_several_shards_are_told_with_their_refusal() -> None:
    assert list(lines(PLAN, 3, SHOP)) == [
        "Route: several shards",
        "  Shards: s0, s1",
        "  ->  public.orders o (sharded, written)",
        "        Key: every shard",
        "  Reason: It names no key.",
        "  Replica: no. It writes public.orders.",
        "  Refused: It concerns more than one shard.",
        "  Hint: Name the key.",
    ]


def test_the_way_over_several_shards_is_told_in_place_of_a_refusal() -> None:
    assert list(lines(PLAN, 3, SHOP, way="merged; in order"))[-1] == "  Answer: merged; in order"
    refused = list(lines(PLAN, 3, SHOP, way=Refusal("It is not exact.", "Do otherwise.")))
    assert refused[-2:] == ["  Refused: It is not exact.", "  Hint: Do otherwise."]
    assert list(lines(PLAN, 2, SHOP, way="merged; in order")) == list(lines(PLAN, 2, SHOP))


def test_one_shard_and_none_and_a_parameter() -> None:
    assert list(lines(PLAN, 2, SHOP))[:2] == ["Route: single shard", "  Shards: s1"]
    assert list(lines(PLAN, 0, SHOP))[:2] == ["Route: no shard", "  Shards: none (no row can match): asked of home"]
    assert next(lines(PLAN, None, SHOP)) == "Route: by the value of a parameter"


def test_a_read_is_for_a_replica_too_and_what_is_the_sessions_is_for_neither() -> None:
    assert "  Replica: may answer it" in list(lines(replace(PLAN, primary=""), 2, SHOP))
    assert not any("Replica" in line for line in lines(RoutePlan(Verdict.SESSION), None, SHOP))


def test_who_is_on_one_shard_needs_no_hint() -> None:
    hinted = replace(PLAN, hint="Name the key.")
    assert [any("Hint" in line for line in lines(hinted, mask, SHOP)) for mask in (1, 3, None)] == [False, True, True]


def test_the_query_quotes_what_it_says_and_takes_parameters() -> None:
    sql = as_query(iter(["it's $route$ \\"]), 1).decode()
    assert "$route_$it's $route$ \\$route_$" in sql
    assert "$1::text" in sql
