"""What expressions of the console's SELECT are evaluated on, and what they become: functions in Python with a type."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from trunkline.admin.result import ConsoleError, Row, Value

MAX_WORK: Final = 300_000  # a second, some 100 MB


@dataclass(slots=True)
class Run:
    """One statement that is answered: who asks, with what, and the rows of all relations in it by their names."""

    user: str = ""
    database: str = ""
    parameters: Sequence[Value] = ()
    tables: Mapping[str, Sequence[tuple[Value, ...]]] = field(default_factory=dict)
    work: int = 0

    def spend(self) -> None:
        """Told of each row that a join or a subquery looks at."""
        self.work += 1
        if self.work > MAX_WORK:
            hint = "The console joins by looking at every pair of rows."
            raise ConsoleError("54000", f"the statement looks at more than {MAX_WORK} rows", hint=hint)


@dataclass(slots=True)
class Scope:
    """A row, for aggregates all rows of its group, and for subqueries the row around them."""

    row: Row
    rows: Sequence[Row] = ()
    run: Run = field(default_factory=Run)
    outer: Scope | None = None


Evaluate = Callable[[Scope], Any]


@dataclass(slots=True)
class Expression:
    oid: int
    evaluate: Evaluate
    name: str = "?column?"
    literal: str | None = None  # the text of one that is UNKNOWN
    parameter: int = 0
    column: int | None = None  # if it is nothing but this column


def refused(what: str) -> ConsoleError:
    hint = "SHOW is not SQL: SELECT reads relations and joins of them; docs/console.md says what it knows."
    return ConsoleError("0A000", f"the console does not understand {what}", hint=hint)


# --- NULL ---------------------------------------------------------------------------------------------------------


def strict(function: Callable[..., Any], *parts: Evaluate) -> Evaluate:
    """NULL, if any of its arguments is."""

    def evaluate(scope: Scope) -> Any:
        values = [part(scope) for part in parts]
        return None if any(value is None for value in values) else function(*values)

    return evaluate


def decided(parts: Sequence[Evaluate], decisive: bool) -> Evaluate:
    """OR (True) and AND (False): decided by one that is so, NULL by one that is NULL."""

    def evaluate(scope: Scope) -> Any:
        unknown = False
        for part in parts:
            value = part(scope)
            if value is decisive:
                return decisive
            unknown = unknown or value is None
        return None if unknown else not decisive

    return evaluate


def compared(compare: Callable[[Any, Any], bool], value: Any, others: Sequence[Any], decisive: bool) -> bool | None:
    """`value = ANY (others)` for True, ALL for False."""
    unknown = False
    for other in others:
        if value is None or other is None:
            unknown = True
        elif compare(value, other) is decisive:
            return decisive
    return None if unknown else not decisive
