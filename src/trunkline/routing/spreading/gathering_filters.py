"""Which rows of a gathered table are needed at all: conditions of WHERE that are asked already where the rows lie.

A filter may let through too much, never too little, and it cannot fail. So only comparisons of a column with constants
are read, of types and with operators of PostgreSQL's own, where the constant means the same at every shard. All of them
are false for NULL: below an outer join a row that they drop would have been dropped after it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trunkline.routing.planning.constants import type_name
from trunkline.routing.spreading.gathering_names import Named, is_view
from trunkline.routing.spreading.quoting import identifier, literal
from trunkline.routing.sql import Node, only


@dataclass(frozen=True, slots=True)
class Given:
    """The value of a parameter; `cast` is what the statement casts it to."""

    number: int
    cast: str = ""


@dataclass(frozen=True, slots=True)
class Test:
    """One comparison: SQL with values to be put in."""

    parts: tuple[str | Given, ...]


@dataclass(frozen=True, slots=True)
class All:
    """All of them; one that cannot be said is left out."""

    parts: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """One of them; if one cannot be said, nothing is said."""

    parts: tuple[Filter, ...]


Filter = Test | All | AnyOf

_NUMBERS = frozenset(("int2", "int4", "int8", "numeric", "float4", "float8"))
_MOMENTS = frozenset(("date", "timestamp", "timestamptz"))  # what is no date in digits may mean the clock
_PLAIN = _NUMBERS | _MOMENTS | {"text", "varchar", "bpchar", "bool", "uuid", "bytea"}
_OPERATORS = frozenset(("=", "<", ">", "<=", ">=", "<>"))
_TURNED = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}
_DIGITS = re.compile(r"[0-9]{4,6}-[0-9]")
MAX_DEPTH = 20
MAX_VALUES = 1000  # of a list


def written(filter: Filter | None, value_of: Callable[[Given], str | None]) -> str | None:
    """The filter as SQL; None if it says nothing."""
    if filter is None:
        return None
    if isinstance(filter, Test):
        parts = [part if isinstance(part, str) else value_of(part) for part in filter.parts]
        return None if None in parts else "".join(part for part in parts if part is not None)
    said = [written(part, value_of) for part in filter.parts]
    kept = [one for one in said if one is not None]
    if isinstance(filter, AnyOf):
        return f"({' OR '.join(kept)})" if kept and len(kept) == len(said) else None
    return f"({' AND '.join(kept)})" if kept else None


def united(filters: Sequence[Filter | None]) -> Filter | None:
    """What one of several uses of a table needs."""
    known = [one for one in filters if one is not None]
    if not known or len(known) < len(filters):
        return None
    return known[0] if all(one == known[0] for one in known) else AnyOf(tuple(known))


def filter_of(named: Named, siblings: Sequence[Named]) -> Filter | None:
    """What WHERE of its SELECT asks of a table; `siblings` are the tables that the same text names."""
    where = named.block.get("whereClause")
    if not where or named.found.relation is None or is_view(named.found) or named.renames:
        return None
    return _Reader(named, [one for one in siblings if one.block is named.block]).read(where, MAX_DEPTH)


class _Reader:
    """Reads WHERE for one table in FROM."""

    def __init__(self, named: Named, siblings: Sequence[Named]) -> None:
        assert named.found.relation is not None
        self._alias = named.alias
        self._types = {column.name: column.type for column in named.found.relation.columns}
        others = [one for one in siblings if one is not named]
        self._others = {name for one in others for name in one.found.columns}
        self._others |= {name for _, join in _joins(named.block) for name in _merged(join)}
        # Names without an alias are trusted only where every table keeps its own.
        renames = any(one.renames for one in siblings)
        special = any(join.get("isNatural") or join.get("alias") for _, join in _joins(named.block))
        self._trusts_bare = not renames and not special
        self._trusts_alias = not any(one.alias == named.alias for one in others)

    def read(self, wrapped: Node, depth: int) -> Filter | None:
        if not depth:
            return None
        name, node = only(wrapped)
        if name == "BoolExpr":
            return self._bool(node, depth - 1)
        if name == "NullTest" and node["nulltesttype"] == "IS_NOT_NULL":
            column = self._column(node["arg"])
            return Test((f"{identifier(column)} IS NOT NULL",)) if column is not None else None
        if name == "ColumnRef":
            column = self._column(wrapped)
            return Test((identifier(column),)) if column is not None and self._types[column] == "bool" else None
        return _KINDS.get(node.get("kind", ""), _nothing)(self, node) if name == "A_Expr" else None

    def _bool(self, node: Node, depth: int) -> Filter | None:
        if node["boolop"] == "NOT_EXPR":
            column = self._column(node["args"][0])
            bare = column is not None and self._types[column] == "bool"
            return Test((f"NOT {identifier(column)}",)) if bare and column is not None else None
        parts = [self.read(part, depth) for part in node["args"]]
        known = tuple(part for part in parts if part is not None)
        if node["boolop"] == "AND_EXPR":
            return All(known) if known else None
        return AnyOf(known) if len(known) == len(parts) else None

    def _column(self, wrapped: Node) -> str | None:
        fields = wrapped.get("ColumnRef", {}).get("fields", ())
        names = [part["String"].get("sval", "") for part in fields if "String" in part]
        if not names or len(names) != len(fields) or self._types.get(names[-1]) not in _PLAIN:
            return None
        if len(names) == 1:
            return names[0] if self._trusts_bare and names[0] not in self._others else None
        mine = len(names) == 2 and names[0] == self._alias and self._trusts_alias
        return names[1] if mine else None

    # --- comparisons

    def compared(self, node: Node) -> Filter | None:
        operator = _operator(node)
        if operator not in _OPERATORS or "lexpr" not in node:
            return None
        left, right = node["lexpr"], node["rexpr"]
        column = self._column(left)
        if column is None:
            column, right, operator = self._column(right), left, _TURNED.get(operator, operator)
        value = self._value(column, right)
        if column is None or value is None:
            return None
        return Test((f"{identifier(column)} OPERATOR(pg_catalog.{operator}) ", *value))

    def among(self, node: Node) -> Filter | None:
        column = self._column(node["lexpr"])
        items = node["rexpr"].get("List", {}).get("items", ())
        if _operator(node) != "=" or column is None or not 0 < len(items) <= MAX_VALUES:
            return None
        tests = [self._value(column, item) for item in items]
        parts: list[str | Given] = [f"{identifier(column)} IN ("]
        for place, value in enumerate(tests):
            if value is None:
                return None
            parts += [", ", *value] if place else value
        return Test((*parts, ")"))

    def between(self, node: Node) -> Filter | None:
        column = self._column(node["lexpr"])
        bounds = [self._value(column, item) for item in node["rexpr"]["List"]["items"]]
        known = [
            Test((f"{identifier(column)} OPERATOR(pg_catalog.{operator}) ", *value))
            for operator, value in zip((">=", "<="), bounds, strict=True)
            if column is not None and value is not None
        ]
        return All(tuple(known)) if known else None

    def _value(self, column: str | None, wrapped: Node) -> list[str | Given] | None:
        return _constant(self._types[column], *only(wrapped)) if column is not None else None


def _constant(type: str, name: str, node: Node) -> list[str | Given] | None:
    """A constant as SQL, if comparing it with a column of this type cannot fail nor mean another thing elsewhere."""
    if name == "ParamRef":
        return [Given(node["number"])] if node.get("number") else None
    if name == "TypeCast":
        cast = type_name(node["typeName"])
        if cast not in _PLAIN or (cast in _NUMBERS) != (type in _NUMBERS) or (cast in _MOMENTS) != (type in _MOMENTS):
            return None
        if "ParamRef" in node["arg"]:
            return [Given(node["arg"]["ParamRef"].get("number", 0), cast)]
        inner = _constant(cast, *only(node["arg"]))
        return [*inner, f"::pg_catalog.{cast}"] if inner is not None else None
    if name != "A_Const" or node.get("isnull") or "bsval" in node:
        return None
    if "sval" in node:
        text = node["sval"].get("sval", "")
        return [literal(text)] if type not in _MOMENTS or _DIGITS.match(text) else None
    if "boolval" in node:
        return ["true" if node["boolval"].get("boolval") else "false"] if type == "bool" else None
    number = node.get("ival", {}).get("ival", 0) if "ival" in node else node["fval"]["fval"]
    return [f"({number})"] if type in _NUMBERS else None


def _operator(node: Node) -> str:
    names = [part["String"].get("sval", "") for part in node["name"]]
    return str(names[-1]) if len(names) == 1 or names[0] == "pg_catalog" else ""


def _nothing(reader: _Reader, node: Node) -> None:
    return None


_KINDS: Mapping[str, Callable[[_Reader, Node], Filter | None]] = {
    "AEXPR_OP": _Reader.compared,
    "AEXPR_IN": _Reader.among,
    "AEXPR_BETWEEN": _Reader.between,
}


def _joins(block: Node) -> list[tuple[str, Node]]:
    """The joins in FROM of a SELECT or UPDATE, and in USING of a DELETE; not those of the queries in it."""
    found: list[tuple[str, Node]] = []
    todo: list[Any] = [*block.get("fromClause", ()), *block.get("usingClause", ())]
    while todo:
        name, node = only(todo.pop())
        if name == "JoinExpr":
            found.append((name, node))
            todo += [node["larg"], node["rarg"]]
    return found


def _merged(join: Node) -> list[str]:
    """Columns that USING makes one of two."""
    return [one["String"].get("sval", "") for one in join.get("usingClause", ())]
