"""What texts with ids in them are made of: slots, the calls that they stand for, and where these end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from trunkline.routing.planning.analysis import Analysis
from trunkline.routing.planning.ids import is_table_free, names_of
from trunkline.routing.plans.plan import Refusal
from trunkline.routing.sql import Node, walk

INT8, UUID, INT8_ARRAY, UUID_ARRAY = 20, 2950, 1016, 2951
_GIVE = "Draw it first (SELECT nextval('...')), and give it as a value."


# What is computed of a row, so that it fails only when it is needed.
_ELEMENT = (
    b"CASE WHEN pg_catalog.row_number() OVER () <= pg_catalog.cardinality($%d)"
    b" THEN ($%d)[(pg_catalog.row_number() OVER ())::pg_catalog.int4]"
    b" ELSE pg_catalog.concat('a row more than were counted: ', pg_catalog.row_number() OVER ())::pg_catalog.%b END"
)


@dataclass(frozen=True, slots=True)
class Slot:
    """A place for an id: `kind` is the function that it stands for, `named` that a column may have its name.

    `many`: for one id for each row of a query, which is counted first.
    """

    kind: str
    sequence: str = ""
    named: bool = False
    many: bool = False

    @property
    def type(self) -> int:
        if self.kind == "uuid7":
            return UUID_ARRAY if self.many else UUID
        return INT8_ARRAY if self.many else INT8

    def text(self, number: int) -> bytes:
        type = b"uuid" if self.kind == "uuid7" else b"int8"
        if self.many:
            return _ELEMENT % (number, number, type)
        if not self.named:
            return b"$%d" % number
        return b"(SELECT $%d::pg_catalog.%b AS %b)" % (number, type, self.kind.encode())


Piece = bytes | Slot


@dataclass(frozen=True, slots=True)
class Edit:
    """What stands from `start` to `end` is replaced."""

    start: int
    end: int
    pieces: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class CopyIds:
    """What the rows of a COPY get in front, and how they are written; the marks are bytes as the data has them."""

    slots: tuple[Slot, ...]
    types: tuple[str, ...]  # of their columns
    form: str
    header: bool
    delimiter: bytes
    quote: bytes
    escape: bytes
    csv_marker: bool


@dataclass(frozen=True, slots=True)
class Drawing:
    """The text in pieces, which `edits` make; `parameters` are the client's own, `count` says how many rows it has."""

    pieces: tuple[Piece, ...]
    parameters: int
    count: bytes = b""
    edits: tuple[Edit, ...] = ()
    inserts: bool = False
    copied: CopyIds | None = None  # what is drawn while data come, and stands in no text

    @property
    def slots(self) -> list[Slot]:
        return [one for one in self.pieces if isinstance(one, Slot)]

    def text(self, taken: int) -> bytes:
        """The text, in which the first slot is the parameter behind so many."""
        said, number = [], taken
        for one in self.pieces:
            number += isinstance(one, Slot)
            said.append(one.text(number) if isinstance(one, Slot) else one)
        return b"".join(said)


class Unfit(Exception):
    """There is no such text."""

    def __init__(self, reason: str, hint: str = _GIVE) -> None:
        self.refusal = Refusal(reason, hint)


# --- calls ---

_ONCE = frozenset(
    ["A_Expr", "ResTarget", "TypeCast", "FuncCall", "List", "A_ArrayExpr", "RowExpr", "CollateClause", "A_Indirection"]
)  # of whose parts all are evaluated, and once
_UNNAMED = frozenset(("whereClause", "valuesLists", "quals", "joinClause", "havingClause"))


@dataclass(frozen=True, slots=True)
class Call:
    node: Node
    once: bool
    named: bool


def calls_in(kind: str, node: Node) -> Iterator[Call]:
    """Every call, and whether it is evaluated once."""
    todo: list[tuple[Any, bool, bool]] = []
    rows = node.get("selectStmt", {}).get("SelectStmt", {}).get("valuesLists") if kind == "InsertStmt" else None
    if rows is not None:
        todo.append((rows, True, False))
    if kind == "SelectStmt" and is_table_free(node):
        todo.append((node["targetList"], True, True))
    else:
        rest = {name: value for name, value in node.items() if rows is None or name != "selectStmt"}
        todo.append((rest, False, True))
    while todo:
        current, once, named = todo.pop()
        if isinstance(current, list):
            todo.extend((one, once, named) for one in current)
        elif isinstance(current, dict):
            for name, value in current.items():
                if name == "FuncCall":
                    yield Call(value, once and "agg_filter" not in value and "over" not in value, named)
                inner = once and (not name[:1].isupper() or name in _ONCE)
                if name == "A_Expr" and str(value.get("kind", "")) not in ("AEXPR_OP", "AEXPR_OP_ANY"):
                    inner = False
                todo.append((value, inner, named and name not in _UNNAMED))


def end_of(sql: bytes, tokens: Sequence[tuple[str, int, int]], index: int) -> int:
    """Behind the parenthesis that closes the call whose name begins at this token."""
    depth = 0
    for kind, start, end in tokens[index:]:
        token = sql[start:end] if kind == "other" else b""
        depth += (token == b"(") - (token == b")")
        if token == b")" and depth == 0:
            return end
    raise Unfit("A call is not found again in its text.", "Write it more plainly.")


def forbid_sets(analysis: Analysis, node: Node) -> None:
    """A function that gives several rows would have one id for all of them."""
    for name, value in walk(node):
        if name == "FuncCall":
            schema, called = names_of(value)
            functions = analysis.catalog.find_functions(schema, called, analysis.search_path)
            if any(one.returns_set for one in functions):
                raise Unfit(f"{called}() gives several rows, each with an id of its own.")
