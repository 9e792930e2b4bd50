"""Pictures of what a console said."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from trunkline.top.view import Order, Sample, duration, frame, printable


def pool(database: str, user: str = "ann", **more: Any) -> dict[str, Any]:
    zeros = dict.fromkeys(["cl_active", "cl_waiting", "sv_active", "sv_idle", "sv_login", "maxwait", "maxwait_us"], 0)
    return {"database": database, "user": user, "pool_mode": "transaction", **zeros, **more}


def route(template: str, calls: int, query_time: int) -> dict[str, Any]:
    return {
        "database": "shop", "template": template, "route": "single", "calls": Decimal(calls),
        "query_time": Decimal(query_time),
    }  # fmt: skip


def sample(at: float = 0.0, queries: int = 0, **said: Any) -> Sample:
    lists = [{"list": name, "items": 7} for name in ("used_clients", "login_clients", "used_servers")]
    return Sample(
        at,
        {
            "VERSION": [{"version": "Trunkline 1.2.3"}],
            "LISTS": lists,
            "STATS_TOTALS": [{"database": "app", "query_count": Decimal(queries), "xact_count": Decimal(0)}],
            "POOLS": [pool("pgbouncer", "pgbouncer")],
            "LATENCIES": [],
            "ROUTES": [],
            "PINS": [],
            **said,
        },
    )


BUSY = sample(
    POOLS=[
        pool("b", sv_active=5),
        pool("a", cl_waiting=2, maxwait=1, maxwait_us=500_000),
        pool("c", sv_active=9),
        pool("pgbouncer", "pgbouncer", cl_active=1),
    ],
    ROUTES=[route("SELECT often", 100, 100), route("SELECT slowly", 2, 4_000_000)],
)


def shown(now: Sample, order: Order, title: str) -> list[str]:
    """The first word of each row below a title."""
    lines = frame(now, None, order, 200, 0)
    at = next(number for number, line in enumerate(lines) if line.startswith(title))
    rows = lines[at + 2 : lines.index("", at) if "" in lines[at:] else len(lines)]
    return [row.split()[0] if title == "POOLS" else row.split()[-1] for row in rows]


@pytest.mark.parametrize(
    ("order", "pools", "statements"),
    [
        (Order.WAIT, ["a", "c", "b"], ["slowly", "often"]),
        (Order.ACTIVE, ["c", "b", "a"], ["often", "slowly"]),
        (Order.NAME, ["a", "b", "c"], ["often", "slowly"]),
    ],
)
def test_pools_and_statements_are_sorted(order: Order, pools: list[str], statements: list[str]) -> None:
    assert shown(BUSY, order, "POOLS") == pools
    assert shown(BUSY, order, "STATEMENTS") == statements


def test_the_next_order_comes_round_again() -> None:
    assert Order.NAME.next is Order.WAIT
    assert len({Order.WAIT, Order.WAIT.next, Order.WAIT.next.next}) == len(Order)


def test_the_first_line_has_the_whole_and_what_was_done_since() -> None:
    (first, *_) = frame(sample(at=12.0, queries=1500), sample(at=10.0, queries=500), Order.WAIT, 200, 0)
    assert first.startswith("Trunkline 1.2.3   7 clients (0 waiting, 7 logging in)   7 servers")
    assert "500 queries/s" in first
    assert "queries/s" not in frame(sample(), None, Order.WAIT, 200, 0)[0]


def test_a_counter_that_began_anew_is_no_negative_rate() -> None:
    assert "0 queries/s" in frame(sample(2.0, 5), sample(1.0, 500), Order.WAIT, 200, 0)[0]


def test_a_picture_is_no_larger_than_the_terminal() -> None:
    lines = frame(BUSY, None, Order.WAIT, 30, 6)
    assert len(lines) == 6
    assert max(map(len, lines)) <= 30


def test_pins_are_shown_once_there_are_any_the_longest_first() -> None:
    assert not [line for line in frame(BUSY, None, Order.WAIT, 200, 0) if line.startswith("PINS")]
    pins = [
        {"database": f"d{age}", "user": "u", "addr": "::1", "pinned_s": age, "reasons": "temporary tables"}
        for age in range(12)
    ]
    lines = frame(sample(PINS=pins), None, Order.WAIT, 200, 0)
    at = lines.index("PINS, of 12 those that last longest")
    assert [line.split()[0] for line in lines[at + 2 :]] == [f"d{age}" for age in range(11, 1, -1)]


def test_no_name_that_a_client_chose_is_obeyed_by_the_terminal() -> None:
    hostile = "\x1b[2J\x07\r\n\x9b31m\u202e"
    text = "".join(
        frame(sample(POOLS=[pool(hostile, hostile)], ROUTES=[route(hostile, 1, 1)]), None, Order.NAME, 90, 0)
    )
    assert text.isprintable()
    assert printable(hostile) == " [2J    31m "


@pytest.mark.parametrize(
    ("microseconds", "text"), [(0, "0 us"), (999, "999 us"), (1500, "1.5 ms"), (2_500_000, "2.5 s")]
)
def test_durations_are_told_in_a_unit_that_fits(microseconds: int, text: str) -> None:
    assert duration(microseconds) == text
