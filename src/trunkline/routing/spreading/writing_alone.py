"""UPDATE, DELETE, MERGE and INSERT ... SELECT over several shards, where each shard can do its part by itself.

It can if, for each row that is written, all rows of other sharded tables that make a difference to it have its key:
then they lie beside it. That is deduced from the conditions that hold where these tables stand, as routes are.
"""

from __future__ import annotations

from dataclasses import dataclass

from trunkline.routing.planning.facts import Use
from trunkline.routing.plans.plan import Refusal
from trunkline.routing.spreading.moments import Template, asks_time, cut, places_of
from trunkline.routing.spreading.writing_reading import Written, conflicts, default_time, walk_with_views


@dataclass(frozen=True, slots=True)
class Alone:
    """The client's own text at each shard concerned: rows concatenated, tags summed."""

    text: Template
    asks_time: bool


def plan(written: Written) -> Alone | Refusal:
    refusal = _not_beside(written) or _in_one_order(written) or conflicts(written) or default_time(written)
    if refusal is not None:
        return refusal
    places = places_of(written.analysis, written.analysis.text, written.node)
    if isinstance(places, Refusal):
        return places
    text = cut(written.analysis.text, 0, len(written.analysis.text), places)
    return Alone(text, asks_time([text]))


def _not_beside(written: Written) -> Refusal | None:
    """Whether rows on different shards have to do with each other."""
    for anchor in _anchors(written):
        if all(use is anchor or _lies_beside(use, anchor) for use in written.analysis.facts.uses):
            return None
    other = next(iter(written.others), written.use)
    return Refusal(
        f"Rows of {other.table} that it needs may be on another shard than the rows of {written.found.full_name}"
        " that it writes.",
        "Compare the keys of both tables with =, or select the keys first.",
    )


def _anchors(written: Written) -> list[Use]:
    """Occurrences of which each row that is written has one row: what is written, unless it is new.

    An outer join makes rows for which there is none; windows and DISTINCT ON look at rows of other keys.
    """
    by_row = not _joins_outside(written) and not _looks_at_others(written)
    is_insert = written.kind == "InsertStmt"  # which has its rows of what a query in WITH writes, or of what it reads
    sources = [use for use in written.others if is_insert or not use.writes] if by_row else []
    if is_insert:
        return sources
    return [written.use, *sources] if written.kind == "MergeStmt" else [written.use]


def _joins_outside(written: Written) -> bool:
    return any(name == "jointype" and value != "JOIN_INNER" for name, value in walk_with_views(written))


def _looks_at_others(written: Written) -> bool:
    parts = list(walk_with_views(written))
    return any(name == "over" or (name == "distinctClause" and value != [{}]) for name, value in parts)


def _lies_beside(use: Use, anchor: Use) -> bool:
    """Whether wherever this occurrence stands, only rows with the other's key make a difference."""
    if use.rule.group != anchor.rule.group or len(use.key) != len(anchor.key) or not use.key or use.fixed is not None:
        return False
    if use.rule.function is None or not use.environments:
        return False
    for environment in use.environments:
        knowledge = environment.knowledge()
        pairs = zip(use.key, anchor.key, strict=True)
        if any(knowledge.root(one) != knowledge.root(other) for one, other in pairs):
            return False
    return True


def _in_one_order(written: Written) -> Refusal | None:
    """What picks or orders rows would do so on each shard."""
    if any(name in ("limitCount", "limitOffset") for name, _ in walk_with_views(written)):
        return Refusal("A LIMIT in it would hold for each shard.", "Select the keys first, and name them.")
    select = written.node.get("selectStmt", {}).get("SelectStmt", {})
    if "sortClause" in select and "returningClause" in written.node:
        return Refusal("The order of RETURNING is that of what it selects, on each shard.", "Leave out ORDER BY.")
    return None
