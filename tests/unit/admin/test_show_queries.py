"""SHOW QUERIES: what is told of a statement over several shards."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from trunkline.admin.show_queries import show_queries
from trunkline.execution.spread.doing import Doing
from trunkline.execution.spread.gather_budget import Budget, Total


def link(doing: Doing | None, commit: str = "") -> SimpleNamespace:
    pools = [SimpleNamespace(database=f"shop/s{number}") for number in range(3)]
    participants = SimpleNamespace(pools=pools, here={2: None}, doing=doing, commit_state=commit, began_at=1.0)
    identity = SimpleNamespace(database="shop", user="ann", peer=SimpleNamespace(host="10.0.0.1", port=5))
    several = SimpleNamespace(participants=participants)
    return SimpleNamespace(several=several, session=identity, id=7)


def shown(*links: SimpleNamespace) -> list[Any]:
    clients = [SimpleNamespace(several=None), *links]
    instance: Any = SimpleNamespace(clients=clients, pools=SimpleNamespace(now=3.5))
    return list(show_queries(instance))


def test_a_statement_is_told_without_its_literals_and_with_what_it_has_gathered() -> None:
    budget = Budget(1000, 0, Total())
    budget.take(300, "orders")
    doing = Doing(b"SELECT 'secret' FROM a", 3.0, 0b001, "gather", budget)
    assert shown(link(doing)) == [
        ("shop", "ann", "10.0.0.1", 5, "gather", "s0,s2", 300, 1000, 500, "select ? from a", 7)
    ]


def test_a_commit_is_told_and_who_asks_nothing_is_not() -> None:
    rows = shown(link(None), link(None, "commit: preparing"))
    assert [(row[4], row[9]) for row in rows] == [("commit: preparing", "COMMIT")]
