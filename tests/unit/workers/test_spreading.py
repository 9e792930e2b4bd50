"""Who gets the next connection."""

from __future__ import annotations

from collections import Counter

from trunkline.workers.spreading import Load, by_load


def test_a_crowd_that_comes_at_once_is_spread_evenly() -> None:
    loads = {number: Load() for number in (1, 2, 3)}
    given: Counter[int] = Counter()
    for _ in range(64):
        number = by_load(loads)[0]
        loads[number].given += 1
        given[number] += 1
    assert max(given.values()) - min(given.values()) == 1


def test_what_has_left_makes_a_worker_lighter() -> None:
    loads = {1: Load(), 2: Load()}
    for load in loads.values():
        load.given = 10
        load.told(clients=10, taken=10)
    loads[2].told(clients=3, taken=10)
    assert by_load(loads) == [2, 1]


def test_what_is_on_its_way_counts_also_after_the_worker_has_told() -> None:
    load = Load(given=5)
    load.told(clients=2, taken=3)
    assert load.now == 4


def test_even_workers_take_turns_where_clients_come_and_go_at_once() -> None:
    loads = {1: Load(), 2: Load()}
    order = []
    for _ in range(4):
        number = by_load(loads)[0]
        order.append(number)
        loads[number].given += 1
        loads[number].told(clients=0, taken=loads[number].given)
    assert order == [1, 2, 1, 2]
