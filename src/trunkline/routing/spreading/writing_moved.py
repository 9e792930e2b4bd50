"""UPDATE of the key by which a table is sharded: rows that belong to another shard then are moved to it.

The client's own UPDATE runs at each shard, as it would run on one PostgreSQL: it checks, computes and returns what that
does. Behind it the rows whose new key belongs elsewhere are taken out and put in there, whole. That they were taken out
and put in must not show itself: what would run for DELETE or INSERT and not for UPDATE is refused, and so is what one
PostgreSQL decides by rows that are on several shards here.
"""

from __future__ import annotations

from dataclasses import dataclass

from trunkline.routing.keys.sharding import Kind, ShardFunction
from trunkline.routing.planning.analysis import Found
from trunkline.routing.planning.writes import of_null_key
from trunkline.routing.plans.plan import Fixed, Refusal
from trunkline.routing.schema.catalog import Relation
from trunkline.routing.spreading import writing_alone
from trunkline.routing.spreading.moments import Template, cut, hidden_time, places_of
from trunkline.routing.spreading.quoting import full, identifier
from trunkline.routing.spreading.request import Request
from trunkline.routing.spreading.writing_alone import Alone
from trunkline.routing.spreading.writing_reading import Written, read
from trunkline.routing.text.tokens import tokens_of

_ANEW = "Insert the row anew and delete the old one, in one transaction."


@dataclass(frozen=True, slots=True)
class Moved:
    """The UPDATE, which returns where its rows are and their keys behind what the client asks for."""

    text: Template
    asks_time: bool
    relation: Relation
    target: str  # as SQL
    key: tuple[str, ...]
    function: ShardFunction
    nowhere: int  # the mask of where a row is put whose key is NULL


def plan(request: Request) -> Moved | Refusal | None:
    """How it is done; None if no key is changed."""
    if request.kind != "UpdateStmt" or not request.plan.moves:
        return None
    written = read(request)
    if isinstance(written, Refusal):
        return written
    if written.analysis.facts.moving is None:  # what moves is a reference table's
        return None
    relation = written.found.relation
    assert relation is not None
    refusal = _why_not_put_in(written, relation) or _why_not_unique(written, relation)
    types = (column.type for column in relation.columns)
    alone = refusal or hidden_time(written.analysis, written.node, types, ()) or writing_alone.plan(written)
    return _planned(written, relation) if isinstance(alone, Alone) else alone


def _planned(written: Written, relation: Relation) -> Moved | Refusal:
    sql, node, rule = written.analysis.text, written.node, written.use.rule
    places = places_of(written.analysis, sql, node)
    if isinstance(places, Refusal):
        return places
    alias = identifier(node["relation"].get("alias", {}).get("aliasname") or relation.name)
    hidden = ", ".join(f"{alias}.{identifier(name)}" for name in ("tableoid", "ctid", *rule.columns))
    returning = f"{',' if 'returningClause' in node else ' RETURNING'} {hidden}".encode()
    tokens = [(start, end) for _, start, end in tokens_of(sql) if sql[start:end] != b";"]
    text = cut(sql, 0, tokens[-1][1], places)
    nowhere = of_null_key(written.analysis, written.found, written.use)
    assert rule.function is not None
    return Moved(
        (*text, returning),
        len(text) > 1,
        relation,
        full(relation.schema, relation.name),
        rule.columns,
        rule.function,
        nowhere.mask if isinstance(nowhere, Fixed) else rule.function.every,
    )


def _why_not_put_in(written: Written, relation: Relation) -> Refusal | None:
    """What would notice that a row is taken out and put in."""
    name, catalog = written.found.full_name, written.analysis.catalog
    here = (relation.schema, relation.name)
    if relation.triggers:
        return Refusal(f"{name} has triggers, which would run for a row that is moved to another shard.", _ANEW)
    if relation.policies:
        return Refusal(f"{name} has row security, which would be asked for a row that is moved.", _ANEW)
    for other in catalog.relations.values():
        if other.parent == here and relation.kind == "r":
            return Refusal(f"{name} has children, whose rows would be moved to it.", _ANEW)
        if any(key.target == here for key in other.foreign_keys):
            return Refusal(f"{other.schema}.{other.name} refers to {name}, whose rows would be taken out.", _ANEW)
    for key in relation.foreign_keys:
        target: Found = written.analysis.find(*key.target)
        if set(key.columns) & set(written.use.rule.columns) and target.rule.kind is not Kind.REFERENCE:
            return Refusal(f"{name} refers to {target.full_name} by its key, to rows of another shard.", _ANEW)
    return None


def _why_not_unique(written: Written, relation: Relation) -> Refusal | None:
    """One PostgreSQL finds equal keys while it goes from row to row; these rows are on several shards.

    Where all rows get one key, and nothing else of it is changed, the order makes no difference.
    """
    changed = {one["ResTarget"].get("name", ""): one["ResTarget"]["val"] for one in written.node["targetList"]}
    key = set(written.use.rule.columns)
    for unique in relation.keys:
        if key & set(changed) and (set(unique) & set(changed)) - key:
            return Refusal(f"It changes {', '.join(unique)}, which is unique, of rows on several shards.", _ANEW)
    if not relation.keys:
        return None
    if all(written.analysis.constant(value) is not None for name, value in changed.items() if name in key):
        return None
    return Refusal(
        f"It computes keys of {written.found.full_name}, which has unique keys, for rows on several shards.", _ANEW
    )
