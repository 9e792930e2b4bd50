"""One measurement, and what is made of several: medians over rounds, ratios within a round."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TypeVar

from bench.contenders import Running
from bench.report import number, ratio

T = TypeVar("T")
Ratios = list[float]


@dataclass(frozen=True)
class Sample:
    """One pgbench run through one contender; ``cpu_us`` is the proxy's CPU per transaction, None without a proxy."""

    transactions: int
    tps: float
    average_ms: float
    p99_ms: float
    cpu_us: float | None
    errors: int
    note: str = ""


Value = Callable[[Sample], float | None]


def tps(sample: Sample) -> float:
    return sample.tps


def average_ms(sample: Sample) -> float:
    return sample.average_ms


def p99_ms(sample: Sample) -> float:
    return sample.p99_ms


def cpu_us(sample: Sample) -> float | None:
    return sample.cpu_us


def middle(samples: Sequence[Sample], value: Value) -> float | None:
    known = [number for sample in samples if (number := value(sample)) is not None]
    return median(known) if known else None


def ratios(ours: Sequence[Sample], theirs: Sequence[Sample], value: Value) -> Ratios:
    """One ratio a round; a round in which either side has no figure is left out."""
    pairs = ((value(a), value(b)) for a, b in zip(ours, theirs, strict=False))
    return [a / b for a, b in pairs if a is not None and b]


def beside_pgbouncer(name: str, samples: Mapping[str, Sequence[Sample]]) -> list[str]:
    """A row: the name, tps, p99, CPU each; CPU and tps over those of PgBouncer in the same round; errors."""
    ours, theirs = samples[name], samples.get("pgbouncer", [])
    return [
        name,
        number(middle(ours, tps)),
        number(middle(ours, p99_ms), 3),
        number(middle(ours, cpu_us), 1),
        ratio(ratios(ours, theirs, cpu_us)),
        ratio(ratios(ours, theirs, tps)),
        str(sum(one.errors for one in ours)),
    ]


def rotated(runners: Sequence[Running], turn: int) -> list[Running]:
    """The order of one round: each round begins with the next contender."""
    start = turn % max(len(runners), 1)
    return [*runners[start:], *runners[:start]]


def by_turns(runners: Sequence[Running], rounds: int) -> Iterator[Running]:
    for turn in range(rounds):
        yield from rotated(runners, turn)


def percentile(numbers: Sequence[T], share: float) -> T:
    """The nearest-rank percentile of sorted ``numbers``, which must not be empty."""
    return numbers[min(len(numbers) - 1, int(len(numbers) * share))]
