"""Which orders a worker hears that is started after they were given."""

from __future__ import annotations

import pytest

from trunkline.workers.standing import Standing


def after(*orders: str) -> list[str]:
    standing = Standing()
    for order in orders:
        verb, _, about = order.partition(" ")
        if verb == "SET":
            standing.note("set", {"name": about, "value": "1"})
        else:
            standing.note("act", {"name": verb, "argument": about})
    return [
        f"SET {arguments['name']}" if verb == "set" else f"{arguments['name']} {arguments['argument']}".strip()
        for verb, arguments in standing.orders
    ]


@pytest.mark.parametrize(
    ("orders", "left"),
    [
        (["PAUSE"], ["PAUSE"]),
        (["PAUSE", "RESUME"], []),
        (["PAUSE app", "PAUSE other"], ["PAUSE app", "PAUSE other"]),
        (["PAUSE app", "PAUSE other", "RESUME app"], ["PAUSE other"]),
        (["PAUSE", "RESUME app"], ["PAUSE", "RESUME app"]),
        (["PAUSE", "RESUME app", "PAUSE app"], ["PAUSE", "PAUSE app"]),
        (["PAUSE", "RESUME app", "RESUME"], []),
        (["KILL app"], ["PAUSE app"]),
        (["DISABLE app", "RESUME"], ["DISABLE app"]),
        (["DISABLE app", "ENABLE app"], []),
        (["SET verbose", "PAUSE"], ["SET verbose", "PAUSE"]),
        (["SET verbose", "RELOAD"], []),
        (["RECONNECT app", "WAIT_CLOSE"], []),
    ],
)
def test_orders_that_are_still_in_force(orders: list[str], left: list[str]) -> None:
    assert after(*orders) == left


def test_who_has_suspended_is_known_until_it_is_undone() -> None:
    standing = Standing()
    standing.note("act", {"name": "SUSPEND", "argument": ""}, by=2)
    assert standing.suspended_by == 2
    standing.note("resume", {"database": ""})
    assert standing.suspended_by == 0
