"""What clients saw of a failover, and whether they were told the truth. Pure: from records to figures.

1. Whatever was acknowledged is there afterwards. What failed is not, unless its error said that nobody knows (08007).
2. A transaction that was under way when the primary was killed hears one error. One that began later hears none.
3. A writer finds at once what it has written. A reader is not disturbed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from itertools import pairwise

from trunkline.demo.load import Attempt, Kind

UNKNOWN = "08007"


@dataclass(frozen=True, slots=True)
class Moments:
    """When it happened, by ``time.monotonic``."""

    killing: float
    killed: float  # every process of the primary is gone
    promoting: float
    promoted: float  # the new primary takes writes


class Outage:
    """One failover; ``found`` are the nonces that the new primary has."""

    def __init__(self, attempts: Iterable[Attempt], moments: Moments, found: Collection[str]) -> None:
        every = list(attempts)
        self.moments = moments
        self.writes = [one for one in every if one.kind is Kind.WRITE]
        self.looks = [one for one in every if one.kind is Kind.LOOK]
        self.reads = [one for one in every if one.kind is Kind.READ]
        self.acknowledged = [one for one in self.writes if one.succeeded]
        self.failed = [one for one in self.writes if one.codes]
        self._found = frozenset(found)

    # --- what must not be -----------------------------------------------------------------------------------------

    @property
    def lost(self) -> list[Attempt]:
        """Acknowledged, and gone."""
        return [one for one in self.acknowledged if one.nonce not in self._found]

    @property
    def half_done(self) -> list[Attempt]:
        """Told to have failed, and there."""
        return [one for one in self.failed if one.nonce in self._found and UNKNOWN not in one.codes]

    @property
    def undue(self) -> list[Attempt]:
        """Failed although nothing of them was under way when the primary was killed."""
        return [one for one in (*self.writes, *self.looks) if one.codes and one.began > self.moments.killed]

    @property
    def told_twice(self) -> list[Attempt]:
        return [one for one in self.writes if len(one.codes) > 1]

    @property
    def stale(self) -> list[Attempt]:
        return [one for one in self.looks if one.stale]

    @property
    def disturbed(self) -> list[Attempt]:
        """Reads that failed."""
        return [one for one in self.reads if one.codes]

    @property
    def faults(self) -> dict[str, list[Attempt]]:
        """Everything that must not be, in words."""
        return {
            "acknowledged and lost": self.lost,
            "failed and there": self.half_done,
            "failed with nothing under way": self.undue,
            "told more than one error": self.told_twice,
            "missed its own write": self.stale,
            "failed reads": self.disturbed,
        }

    # --- what it was like -----------------------------------------------------------------------------------------

    @property
    def unknown(self) -> list[Attempt]:
        return [one for one in self.failed if UNKNOWN in one.codes]

    @property
    def resumed_s(self) -> float:
        """From the promotion to the first commit that was acknowledged by the new primary."""
        after = [one.ended for one in self.acknowledged if one.ended > self.moments.promoting]
        return max(0.0, min(after, default=float("inf")) - self.moments.promoted)

    @property
    def silence_s(self) -> float:
        """The longest time without an acknowledged commit."""
        moments = sorted(one.ended for one in self.acknowledged)
        return max((later - earlier for earlier, later in pairwise(moments)), default=float("inf"))

    @property
    def held(self) -> list[Attempt]:
        """Writes that waited for the new primary, and were done."""
        return [one for one in self.acknowledged if one.began < self.moments.promoting < one.ended]

    @property
    def reads_meanwhile(self) -> list[Attempt]:
        """Reads that were answered while there was no primary."""
        return [one for one in self.reads if self.moments.killed < one.ended < self.moments.promoting]

    def lines(self) -> list[str]:
        """For a person."""
        codes = Counter(code for one in self.failed for code in one.codes)
        errors = ", ".join(f"{count} x {code}" for code, count in sorted(codes.items())) or "none"
        there = sum(1 for one in self.unknown if one.nonce in self._found)
        unknown = f"; of {len(self.unknown)} commits of unknown outcome {there} had happened" if self.unknown else ""
        kept = len(self.acknowledged) - len(self.lost)
        return [
            f"commits acknowledged: {len(self.acknowledged):,}, found on the new primary: {kept:,}",
            f"without a commit for {self.silence_s:.2f} s, of these {self.resumed_s:.2f} s after the promotion",
            f"held for the new primary: {len(self.held)} transactions, for up to {_longest(self.held):.2f} s,"
            " and none of them failed",
            f"errors: {errors}{unknown}",
            f"reads: {len(self.reads):,}, {len(self.reads_meanwhile):,} of them while there was no primary,"
            f" {len(self.disturbed)} failed, the longest took {_longest(self.reads):.2f} s",
        ]


def _longest(attempts: Iterable[Attempt]) -> float:
    return max((one.ended - one.began for one in attempts), default=0.0)
