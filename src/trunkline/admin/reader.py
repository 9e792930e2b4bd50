"""What a SELECT of the console is read with: its columns, the types of its parameters, and who reads which node.

A kind of node enters itself into READERS (expressions.py, calls.py); what is not there is refused (0A000).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

from trunkline.admin.commands import Command
from trunkline.admin.result import ConsoleError, Value
from trunkline.admin.scopes import Evaluate, Expression, Run, Scope, refused
from trunkline.admin.types import NAMES, UNKNOWN, common, from_text
from trunkline.protocol.messages import BOOL, TEXT
from trunkline.routing.sql import Node, only

MAX_DEPTH: Final = 40


class Known(NamedTuple):
    """A column that can be named."""

    relation: str
    name: str
    oid: int
    merged: bool = False  # by USING with one before it: only `relation.name` says it


class Query(Protocol):
    """A SELECT that was read (select.py)."""

    columns: tuple[tuple[str, int], ...]

    def rows(self, run: Run, outer: Scope | None) -> Iterator[tuple[Value, ...] | None]: ...


@dataclass(slots=True)
class Statement:
    """What all SELECTs of one statement share."""

    read: Callable[[Node, Reader | None, Statement], Query]  # a subquery, and what is around it
    parameters: dict[int, int] = field(default_factory=dict)  # number -> type
    commands: dict[str, Command] = field(default_factory=dict)  # by relation: whose rows are needed


@dataclass(slots=True)
class Reader:
    """Reads the expressions of one SELECT."""

    statement: Statement
    columns: list[Known] = field(default_factory=list)
    outer: Reader | None = None  # of the SELECT around this one
    bare: set[int] = field(default_factory=set)  # columns that stand outside of aggregates
    used: set[int] = field(default_factory=set)  # columns, by what was read last
    windows: list[Node] = field(default_factory=list)  # of row_number(); their values stand behind the columns
    aggregates: bool = False
    inside: bool = False  # of an aggregate
    _depth: int = 0

    @property
    def parameters(self) -> dict[int, int]:
        return self.statement.parameters

    def read(self, node: Node) -> Expression:
        kind, value = only(node)
        reader = READERS.get(kind)
        if reader is None:
            raise refused(kind)
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ConsoleError("54001", "the expression is nested too deeply")
        try:
            return reader(self, value)
        finally:
            self._depth -= 1

    def boolean(self, node: Node) -> Expression:
        found = self.settled(self.read(node), BOOL)
        if found.oid != BOOL:
            raise ConsoleError("42804", f"argument must be type boolean, not type {NAMES[found.oid]}")
        return found

    # --- types --------------------------------------------------------------------------------------------------

    def settled(self, found: Expression, oid: int) -> Expression:
        """The same, of this type if it was of none; what is of another one is left so."""
        if found.oid != UNKNOWN:
            return found
        if found.parameter:
            known = self.parameters[found.parameter]
            if known != UNKNOWN and known != oid:
                raise ConsoleError("42P08", f"inconsistent types deduced for parameter ${found.parameter}")
            self.parameters[found.parameter] = oid
            return Expression(oid, found.evaluate, found.name, parameter=found.parameter)
        value = None if found.literal is None else from_text(found.literal, oid)
        return Expression(oid, lambda _: value, found.name)

    def paired(self, left: Expression, right: Expression, sign: str) -> tuple[Expression, Expression, int]:
        """Both as one type, or an error in PostgreSQL's words."""
        oid = common(left.oid, right.oid)
        if oid is None:
            words = f"operator does not exist: {NAMES[left.oid]} {sign} {NAMES[right.oid]}"
            raise ConsoleError("42883", words)
        oid = TEXT if oid == UNKNOWN else oid
        return self.settled(left, oid), self.settled(right, oid), oid

    def alike(self, found: Sequence[Expression], what: str) -> tuple[list[Evaluate], int]:
        """All of one type, or an error in PostgreSQL's words."""
        oid = UNKNOWN
        for one in found:
            shared = common(oid, one.oid)
            if shared is None:
                raise ConsoleError("42804", f"{what} types {NAMES[oid]} and {NAMES[one.oid]} cannot be matched")
            oid = shared
        oid = TEXT if oid == UNKNOWN else oid
        return [self.settled(one, oid).evaluate for one in found], oid

    # --- columns ---------------------------------------------------------------------------------------------------

    def resolved(self, name: str, relation: str | None) -> Expression | None:
        """A column of this SELECT, else of one around it."""
        found = [
            index
            for index, one in enumerate(self.columns)
            if one.name == name and (not one.merged if relation is None else one.relation == relation)
        ]
        if len(found) > 1:
            raise ConsoleError("42702", f'column reference "{name}" is ambiguous')
        if found:
            return self.column_at(found[0])
        further = self.outer.resolved(name, relation) if self.outer is not None else None
        if further is None:
            return None
        around = further.evaluate
        return Expression(further.oid, lambda scope: around(_around(scope)), name)

    def column_at(self, index: int) -> Expression:
        self.used.add(index)
        if not self.inside:
            self.bare.add(index)
        one = self.columns[index]
        return Expression(one.oid, lambda scope: scope.row[index], one.name, column=index)


def _around(scope: Scope) -> Scope:
    assert scope.outer is not None
    return scope.outer


Read = Callable[[Reader, Node], Expression]
READERS: dict[str, Read] = {}
"""By the kind of node."""


def reads(*kinds: str) -> Callable[[Read], Read]:
    def add(read: Read) -> Read:
        READERS.update(dict.fromkeys(kinds, read))
        return read

    return add
