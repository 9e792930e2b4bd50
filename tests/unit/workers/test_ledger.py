"""Slots of several workers: never above a limit, fairly given, and asked for where others have more than they need."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from trunkline.workers.ledger import TURN_S, Account, Ledger, Order

APP, OTHER = ("pool", "app", "me"), ("pool", "app", "you")


def ledger(pool: int = 0, reserve: int = 0, database: int = 0) -> Ledger:
    def limits(account: Account, with_reserve: bool) -> Mapping[Account, int]:
        found = {account: pool + (reserve if with_reserve else 0), ("database", account[1]): database}
        return {key: limit for key, limit in found.items() if limit}

    return Ledger(limits)


def want(made: Ledger, worker: int, number: int, now: float = 0.0, account: Account = APP, **flags: bool) -> None:
    made.want(worker, account, number, now, waiting=flags.get("waiting", True), reserve=flags.get("reserve", False))


def test_what_is_free_is_given_evenly() -> None:
    made = ledger(pool=5)
    want(made, 1, 5)
    want(made, 2, 5, now=1.0)
    assert {worker: number for worker, _, number in made.grants()} == {1: 3, 2: 2}
    assert not list(made.grants())
    made.release(1, APP, 1)
    assert list(made.grants()) == [(1, APP, 1)]


def test_a_pool_of_one_serves_one_worker_after_the_other() -> None:
    made = ledger(pool=1)
    want(made, 1, 1)
    assert list(made.grants()) == [(1, APP, 1)]
    want(made, 2, 1)
    assert list(made.grants()) == []
    assert list(made.orders(0.0)) == [Order(1, APP, busy=False)]
    assert list(made.orders(0.01)) == []  # it has been asked just now
    assert list(made.orders(TURN_S)) == [Order(1, APP, busy=True)]
    made.release(1, APP, 1)
    assert list(made.grants()) == [(2, APP, 1)]


def test_a_busy_one_is_not_asked_for_where_it_makes_nothing_more_even() -> None:
    made = ledger(pool=3)
    want(made, 1, 2)
    want(made, 2, 2)
    assert sum(number for _, _, number in made.grants()) == 3
    poorer = 1 if made.held(1, APP) == 1 else 2
    (order,) = made.orders(TURN_S * 2)
    assert (order.worker, order.busy) == (3 - poorer, False)


def test_who_does_not_wait_takes_nothing_from_others() -> None:
    made = ledger(pool=1)
    made.give(1, APP, 1)
    want(made, 2, 1, waiting=False)
    assert list(made.orders(9.0)) == []


def test_limits_of_the_database_are_over_its_pools() -> None:
    made = ledger(pool=5, database=3)
    assert made.give(1, APP, 2) == 2
    assert made.give(2, OTHER, 5) == 1
    assert made.free(APP) == 0
    want(made, 1, 1)
    assert list(made.orders(0.0)) == [Order(2, OTHER, busy=False)]


def test_the_reserve_is_for_who_has_waited() -> None:
    made = ledger(pool=1, reserve=1)
    made.give(1, APP, 1)
    want(made, 1, 1)
    assert list(made.grants()) == []
    want(made, 1, 1, reserve=True)
    assert list(made.grants()) == [(1, APP, 1)]


def test_what_a_worker_had_is_free_when_it_has_ended() -> None:
    made = ledger(pool=2)
    made.give(1, APP, 2)
    want(made, 1, 1)
    want(made, 2, 2)
    made.forget(1)
    assert list(made.grants()) == [(2, APP, 2)]
    assert not made.is_wanted


def test_without_a_limit_all_is_given() -> None:
    made = ledger()
    assert made.free(APP) is None
    assert made.give(1, APP, 1000) == 1000


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["want", "release", "forget", "give"]), st.integers(1, 3), st.booleans(), st.integers(0, 4)
        )
    )
)
def test_no_order_of_events_goes_above_a_limit(events: list[tuple[str, int, bool, int]]) -> None:
    made = ledger(pool=3, reserve=1, database=5)
    for verb, worker, is_app, number in events:
        account = APP if is_app else OTHER
        if verb == "want":
            want(made, worker, number, account=account, reserve=number == 4)
        elif verb == "release":
            made.release(worker, account, number)
        elif verb == "give":
            made.give(worker, account, number)
        else:
            made.forget(worker)
        list(made.grants())
        list(made.orders(0.0))
        held = {one: sum(made.held(worker, one) for worker in (1, 2, 3)) for one in (APP, OTHER)}
        assert all(0 <= count <= 4 for count in held.values())
        assert sum(held.values()) <= 5
