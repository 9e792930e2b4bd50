"""What a process of nonce clients counts, and what it finds; all of it goes to the lab as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Finding:
    """Something that must not be, with what is needed to see it again."""

    kind: str
    text: str
    client: int
    shape: str = ""
    database: str = ""
    settings: dict[str, str | None] = field(default_factory=dict)
    transcript: tuple[tuple[str, str, str], ...] = ()

    def __str__(self) -> str:
        said = "\n".join(f"    {way} {kind:<16} {body}" for way, kind, body in self.transcript)
        return f"{self.kind}: client {self.client} of {self.database} at {self.shape!r}: {self.text}\n{said}"


def finding_from(data: dict[str, Any]) -> Finding:
    return Finding(**(data | {"transcript": tuple(tuple(line) for line in data["transcript"])}))


@dataclass
class Tally:
    """Counters by name; ``report`` hears of each finding at once."""

    report: Callable[[Finding], None]
    replies: int = 0
    """Nonces that came back to where they belong, in whole and clean steps."""
    shapes: Counter[str] = field(default_factory=Counter)
    excused: Counter[str] = field(default_factory=Counter)
    """Errors by SQLSTATE, and ends of connections, that a fault explains."""
    unsupported: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    """What the clients themselves did, by kind."""
    events: Counter[str] = field(default_factory=Counter)

    COUNTERS = ("shapes", "excused", "unsupported", "faults", "events")

    def as_dict(self) -> dict[str, Any]:
        return {"replies": self.replies} | {name: dict(getattr(self, name)) for name in self.COUNTERS}


def add_up(tallies: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """The sum of what several processes have counted."""
    total: dict[str, Any] = {"replies": 0} | {name: Counter() for name in Tally.COUNTERS}
    for one in tallies:
        total["replies"] += one["replies"]
        for name in Tally.COUNTERS:
            total[name].update(one[name])
    return total


def as_json(finding: Finding) -> dict[str, Any]:
    return asdict(finding)
