"""Totals and averages per database, as SHOW STATS has them: pools count, here it is summed up and averaged.

Times are microseconds. Averages are over the last complete stats_period; before there is one, since start.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass, fields

from trunkline.pool.latencies import Latencies
from trunkline.pool.pool import Pool
from trunkline.pool.pools import Pools


@dataclass(slots=True)
class Totals:
    """Counters since start, of one database."""

    server_assignment_count: int = 0
    xact_count: int = 0
    query_count: int = 0
    bytes_received: int = 0
    bytes_sent: int = 0
    xact_time: int = 0
    query_time: int = 0
    wait_time: int = 0
    client_parse_count: int = 0
    server_parse_count: int = 0
    bind_count: int = 0
    client_login_count: int = 0

    def add(self, other: Totals, sign: int = 1) -> Totals:
        pairs = zip(astuple(self), astuple(other), strict=True)
        return Totals(*(a + sign * b for a, b in pairs))


@dataclass(frozen=True, slots=True)
class Averages:
    """Per second for counts and bytes; per transaction, query and assignment for times."""

    totals: Totals
    seconds: float

    def rows(self) -> dict[str, int]:
        """Every field of Totals, averaged."""
        t = self.totals
        per = {"xact_time": t.xact_count, "query_time": t.query_count, "wait_time": t.server_assignment_count}
        averaged = {}
        for field in fields(Totals):
            value = getattr(t, field.name)
            count = per.get(field.name)
            divisor = self.seconds if count is None else count
            averaged[field.name] = int(value / divisor) if divisor else 0
        return averaged


def totals_of(pool: Pool) -> Totals:
    """The counters of one pool."""
    return Totals(
        pool.assignment_count,
        pool.xact_count,
        pool.query_count,
        pool.bytes_received,
        pool.bytes_sent,
        int(pool.xact_times.sum_s * 1e6),
        int(pool.query_times.sum_s * 1e6),
        int(pool.wait_times.sum_s * 1e6),
        pool.client_parse_count,
        pool.server_parse_count,
        pool.bind_count,
        pool.login_count,
    )


class Statistics:
    """Sums over pools, and the difference to the beginning of the period."""

    def __init__(self, pools: Pools) -> None:
        self._pools = pools
        self._started = self._period_began = pools.now
        self._before: dict[str, Totals] = {}
        self._last: dict[str, Averages] = {}
        self.latencies = Latencies(pools)

    def totals(self) -> dict[str, Totals]:
        """Since start, by database."""
        sums: dict[str, Totals] = {}
        for pool in self._pools:
            sums[pool.database] = sums.get(pool.database, Totals()).add(totals_of(pool))
        return sums

    def averages(self) -> dict[str, Averages]:
        """Over the last complete period, by database."""
        seconds = max(self._pools.now - self._started, 1e-3)
        return {name: self._last.get(name, Averages(totals, seconds)) for name, totals in self.totals().items()}

    def turn(self, now: float) -> None:
        """A period ends."""
        self.latencies.turn()
        seconds = max(now - self._period_began, 1e-3)
        sums = self.totals()
        self._last = {n: Averages(t.add(self._before.get(n, Totals()), -1), seconds) for n, t in sums.items()}
        self._before, self._period_began = sums, now

    def line(self) -> str:
        """One line for the log, over all databases."""
        whole = Averages(Totals(), 1.0)
        for average in self._last.values():
            whole = Averages(whole.totals.add(average.totals), average.seconds)
        rows = whole.rows()
        return (
            f"{rows['xact_count']} xacts/s, {rows['query_count']} queries/s, in {rows['bytes_received']} B/s, "
            f"out {rows['bytes_sent']} B/s, xact {rows['xact_time']} us, query {rows['query_time']} us, "
            f"wait {rows['wait_time']} us"
        )
