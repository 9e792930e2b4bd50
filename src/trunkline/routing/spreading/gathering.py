"""Gathering: any SELECT over several shards, by copying the rows that it needs to one of them.

The rows go into temporary tables of the same names, and PostgreSQL runs the client's own statement over them: what it
gives is exact by construction. Here is decided which columns and rows of which tables that needs, how the statement
names them, and what cannot be right and is refused. Which shard it is, and which tables lie there whole already, is
said at each call (execution.spread.gather).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from trunkline.routing.keys.sharding import Kind
from trunkline.routing.planning.analysis import Analysis, Found
from trunkline.routing.plans.plan import Refusal
from trunkline.routing.schema.catalog import Column, Name, Relation
from trunkline.routing.spreading.gathering_columns import columns_of
from trunkline.routing.spreading.gathering_filters import Filter, filter_of, united
from trunkline.routing.spreading.gathering_limits import NAME_KEYS, of_transaction, why_not, why_not_policies
from trunkline.routing.spreading.gathering_names import Named, Text, is_view, texts_of
from trunkline.routing.spreading.gathering_texts import over
from trunkline.routing.spreading.quoting import full, identifier
from trunkline.routing.spreading.request import Request
from trunkline.routing.sql import Node, walk

_READABLE = frozenset("rpmf")  # kinds of relations that rows are copied of


@dataclass(frozen=True, slots=True)
class Gathered:
    """One table that a statement reads. `places` are its occurrences in the plan; none: all its shards concern it."""

    relation: Relation
    kind: Kind
    columns: tuple[Column, ...]
    places: tuple[int, ...]
    every: int  # the shards that may have rows of it
    filter: Filter | None = None
    only: bool = False  # without its children
    grouped: bool = False  # the statement may rely on its primary key
    behind_view: bool = False  # it is read with the rights of a view's owner

    @property
    def name(self) -> Name:
        return self.relation.schema, self.relation.name

    @property
    def source(self) -> str:
        return ("ONLY " if self.only else "") + full(*self.name)

    @property
    def copy(self) -> str:
        return full("pg_temp", self.relation.name)

    @property
    def column_list(self) -> str:
        return ", ".join(identifier(column.name) for column in self.columns)


@dataclass(frozen=True, slots=True)
class Gather:
    """How a statement is run over gathered rows."""

    tables: tuple[Gathered, ...]
    texts: tuple[Text, ...]  # the statement, and the views that it reaches, each behind those that name it
    of_transaction: str = ""  # what it asks of its own transaction, which another one would answer otherwise

    def shadowed(self, copied: Collection[Name]) -> frozenset[Name]:
        """The tables that are copied, and the views that reach one."""
        found = set(copied)
        for text in reversed(self.texts):
            if text.name is not None and any((one.found.schema, one.found.name) in found for one in text.named):
                found.add(text.name)
        return frozenset(found)

    def statement(self, shadowed: Collection[Name]) -> bytes:
        return over(self.texts[0], shadowed)

    def views(self, shadowed: Collection[Name]) -> list[bytes]:
        """What makes the views that are needed, in this order."""
        made = []
        for text in reversed(self.texts):
            if text.view is not None and text.view.relation is not None and text.name in shadowed:
                columns = ", ".join(identifier(column.name) for column in text.view.relation.columns)
                head = f"CREATE TEMPORARY VIEW {full('pg_temp', text.view.name)} ({columns}) AS "
                made.append(head.encode() + over(text, shadowed))
        return made


def plan(request: Request) -> Gather | Refusal:
    """How a statement is gathered, or why it is not."""
    if request.kind != "SelectStmt":
        return request.plan.unless_single or Refusal("It is no query, and concerns several shards.", NAME_KEYS)
    if request.plan.refusal is not None:
        return request.plan.refusal
    analysis = request.analysis()
    if not analysis.trusts_names:
        return Refusal("pg_catalog is not first in search_path, so what operators mean is not certain.", NAME_KEYS)
    texts = texts_of(analysis, request.sql, request.node)
    if isinstance(texts, str):
        return Refusal(texts)
    found = why_not_gathered(analysis, request, texts)
    if found is not None:
        return found
    asks = next((asks for text in texts if (asks := of_transaction(text.tree))), "")
    return Gather(tuple(tables_of(request, texts)), tuple(texts), asks)


# --- what is refused -------------------------------------------------------------------------------------------------


def why_not_gathered(analysis: Analysis, request: Request, texts: list[Text]) -> Refusal | None:
    hidden = next((one for one in request.plan.occurrences if one.kind == "function"), None)
    if hidden is not None:
        return Refusal(f"The function {hidden.table} touches sharded tables.", "Name the key in its arguments.")
    relations = {one.found.full_name: one.found for text in texts for one in text.named}
    names: dict[str, str] = {}
    for full_name, found in relations.items():
        if names.setdefault(found.name, full_name) != full_name:
            other = names[found.name]
            return Refusal(f"{other} and {full_name} have one name, and are asked together.", NAME_KEYS)
        reason = _why_not_relation(analysis, found)
        if reason is not None:
            return reason
    if reason := _twice(texts):
        return reason
    reasons = (why_not(analysis, text.tree, names) for text in texts)
    return next((reason for reason in reasons if reason is not None), None)


def _why_not_relation(analysis: Analysis, found: Found) -> Refusal | None:
    if analysis.is_system(found):
        return Refusal(
            f"It reads {found.full_name}, of which each shard has its own.",
            "Name the key of every sharded table, or ask the system's catalogs in a statement of its own.",
        )
    if found.relation is None:
        return Refusal(f"Nothing is known of {found.full_name}, which is asked together with rows of several shards.")
    if not is_view(found) and (found.relation.kind not in _READABLE or not found.relation.columns):
        return Refusal(f"{found.full_name} is nothing that rows could be copied of.", NAME_KEYS)
    return why_not_policies(analysis, found.relation)


def _twice(texts: list[Text]) -> Refusal | None:
    """A table with and without its children would need two copies of one name."""
    ways: dict[str, bool] = {}
    for text in texts:
        for one in text.named:
            if ways.setdefault(one.found.full_name, _is_only(one)) != _is_only(one):
                return Refusal(f"{one.found.full_name} is asked with ONLY and without.", NAME_KEYS)
    return None


def _is_only(one: Named) -> bool:
    return not one.node.get("inh", False)


# --- what is needed --------------------------------------------------------------------------------------------------


def tables_of(request: Request, texts: list[Text]) -> list[Gathered]:
    uses: dict[Name, list[tuple[Named, Text, frozenset[str] | None]]] = {}
    for text in texts:
        for one, columns in columns_of(text):
            if not is_view(one.found):
                uses.setdefault((one.found.schema, one.found.name), []).append((one, text, columns))
    groupings = [_grouping(value) for text in texts for name, value in walk(text.tree) if name == "groupClause"]
    return [_gathered(request, found, groupings) for found in uses.values()]


def _grouping(clause: list[Node]) -> frozenset[str] | None:
    """The names that a GROUP BY says; None: it says numbers."""
    if any("A_Const" in one for one in clause):
        return None
    fields = [value["fields"][-1] for name, value in walk(clause) if name == "ColumnRef"]
    return frozenset(one["String"].get("sval", "") for one in fields if "String" in one)


def _gathered(
    request: Request,
    uses: list[tuple[Named, Text, frozenset[str] | None]],
    groupings: list[frozenset[str] | None],
) -> Gathered:
    found, relation = uses[0][0].found, uses[0][0].found.relation
    assert relation is not None
    names: set[str] = set()
    for _, _, columns in uses:
        names |= {column.name for column in relation.columns} if columns is None else columns
    places = tuple(
        place for place, one in enumerate(request.plan.occurrences) if one.table == found.full_name and not one.writes
    )
    needed = tuple(column for column in relation.columns if column.name in names) or relation.columns[:1]
    key = frozenset(relation.keys[0]) if relation.keys else None
    declared = key is not None and key <= {column.name for column in needed if column.not_null}
    return Gathered(
        relation,
        found.rule.kind if found.shard is None else Kind.SHARDED,
        needed,
        places,
        _shards(request, found),
        united([filter_of(one, text.named) for one, text, _ in uses]),
        _is_only(uses[0][0]),
        declared and any(grouping is None or key <= grouping for grouping in groupings if key is not None),
        any(text.view is not None for _, text, _ in uses),
    )


def _shards(request: Request, found: Found) -> int:
    if found.shard is not None:
        return 1 << found.shard
    return 1 << request.sharding.home if found.rule.kind is Kind.HOME else request.sharding.every
