"""What has to be reached, as a table: each bar names a figure of a section and the limit it is held against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from bench import commits, idle, logins, micro_routing, operations, prepared, spread, tls, tpch, upgrades, wide, workers
from bench.decisions import READING, SHARDED
from bench.report import Figures, table
from bench.report import spread as spread_of
from bench.throughput import CPU, ERRORS, TPS, figure

HEADER = ("figure", "bar", "measured", "met")


@dataclass(frozen=True)
class Bar:
    """``key`` is the figure's; it is met when the median over rounds is within ``limit``, ``at_most`` or at least."""

    key: str
    limit: float
    at_most: bool = True

    def row(self, figures: Figures) -> tuple[str, str, str, str]:
        values = figures.get(self.key, ())
        bar = f"{self.limit:g} or {'less' if self.at_most else 'more'}"
        return self.key, bar, spread_of(values), self._verdict(values)

    def _verdict(self, values: Sequence[float]) -> str:
        if not values:
            return "not measured"
        middle = median(values)
        return "yes" if (middle <= self.limit if self.at_most else middle >= self.limit) else "**no**"


CELLS = [(mode, clients) for mode in ("simple", "extended") for clients in (16, 64)]
BARS = (
    *(Bar(figure(CPU, "pgbouncer", mode, n), {16: 1.10, 64: 0.95}[n]) for mode, n in CELLS),
    *(Bar(figure(CPU, "floor", mode, n), 1.25) for mode, n in CELLS),
    *(Bar(figure(TPS, "pgbouncer", mode, n), 0.95, at_most=False) for mode, n in CELLS),
    Bar(ERRORS, 0),
    Bar(prepared.ERRORS, 0),
    Bar(prepared.FASTER, 1.0, at_most=False),
    *(Bar(SHARDED.figure(mode), limit) for mode, limit in (("simple", 1.15), ("prepared", 1.10))),
    *(Bar(READING.figure(mode), 1.05) for mode in ("simple", "prepared")),
    *(Bar(one.errors, 0) for one in (SHARDED, READING)),
    *(Bar(commits.figure(mode), 0.9, at_most=False) for mode in commits.CONTESTED),
    Bar(commits.ERRORS, 0),
    *(Bar(spread.latency(statement), 1.3) for statement in spread.ASKED),
    Bar(spread.RATE, 300_000, at_most=False),
    Bar(spread.GROWTH, 8),
    Bar(spread.COPIED, 200_000, at_most=False),
    Bar(spread.TWO_PHASE, 0.45, at_most=False),
    Bar(spread.ERRORS, 0),
    Bar(workers.TPS, 1.25, at_most=False),
    Bar(workers.CPU, 1.05),
    Bar(workers.ERRORS, 0),
    Bar(operations.START, 0.5),
    Bar(operations.REPLACED, 1),
    Bar(operations.RELOAD, 0.2),
    Bar(operations.PAUSE, 20),
    Bar(upgrades.FAILED, 0),
    Bar(upgrades.REFUSED, 0),
    Bar(tpch.RIGHT, 22, at_most=False),
    Bar(tpch.WRONG, 0),
    *(Bar(f"{name}, ns", limit) for name, limit in micro_routing.BARS_NS.items()),
    Bar(micro_routing.HIT_RATE, 99.9, at_most=False),
    Bar(micro_routing.KEPT, 10_000, at_most=False),
    Bar(micro_routing.MEMORY, 20),
    Bar(wide.THROUGHPUT, 0.9, at_most=False),
    Bar(wide.GROWTH, 2),
    Bar(wide.SLOW_GROWTH, 2),
    Bar(idle.EACH, 2000),
    Bar(idle.FRESH, 45),
    Bar(logins.FAILED, 0),
    Bar(logins.SECONDS, 5),
    Bar(logins.DISTURBANCE, 3),
    Bar(tls.CPU, 1.3),
)


def summary(figures: Figures) -> str:
    """Every bar with what Trunkline reached; nothing is left out because it was not measured."""
    return table(HEADER, [bar.row(figures) for bar in BARS])
