"""Which statements may change values of a global unique index, so that the home shard has to hear of them.

A row's values are kept at home in the transaction that writes the row: such a statement is a transaction over two
shards though its rows are on one. What is not noticed here fails at its COMMIT, by a trigger
(spreading/unique_index.py): so one statement too few is an error, one too many a round trip.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from trunkline.routing.planning.analysis import Analysis
from trunkline.routing.planning.facts import Facts
from trunkline.routing.plans.plan import Refusal, RoutePlan, Verdict
from trunkline.routing.schema.catalog import OF_UNIQUE, UNIQUE_SCHEMA, Name, Relation
from trunkline.routing.sql import Node

_NOT_RELAYED = Refusal(
    "It writes a table with a global unique index, which is not done for a client that keeps its server.",
    "Use another connection: SHOW PINS says why this one keeps its server.",
)
_NO_ARBITER = "ON CONFLICT does not support deferrable unique constraints/exclusion constraints as arbiters"


def note_write(analysis: Analysis, relation: Relation, event: str, columns: Sequence[str]) -> None:
    """Rows of a table are written; of an UPDATE, these columns of them."""
    written = [relation]
    if relation.kind == "v":
        names = {use.table for use in analysis.facts.uses if use.writes}
        written = [one for name in names if (one := analysis.catalog.relations.get(_name(name))) is not None]
        event = "DELETE"
    for one in written:
        if _changes(analysis, one, event, columns):
            analysis.facts.keeps[f"{one.schema}.{one.name}"] = None


def _name(full: str) -> Name:
    schema, _, name = full.partition(".")
    return schema, name


def _changes(analysis: Analysis, relation: Relation, event: str, columns: Sequence[str]) -> bool:
    below = analysis.catalog.above_unique.get((relation.schema, relation.name))
    if event != "UPDATE":
        return bool(relation.unique_indexes) or (below is not None and event != "INSERT")
    if below is not None and not below.isdisjoint(columns):
        return True
    return any(_may_change(analysis, relation, name, columns) for name in relation.unique_indexes)


def _may_change(analysis: Analysis, relation: Relation, index: str, columns: Sequence[str]) -> bool:
    """Whether an UPDATE of these columns may change what this index keeps: by itself, or by way of code."""
    values = analysis.catalog.relations.get((UNIQUE_SCHEMA, OF_UNIQUE + index))
    if values is None or relation.triggers:
        return True
    kept = {column.name for column in values.columns}
    return not kept.isdisjoint(columns) or any(one.generated and one.name in kept for one in relation.columns)


def note_conflict(analysis: Analysis, relation: Relation | None, clause: Node) -> None:
    """ON CONFLICT looks at constraints before a row is there; these are looked at behind it, as deferrable ones are."""
    infer = clause.get("infer", {})
    elements = [one["IndexElem"].get("name", "") for one in infer.get("indexElems", ())]
    for index in relation.unique_indexes if relation is not None else ():
        values = analysis.catalog.relations.get((UNIQUE_SCHEMA, OF_UNIQUE + index))
        unique = values.keys[0] if values is not None and values.keys else ()
        if not infer or infer.get("conname") == index or set(elements) == set(unique):
            analysis.facts.refuse(_NO_ARBITER, "Name the columns of another unique constraint.", "55000")


def with_unique(facts: Facts, statements: Sequence[tuple[str, Node]], plan: RoutePlan) -> RoutePlan:
    """The plan of statements, with what is to be done for their indexes."""
    if not facts.keeps or plan.verdict is Verdict.REFUSED or not any(_runs(*one) for one in statements):
        return plan
    return replace(plan, keeps=_NOT_RELAYED)


def _runs(kind: str, node: Node) -> bool:
    """EXPLAIN does not, unless it analyses."""
    if kind != "ExplainStmt":
        return True
    return any(one["DefElem"].get("defname") == "analyze" for one in node.get("options", ()))
