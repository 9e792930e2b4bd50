"""What a section hands back, and how figures become Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

Figures = Mapping[str, Sequence[float]]


@dataclass
class Section:
    """``figures`` are what the bars are held against: one number a round under a stable key."""

    title: str
    about: str
    tables: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    figures: dict[str, Sequence[float]] = field(default_factory=dict)

    def markdown(self) -> str:
        notes = "\n".join(f"- {note}" for note in dict.fromkeys(self.notes))
        return "\n\n".join(part for part in (f"## {self.title}", self.about, *self.tables, notes) if part)

    def note_absent(self, absent: Mapping[str, str]) -> None:
        self.notes += [f"{name}: {reason}" for name, reason in absent.items()]


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table padded so that it reads well in a terminal too; the first column is text, the rest numbers."""
    rows = [list(row) for row in rows]
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]

    def line(cells: Sequence[str]) -> str:
        padded = (cell.rjust(w) if i else cell.ljust(w) for i, (cell, w) in enumerate(zip(cells, widths, strict=True)))
        return "| " + " | ".join(padded) + " |"

    rule = "|" + "|".join("-" * (w + 1) + (":" if i else "-") for i, w in enumerate(widths)) + "|"
    return "\n".join([line(header), rule, *map(line, rows)])


def number(value: float | None, digits: int = 0) -> str:
    return "-" if value is None or value != value else f"{value:,.{digits}f}"


def ratio(values: Sequence[float]) -> str:
    return number(median(values), 2) if values else "-"


def spread(values: Sequence[float], digits: int = 2) -> str:
    """The median, and the extremes of the rounds behind it."""
    if not values:
        return "-"
    if len(values) == 1:
        return number(values[0], digits)
    return f"{number(median(values), digits)} ({number(min(values), digits)} to {number(max(values), digits)})"
