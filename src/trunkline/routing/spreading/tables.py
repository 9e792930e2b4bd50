"""The elements of FROM as pieces: tables by their rules, views, CTEs, subqueries, functions and joins."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from trunkline.routing.keys.sharding import Kind
from trunkline.routing.planning.analysis import Found
from trunkline.routing.planning.deduction import place_of_null
from trunkline.routing.planning.predicates import Reader
from trunkline.routing.planning.programs import definition
from trunkline.routing.planning.scopes import Item, Scope
from trunkline.routing.planning.sources import as_one, merged_columns
from trunkline.routing.schema.catalog import Name
from trunkline.routing.spreading.blocks import Binder, context_of
from trunkline.routing.spreading.bound import Output
from trunkline.routing.spreading.expressions import Expressions, the_function
from trunkline.routing.spreading.pieces import EVERYWHERE, Inner, Key, Outer, Piece, Tree, equalities
from trunkline.routing.spreading.unsure import Unsure
from trunkline.routing.sql import Node, only

MAX_ANCESTORS = 100  # of a partition
Found_ = tuple[Tree, list[Item]]

_SETS = frozenset(("generate_series", "generate_subscripts", "regexp_split_to_table", "string_to_table", "unnest"))


def source(binder: Binder, wrapped: Node, scope: Scope, left: Piece | None) -> Found_:
    """One element of FROM; `scope` has what stands left of it, `left` says what is known of that."""
    kind, node = only(wrapped)
    bind = _BINDERS.get(kind)
    if bind is None:
        raise Unsure(f"{kind} in FROM")
    return bind(binder, node, scope, left)


def _alias(node: Node) -> tuple[str, list[str]]:
    alias = node.get("alias", {})
    return alias.get("aliasname", ""), [one["String"].get("sval", "") for one in alias.get("colnames", ())]


def _named(binder: Binder, outputs: Sequence[Output], alias: str, names: Sequence[str]) -> Item:
    """The columns of a query under an alias. One name of two columns is none that could be read."""
    variables = binder.analysis.facts.variables
    families: dict[str, str | None] = {}
    made: dict[str, int | None] = {}
    for place, output in enumerate(outputs):
        name = names[place] if place < len(names) else output.name
        if name in families:
            raise Unsure(f"{alias} has two columns {name}")
        made[name] = output.variable
        families[name] = variables.families[output.variable] if output.variable is not None else None
    return Item(variables, alias, families, made)


# --- tables ---------------------------------------------------------------------------------------------------------


def _range_var(binder: Binder, node: Node, scope: Scope, left: Piece | None) -> Found_:
    alias, names = _alias(node)
    if "schemaname" not in node:
        cte = scope.find_cte(node["relname"])
        if cte is not None:
            piece, outputs = binder.query(cte.node, Scope(cte.scope), None)
            return piece, [_named(binder, outputs, alias or cte.name, [*names, *cte.columns[len(names) :]])]
    found = binder.analysis.find(node.get("schemaname"), node["relname"])
    relation = found.relation
    if relation is None or binder.analysis.is_system(found) or found.shard is not None:
        raise Unsure(f"{found.full_name} is not known, or the system's, or on one shard")
    if relation.kind == "v":
        return _view(binder, found, alias, names)
    if relation.kind not in ("r", "p", "m") or relation.policies or not found.columns:
        raise Unsure(f"{found.full_name} is no plain table")
    return _table(binder, found, alias, names)


def _view(binder: Binder, found: Found, alias: str, names: list[str]) -> Found_:
    relation = found.relation
    parsed = definition(relation.definition or "") if relation is not None else None
    if relation is None or parsed is None or parsed[0] != "SelectStmt":
        raise Unsure(f"the definition of {found.full_name} is not understood")
    piece, outputs = binder.of_text(relation.definition or "").query(parsed[1], Scope(), None)
    columns = names + [column.name for column in relation.columns[len(names) :]]
    return piece, [_named(binder, outputs, alias or found.name, columns)]


def _table(binder: Binder, found: Found, alias: str, names: list[str]) -> Found_:
    columns = list(found.columns)
    families = dict(zip(names + columns[len(names) :], found.columns.values(), strict=False))
    item = Item(binder.analysis.facts.variables, alias or found.name, families)
    binder.remember(item, families, found)
    if found.rule.kind is Kind.REFERENCE:
        return EVERYWHERE, [item]
    if found.rule.kind is not Kind.SHARDED or found.rule.function is None or _has_strange_children(binder, found):
        raise Unsure(f"{found.full_name} is on the home shard, or its partitions are elsewhere")
    renamed = dict(zip(columns, families, strict=True))
    key = [item.variable(renamed.get(column, column)) for column in found.rule.columns]
    if not key or any(variable is None for variable in key):
        raise Unsure(f"the key of {found.full_name} is of a type whose equality is not known")
    variables = tuple(variable for variable in key if variable is not None)
    return Piece(True, (Key(found.rule.group, variables, _is_firm(found)),)), [item]


def _is_firm(found: Found) -> bool:
    """Whether rows with NULL in their key are on one shard, or do not exist."""
    relation, function = found.relation, found.rule.function
    columns = [relation.column(name) for name in found.rule.columns] if relation is not None else []
    if all(column is not None and column.not_null for column in columns):
        return True
    return function is not None and len(columns) == 1 and place_of_null(function).bit_count() == 1


def _has_strange_children(binder: Binder, found: Found) -> bool:
    """Whether a table that is read with it lies by another rule."""
    catalog, this = binder.analysis.catalog, (found.schema, found.name)
    for relation in catalog.relations.values():
        rule = binder.analysis.sharding.rule_of(relation.schema, relation.name)
        if relation.parent is None or rule.kind is Kind.HOME or rule == found.rule:
            continue
        above: Name | None = relation.parent
        left = MAX_ANCESTORS
        while above is not None and left:
            if above == this:
                return True
            parent = catalog.relations.get(above)
            above, left = (parent.parent if parent is not None else None), left - 1
    return False


# --- queries, functions ---------------------------------------------------------------------------------------------


def _subselect(binder: Binder, node: Node, scope: Scope, left: Piece | None) -> Found_:
    alias, names = _alias(node)
    query = node["subquery"]["SelectStmt"]
    if not node.get("lateral"):
        piece, outputs = binder.query(query, Scope(Scope(scope.parent, ctes=scope.ctes)), None)
    else:
        try:
            piece, outputs = binder.query(query, Scope(scope), left)
        except Unsure:
            piece, outputs = binder.query(query, Scope(scope), None)
    return piece, [_named(binder, outputs, alias, names)]


def _function(binder: Binder, node: Node, scope: Scope, left: Piece | None) -> Found_:
    """A function that returns a set of one column."""
    calls = [one["List"]["items"][0] for one in node.get("functions", ())]
    if len(calls) != 1 or "FuncCall" not in calls[0] or "coldeflist" in node:
        raise Unsure("functions in FROM")
    call = calls[0]["FuncCall"]
    function = the_function(binder.analysis, call)
    arguments = call.get("args", [])
    if function.name not in _SETS or (function.name == "unnest" and len(arguments) != 1):
        raise Unsure(f"{function.name}() in FROM")

    def on_sublink(node: Node) -> None:
        raise Unsure("a query in a function's arguments")

    Expressions(binder.analysis, scope, on_sublink, lambda one, function: None).check(arguments)
    alias, names = _alias(node)
    columns = [names[0] if names else alias or function.name]
    if node.get("ordinality"):
        columns.append(names[1] if len(names) > 1 else "ordinality")
    return EVERYWHERE, [Item(binder.analysis.facts.variables, alias or function.name, dict.fromkeys(columns))]


# --- joins ----------------------------------------------------------------------------------------------------------

_KINDS = {"JOIN_LEFT": "LEFT", "JOIN_FULL": "FULL", "JOIN_RIGHT": "LEFT"}


def _join(binder: Binder, node: Node, scope: Scope, left: Piece | None) -> Found_:
    analysis = binder.analysis
    one, left_items = source(binder, node["larg"], scope, left)
    around = Scope(scope.parent, [*scope.items, *left_items], scope.ctes)
    two, right_items = source(binder, node["rarg"], around, context_of([one], left))
    own = Scope(scope.parent, [*left_items, *right_items], scope.ctes)
    reader = Reader(analysis, own, {})
    on = reader.read(node.get("quals"))
    merged = merged_columns(analysis, node, reader, left_items, right_items, on)
    if "quals" in node:
        _check_on(binder, node["quals"], own)
    items = [*([merged] if merged is not None else []), *left_items, *right_items]
    kind = _KINDS.get(node["jointype"])
    tree: Tree
    if kind is None:
        tree = Inner((one, two), equalities(on))
    else:
        pair = (two, one) if node["jointype"] == "JOIN_RIGHT" else (one, two)
        tree = Outer(kind, *pair, equalities(on))
    alias, columns = _alias(node)
    return tree, [as_one(analysis, alias, columns, items)] if alias else items


def _check_on(binder: Binder, quals: Node, scope: Scope) -> None:
    def on_sublink(node: Node) -> None:
        piece, _ = binder.query(node["subselect"]["SelectStmt"], Scope(scope), None)
        if piece.spread:
            raise Unsure("a query within ON concerns rows on more than one shard")

    def on_call(node: Node, function: object) -> None:
        raise Unsure("an aggregate or a window in ON")

    Expressions(binder.analysis, scope, on_sublink, on_call).check([quals])


_BINDERS: dict[str, Callable[[Binder, Any, Scope, Piece | None], Found_]] = {
    "JoinExpr": _join,
    "RangeFunction": _function,
    "RangeSubselect": _subselect,
    "RangeVar": _range_var,
}
