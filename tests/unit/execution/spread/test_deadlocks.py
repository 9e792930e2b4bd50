"""Deadlocks over several shards: whose turn it is to give way."""

from __future__ import annotations

from collections.abc import Iterable

from trunkline.execution.spread.deadlocks import victims
from trunkline.pool.pool import Pool


class Client:
    def __init__(self, began_at: float) -> None:
        self.began_at = began_at
        self.waits = True

    def places(self) -> Iterable[tuple[Pool, int, int]]:
        return ()

    def condemn(self) -> None: ...


OLD, MIDDLE, YOUNG = Client(1), Client(2), Client(3)
AGES = {one: one.began_at for one in (OLD, MIDDLE, YOUNG)}


def test_two_who_wait_for_each_other_at_two_shards_are_one_deadlock() -> None:
    assert victims([(0, OLD, YOUNG), (1, YOUNG, OLD)], AGES) == {YOUNG}


def test_the_deadlock_of_one_shard_is_its_servers_to_find() -> None:
    assert victims([(0, OLD, YOUNG), (0, YOUNG, OLD)], AGES) == set()


def test_who_waits_in_a_line_is_no_deadlock() -> None:
    assert victims([(0, OLD, YOUNG), (1, YOUNG, MIDDLE)], AGES) == set()


def test_a_way_through_sessions_of_others_counts() -> None:
    stranger, another = (0, 4711), (0, 4712)
    edges = [(0, OLD, stranger), (0, stranger, another), (0, another, MIDDLE), (1, MIDDLE, OLD)]
    assert victims(edges, AGES) == {MIDDLE}


def test_the_gate_is_waited_for_like_a_shard() -> None:
    assert victims([(0, OLD, YOUNG), (-1, YOUNG, OLD)], AGES) == {YOUNG}


def test_two_deadlocks_have_two_victims_and_one_victim_is_enough_for_both() -> None:
    other = Client(9)
    ages = {**AGES, other: other.began_at}
    assert victims([(0, OLD, YOUNG), (1, YOUNG, OLD), (0, MIDDLE, other), (1, other, MIDDLE)], ages) == {YOUNG, other}
    assert victims([(0, OLD, YOUNG), (1, YOUNG, OLD), (1, YOUNG, MIDDLE), (0, MIDDLE, YOUNG)], ages) == {YOUNG}


def test_a_deadlock_within_a_shard_hides_no_other() -> None:
    edges = [(0, OLD, MIDDLE), (0, MIDDLE, OLD), (1, MIDDLE, YOUNG), (0, YOUNG, MIDDLE)]
    assert victims(edges, AGES) == {YOUNG}
