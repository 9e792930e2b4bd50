"""FROM: tables, views, CTEs, subqueries, functions and joins, as items of a scope and parts of a tree."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from trunkline.routing.keys.sharding import Kind
from trunkline.routing.planning.analysis import Analysis, Found
from trunkline.routing.planning.conditions import Condition
from trunkline.routing.planning.expressions import bind_inside, inside
from trunkline.routing.planning.facts import Use
from trunkline.routing.planning.hidden import policy_parts
from trunkline.routing.planning.predicates import Reader
from trunkline.routing.planning.programs import definition
from trunkline.routing.planning.replicas import on_relation
from trunkline.routing.planning.scopes import Cte, Item, Scope
from trunkline.routing.planning.tree import Block, Join, Leaf, Part, Reference
from trunkline.routing.plans.plan import Fixed
from trunkline.routing.sql import Node, only

Bound = tuple["Part | None", list[Item]]


def bind_from(analysis: Analysis, clause: Sequence[Node], scope: Scope) -> list[Part]:
    """The items of a FROM list; they are put into the scope one after the other, so that LATERAL sees its left."""
    parts = []
    for wrapped in clause:
        part, items = bind_source(analysis, wrapped, scope)
        scope.items.extend(items)
        if part is not None:
            parts.append(part)
    return parts


def bind_source(analysis: Analysis, wrapped: Node, scope: Scope) -> Bound:
    """One element of FROM. `scope` has what stands left of it, for LATERAL."""
    name, node = only(wrapped)
    binder = _BINDERS.get(name)
    if binder is None:
        bind_inside(analysis, node, scope)
        return None, [_unknown_columns(analysis, node)]
    return binder(analysis, node, scope)


def _alias(node: Node) -> tuple[str, list[str]]:
    alias = node.get("alias", {})
    return alias.get("aliasname", ""), [one["String"].get("sval", "") for one in alias.get("colnames", ())]


def _unknown_columns(analysis: Analysis, node: Node) -> Item:
    alias, columns = _alias(node)
    return Item(analysis.facts.variables, alias, dict.fromkeys(columns), complete=False)


# --- tables ---------------------------------------------------------------------------------------------------------


def _range_var(analysis: Analysis, node: Node, scope: Scope) -> Bound:
    analysis.facts.count()
    if "schemaname" not in node:
        cte = scope.find_cte(node["relname"])
        if cte is not None:
            return _cte(analysis, cte, node)
    found = analysis.find(node.get("schemaname"), node["relname"])
    relation = found.relation
    if relation is not None and relation.kind == "v" and relation.definition and not analysis.is_system(found):
        return _view(analysis, found, node)
    return bind_table(analysis, found, node)


def bind_table(analysis: Analysis, found: Found, node: Node, *, writes: bool = False) -> tuple[Part | None, list[Item]]:
    """A table, by what it is."""
    alias, columns = _alias(node)
    names = list(found.columns)
    families = dict(zip(columns + names[len(columns) :], found.columns.values(), strict=False))
    item = Item(
        analysis.facts.variables,
        alias or found.name,
        families,
        schema=None if alias else found.schema,
        complete=found.relation is not None and bool(found.columns),
    )
    use = note_table(analysis, found, alias or found.name, writes=writes)
    policies = policy_parts(analysis, found, Scope(items=[item])) if found.relation is not None else []
    if use is None or use.fixed is not None:
        return (Block([], inside=policies) if policies else None), [item]
    renamed = dict(zip(names, families, strict=True))
    key = [item.variable(renamed.get(column, column)) for column in found.rule.columns]
    if any(variable is None for variable in key) or not key:
        use.fixed = Fixed(found.rule.function.every if found.rule.function else analysis.sharding.every)
        return None, [item]
    use.key = tuple(variable for variable in key if variable is not None)
    return Leaf(use, inside=policies), [item]


def note_table(analysis: Analysis, found: Found, alias: str, *, writes: bool = False) -> Use | None:
    """Enter an occurrence of a table; of one whose rows do not lie on every shard or at home, as a use."""
    facts = analysis.facts
    name = found.full_name
    facts.tables[name] = None
    facts.writes |= writes
    on_relation(analysis, found)
    if found.shard is not None:
        use = Use(name, alias, found.rule, writes=writes, fixed=Fixed(1 << found.shard), kind="schema")
    elif found.rule.kind is Kind.SHARDED:
        use = Use(name, alias, found.rule, writes=writes)
    else:
        place = facts.system if analysis.is_system(found) else facts.home
        if found.rule.kind is Kind.REFERENCE:
            place = facts.reference
        place[name] = place.get(name, False) or writes
        return None
    facts.uses.append(use)
    return use


def _view(analysis: Analysis, found: Found, node: Node) -> Bound:
    """A view is its query; what is around the statement is not seen from within."""
    assert found.relation is not None
    parsed = definition(found.relation.definition or "")
    if parsed is None or parsed[0] != "SelectStmt":
        analysis.facts.refuse(f"The definition of the view {found.full_name} is not understood.")
        return None, [_unknown_columns(analysis, node)]
    analysis.facts.tables[found.full_name] = None
    inner = analysis.inside(found.relation.definition or "", analysis.search_path)
    query, outputs = inner.bind_select(inner, parsed[1], Scope())
    alias, columns = _alias(node)
    names = columns + [column.name for column in found.relation.columns[len(columns) :]]
    derived, item = analysis.derive(query, outputs, alias or found.name, names)
    item.schema = None if alias else found.schema
    return derived, [item]


def _cte(analysis: Analysis, cte: Cte, node: Node) -> Bound:
    alias, columns = _alias(node)
    names = [*columns, *cte.columns[len(columns) :]]
    if cte.busy:
        item = Item(analysis.facts.variables, alias or cte.name, dict.fromkeys(names), complete=False)
        return None, [item]
    if cte.written is not None:
        query, outputs = cte.written
        derived, item = analysis.derive(query, outputs, alias or cte.name, names)
        return Reference(derived.up), [item]
    cte.busy = cte.recursive
    try:
        query, outputs = analysis.bind_select(analysis, cte.node, Scope(cte.scope))
    finally:
        cte.busy = False
    if cte.recursive:
        query.open = False
    derived, item = analysis.derive(query, outputs, alias or cte.name, names)
    return derived, [item]


# --- subqueries, functions ------------------------------------------------------------------------------------------


def _subselect(analysis: Analysis, node: Node, scope: Scope) -> Bound:
    around = scope if node.get("lateral") else Scope(scope.parent, ctes=scope.ctes)
    query, outputs = analysis.bind_select(analysis, node["subquery"]["SelectStmt"], Scope(around))
    alias, columns = _alias(node)
    derived, item = analysis.derive(query, outputs, alias, columns)
    return derived, [item]


def _function(analysis: Analysis, node: Node, scope: Scope) -> Bound:
    bound = bind_inside(analysis, node.get("functions", []), scope)
    parts = inside(bound)
    part: Part | None = parts[0] if parts else None
    for other in parts[1:]:
        part = Join("FULL", part, other)
    return part, [_unknown_columns(analysis, node)]


def _sample(analysis: Analysis, node: Node, scope: Scope) -> Bound:
    bind_inside(analysis, node.get("args", []), scope)
    analysis.facts.demand_single(
        "TABLESAMPLE takes a part of what one shard has.", "Name the key of every sharded table."
    )
    return bind_source(analysis, node["relation"], scope)


# --- joins ----------------------------------------------------------------------------------------------------------

_JOINS = {"JOIN_LEFT": "LEFT", "JOIN_FULL": "FULL", "JOIN_RIGHT": "LEFT"}


def _join(analysis: Analysis, node: Node, scope: Scope) -> Bound:
    left, left_items = bind_source(analysis, node["larg"], scope)
    around = Scope(scope.parent, [*scope.items, *left_items], scope.ctes)
    right, right_items = bind_source(analysis, node["rarg"], around)
    own = Scope(scope.parent, [*left_items, *right_items], scope.ctes)
    bound = bind_inside(analysis, node["quals"], own) if "quals" in node else {}
    reader = Reader(analysis, own, bound)
    on: list[Condition] = reader.read(node.get("quals"))
    merged = merged_columns(analysis, node, reader, left_items, right_items, on)
    items = [*([merged] if merged is not None else []), *left_items, *right_items]
    if node["jointype"] == "JOIN_RIGHT":
        left, right = right, left
    part = Join(_JOINS.get(node["jointype"], "INNER"), left, right, on, inside(bound))
    alias, columns = _alias(node)
    return part, [as_one(analysis, alias, columns, items)] if alias else items


def merged_columns(
    analysis: Analysis, node: Node, reader: Reader, left: list[Item], right: list[Item], on: list[Condition]
) -> Item | None:
    """The columns that USING or NATURAL makes one of: equal, and hidden behind one of no table."""
    names = [one["String"].get("sval", "") for one in node.get("usingClause", ())]
    if node.get("isNatural"):
        theirs = {name for item in right for name in item.visible()}
        names = [name for item in left for name in item.visible() if name in theirs]
    if not names:
        return None
    made: dict[str, int | None] = {}
    families: dict[str, str | None] = {}
    for name in dict.fromkeys(names):
        a, b = _only(left, name), _only(right, name)
        if a is not None and b is not None:
            on += reader.same(a, b)
        made[name] = {"JOIN_FULL": None, "JOIN_RIGHT": b}.get(node["jointype"], a)
        found = made[name]
        families[name] = analysis.facts.variables.families[found] if found is not None else None
        for item in (*left, *right):
            item.hidden.add(name)
    alias = node.get("join_using_alias", {}).get("aliasname", "")
    return Item(analysis.facts.variables, alias, families, made)


def _only(items: list[Item], column: str) -> int | None:
    found = [item for item in items if column in item.families and column not in item.hidden]
    return found[0].variable(column) if len(found) == 1 and all(item.complete for item in items) else None


def as_one(analysis: Analysis, alias: str, columns: list[str], items: list[Item]) -> Item:
    """A join with an alias: its columns in order, under one name."""
    families: dict[str, str | None] = {}
    made: dict[str, int | None] = {}
    names = [(item, name) for item in items for name in item.visible()]
    for place, (item, name) in enumerate(names):
        called = columns[place] if place < len(columns) else name
        made[called] = None if called in made else item.variable(name)
        families[called] = item.families[name] if made[called] is not None else None
    complete = all(item.complete for item in items)
    return Item(analysis.facts.variables, alias, families, made, complete=complete)


_BINDERS: dict[str, Callable[[Analysis, Any, Scope], Bound]] = {
    "JoinExpr": _join,
    "RangeFunction": _function,
    "RangeSubselect": _subselect,
    "RangeTableSample": _sample,
    "RangeVar": _range_var,
}
