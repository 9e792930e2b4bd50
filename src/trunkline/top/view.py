"""What the live view shows, as lines of text: pure, from what the console said now and a moment before.

Names and texts are the clients' choice, so nothing that a terminal would obey gets into a line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias

Row: TypeAlias = Mapping[str, Any]

COMMANDS = ("VERSION", "LISTS", "STATS_TOTALS", "POOLS", "LATENCIES", "ROUTES", "PINS")
"""What is asked: SHOW and each of these."""

CONSOLE = "pgbouncer"
SHOWN_PINS = 10


@dataclass(frozen=True, slots=True)
class Sample:
    """What the console said at a moment, by command."""

    at: float
    said: Mapping[str, Sequence[Row]]


class Order(StrEnum):
    """By what pools and statements are sorted, the largest first."""

    WAIT = "wait"
    ACTIVE = "active"
    NAME = "name"

    @property
    def next(self) -> Order:
        orders = list(Order)
        return orders[(orders.index(self) + 1) % len(orders)]


_POOLS: Mapping[Order, Callable[[Row], Any]] = {
    Order.WAIT: lambda row: (-wait_us(row), -row["cl_waiting"], -row["sv_active"]),
    Order.ACTIVE: lambda row: (-row["sv_active"], -row["cl_active"]),
    Order.NAME: lambda row: (row["database"], row["user"]),
}
_STATEMENTS: Mapping[Order, Callable[[Row], Any]] = {
    Order.WAIT: lambda row: -average_us(row),
    Order.ACTIVE: lambda row: -row["calls"],
    Order.NAME: lambda row: (row["database"], row["template"]),
}


def wait_us(row: Row) -> int:
    """How long the first client in line of a pool has waited."""
    return int(row["maxwait"]) * 1_000_000 + int(row["maxwait_us"])


def average_us(row: Row) -> int:
    """Of one template."""
    return int(row["query_time"] / row["calls"]) if row["calls"] else 0


def frame(now: Sample, before: Sample | None, order: Order, width: int, height: int) -> list[str]:
    """The lines of one picture, none wider and no more than fit; a height of 0 has no end."""
    lines = [printable(line)[:width].rstrip() for line in _lines(now, before, order)]
    return lines[:height] if height else lines


def _lines(now: Sample, before: Sample | None, order: Order) -> Iterator[str]:
    yield _summary(now, before)
    yield from _pools(now, order)
    yield from _latencies(now)
    if now.said["PINS"]:
        yield from _pins(now)
    if now.said["ROUTES"]:
        yield from _statements(now, order)


def _pools(now: Sample, order: Order) -> Iterator[str]:
    yield ""
    yield f"POOLS by {order}"
    pools = [row for row in now.said["POOLS"] if row["database"] != CONSOLE]
    names = ("database", "user", "cl_active", "cl_waiting", "sv_active", "sv_idle", "sv_login")
    yield from _table(
        "database user clients waiting servers idle login maxwait mode",
        [
            (*(row[name] for name in names), duration(wait_us(row)), row["pool_mode"])
            for row in sorted(pools, key=_POOLS[order])
        ],
    )


def _latencies(now: Sample) -> Iterator[str]:
    yield ""
    yield "LATENCIES"
    names = ("p50_us", "p95_us", "p99_us", "p99_9_us", "max_us")
    yield from _table(
        "database kind count p50 p95 p99 p99.9 max",
        [
            (row["database"], row["kind"], row["count"], *(duration(int(row[name])) for name in names))
            for row in now.said["LATENCIES"]
        ],
    )


def _pins(now: Sample) -> Iterator[str]:
    yield ""
    yield f"PINS, of {len(now.said['PINS'])} those that last longest"
    longest = sorted(now.said["PINS"], key=lambda row: -row["pinned_s"])[:SHOWN_PINS]
    names = ("database", "user", "addr", "pinned_s", "reasons")
    yield from _table(" ".join(names), [tuple(row[name] for name in names) for row in longest])


def _statements(now: Sample, order: Order) -> Iterator[str]:
    yield ""
    yield f"STATEMENTS by {order}, of databases with shards or replicas"
    yield from _table(
        "database calls average route template",
        [
            (row["database"], row["calls"], duration(average_us(row)), row["route"], row["template"])
            for row in sorted(now.said["ROUTES"], key=_STATEMENTS[order])
        ],
    )


def _summary(now: Sample, before: Sample | None) -> str:
    lists = {row["list"]: row["items"] for row in now.said["LISTS"]}
    waiting = sum(row["cl_waiting"] for row in now.said["POOLS"])
    words = [
        str(now.said["VERSION"][0]["version"]),
        f"{lists['used_clients']} clients ({waiting} waiting, {lists['login_clients']} logging in)",
        f"{lists['used_servers']} servers",
    ]
    if before is not None and now.at > before.at:
        for word, column in (("queries", "query_count"), ("transactions", "xact_count")):
            more = _total(now, column) - _total(before, column)
            words.append(f"{max(0, more) / (now.at - before.at):,.0f} {word}/s")
    return "   ".join(words)


def _total(sample: Sample, column: str) -> float:
    return sum(float(row[column]) for row in sample.said["STATS_TOTALS"])


def _table(head: str, rows: Sequence[Sequence[Any]]) -> Iterator[str]:
    """Columns as wide as what is in them; numbers to the right, the last column as long as it is."""
    names = head.split()
    texts = [names, *([printable(str(value)) for value in row] for row in rows)]
    widths = [max(len(row[place]) for row in texts) for place in range(len(names))]
    numeric = [bool(rows) and not isinstance(rows[0][place], str) for place in range(len(names))]
    for row in texts:
        cells = zip(row, widths, numeric, strict=True)
        yield "  " + "  ".join(text.rjust(size) if right else text.ljust(size) for text, size, right in cells).rstrip()


def duration(microseconds: int) -> str:
    """In the unit that leaves one to three digits before the point."""
    if microseconds < 1000:
        return f"{microseconds} us"
    if microseconds < 1_000_000:
        return f"{microseconds / 1000:.1f} ms"
    return f"{microseconds / 1_000_000:.1f} s"


def printable(text: str) -> str:
    """Nothing but characters that take a place of their own, and spaces."""
    return "".join(character if character.isprintable() else " " for character in text)
