"""A call that makes or drops a global unique index: what it asks for, and why that cannot be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from trunkline.routing.keys.sharding import Kind, Sharding
from trunkline.routing.planning.declarations import UNIQUE, call_of, declared_by
from trunkline.routing.plans.plan import Refusal, Verdict
from trunkline.routing.schema.catalog import OF_UNIQUE, UNIQUE_SCHEMA, Catalog, Relation
from trunkline.routing.spreading.declaring import Given, Value, constant_of, find, names_in
from trunkline.routing.spreading.request import Request
from trunkline.routing.spreading.unique_index import UniqueIndex, name_for
from trunkline.routing.sql import only

MAKE = "create_unique_index"


@dataclass(frozen=True, slots=True)
class Indexing:
    """A call, before the values of its parameters are known: the table, then the columns."""

    function: str
    title: str
    arguments: tuple[Value | Given, ...]
    search_path: tuple[str, ...]

    @property
    def parameters(self) -> int:
        """How many there are, of which all are texts."""
        return max((one.number for one in self.arguments if isinstance(one, Given)), default=0)

    def values(self, given: Sequence[str | None]) -> list[Value]:
        """All arguments."""
        return [given[one.number - 1] if isinstance(one, Given) else one for one in self.arguments]


def concerns(request: Request) -> bool:
    """Whether a statement is such a call."""
    verdict = request.plan.verdict
    return request.kind == "SelectStmt" and verdict is Verdict.EVERY and declared_by(request.node) in UNIQUE


def plan(request: Request) -> Indexing | Refusal:
    """What is asked for."""
    function = declared_by(request.node)
    call = call_of(request.node)
    assert call is not None
    arguments: list[Value | Given] = []
    for wrapped in call.get("args", ()):
        value = _no_function(function) if only(wrapped)[0] == "NamedArgExpr" else constant_of(wrapped)
        if isinstance(value, Refusal):
            return value
        arguments.append(value)
    if len(arguments) < 2:
        return _no_function(function)
    title = request.node["targetList"][0]["ResTarget"].get("name", function)
    return Indexing(function, title, tuple(arguments), request.search_path)


def _no_function(function: str) -> Refusal:
    hint = "They are: table_name, column_name, and more columns, by their places."
    return Refusal(f"function {function} does not exist with such arguments", hint, "42883")


# --- what it means by the catalog -------------------------------------------------------------------------------------


def wanted(call: Indexing, values: Sequence[Value], sharding: Sharding, catalog: Catalog) -> UniqueIndex | Refusal:
    """The index that is to be made, or dropped."""
    if any(value is None for value in values):
        return Refusal("the table and the columns cannot be NULL", sqlstate="22004")
    relation = find(str(values[0]), catalog, call.search_path)
    if isinstance(relation, Refusal):
        return relation
    columns = _columns(relation, values[1:])
    if isinstance(columns, Refusal):
        return columns
    known = next((one for one in relation.unique_indexes if _is_of(catalog, one, columns)), "")
    said = f"{relation.schema}.{relation.name} ({', '.join(columns)})"
    if call.function != MAKE:
        return (
            _of(relation, known, columns, ()) if known else Refusal(f"{said} has no global unique index", "", "42704")
        )
    if known:
        return Refusal(f"{said} has the global unique index {known} already", sqlstate="42P07")
    return _new(relation, columns, sharding, catalog)


def _of(relation: Relation, name: str, columns: tuple[str, ...], others: tuple[str, ...]) -> UniqueIndex:
    return UniqueIndex(name, relation.schema, relation.name, columns, others)


def _columns(relation: Relation, said: Sequence[Value]) -> tuple[str, ...] | Refusal:
    found: list[str] = []
    for one in said:
        names = names_in(str(one))
        if names is None or len(names) != 1 or relation.column(names[0]) is None:
            return Refusal(f'column "{one}" of relation "{relation.name}" does not exist', sqlstate="42703")
        if names[0] in found:
            return Refusal(f'column "{names[0]}" appears twice in unique constraint', sqlstate="42701")
        found.append(names[0])
    return tuple(found)


def _is_of(catalog: Catalog, index: str, columns: Sequence[str]) -> bool:
    values = catalog.relations.get((UNIQUE_SCHEMA, OF_UNIQUE + index))
    return values is not None and bool(values.keys) and set(values.keys[0]) == set(columns)


def _new(relation: Relation, columns: tuple[str, ...], sharding: Sharding, catalog: Catalog) -> UniqueIndex | Refusal:
    name = f"{relation.schema}.{relation.name}"
    if len(sharding.shards) == 1:
        return Refusal(f"{name} is on one shard.", "CREATE UNIQUE INDEX keeps its values unique.", "55000")
    rule = sharding.rule_of(relation.schema, relation.name)
    if rule.kind is not Kind.SHARDED or relation.schema in sharding.schemas:
        return Refusal(f"{name} is not sharded.", "CREATE UNIQUE INDEX keeps its values unique.", "55000")
    if set(rule.columns) <= set(columns):
        reason = f"({', '.join(columns)}) contains the key of {name}, so each shard keeps it unique by itself."
        return Refusal(reason, "CREATE UNIQUE INDEX does that.", "55000")
    if relation.kind != "r":
        return Refusal(f"{name} is partitioned.", "Add its key to a unique constraint.")
    here = (relation.schema, relation.name)
    if relation.parent is not None or any(one.parent == here for one in catalog.relations.values()):
        return Refusal(f"{name} is part of an inheritance tree.", "Add its key to a unique constraint.")
    if relation.rules:
        return Refusal(f"{name} has rules that rewrite statements.", "Use triggers in place of them.")
    taken = [table for schema, table in catalog.relations if schema == relation.schema]
    kept = [table.removeprefix(OF_UNIQUE) for schema, table in catalog.relations if schema == UNIQUE_SCHEMA]
    others = tuple(column for column in rule.columns if column not in columns)
    return _of(relation, name_for(relation.name, columns, [*taken, *kept]), columns, others)
