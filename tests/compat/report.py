"""The table of a run: a line a client, for the terminal and, as Markdown, for ``RESULTS.md``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

HEADER = ("client", "version", "steps")
INTRODUCTION = """\
# Clients

Written by `make compat ARGS=--write`. Each client's script (`tests/compat`) runs unchanged, with the driver's defaults,
at PostgreSQL and through Trunkline in transaction mode: with a pool of one server, and with a pool of three that takes
the server idle longest, so that statements travel. A step has passed when it prints through Trunkline what it prints
directly.
"""


@dataclass
class Outcome:
    """What came of one client; ``passed`` has the number of steps passed by target."""

    client: str
    version: str = ""
    steps: int = 0
    passed: dict[str, int] = field(default_factory=dict)
    missing: str = ""

    @property
    def is_good(self) -> bool:
        """A client that cannot be installed here is not to blame; one that printed nothing is."""
        return bool(self.missing) or (self.steps > 0 and all(count == self.steps for count in self.passed.values()))


def _cells(outcome: Outcome, targets: Sequence[str]) -> list[str]:
    if outcome.missing:
        return [outcome.client, "not installed", "", *("" for _ in targets)]
    counts = [f"{outcome.passed[target]}/{outcome.steps}" for target in targets]
    return [outcome.client, outcome.version, str(outcome.steps), *counts]


def table(outcomes: Sequence[Outcome], targets: Sequence[str]) -> str:
    """Aligned columns."""
    rows = [[*HEADER, *targets], *(_cells(outcome, targets) for outcome in outcomes)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def document(outcomes: Sequence[Outcome], targets: Sequence[str], server: str) -> str:
    """The whole of RESULTS.md."""
    columns = [*HEADER, *targets]
    lines = [f"| {' | '.join(columns)} |", f"|{' --- |' * len(columns)}"]
    lines += [f"| {' | '.join(_cells(outcome, targets))} |" for outcome in outcomes]
    missing = [f"- {outcome.client}: {outcome.missing}" for outcome in outcomes if outcome.missing]
    parts = [INTRODUCTION, f"Server: {server}.", "\n".join(lines)]
    return "\n\n".join([*parts, *(["Not installed:\n\n" + "\n".join(missing)] if missing else [])]) + "\n"
