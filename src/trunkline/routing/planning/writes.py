"""INSERT, UPDATE, DELETE and MERGE: where the rows are that they change, and that no row leaves its shard."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from trunkline.routing.keys.sharding import Kind
from trunkline.routing.planning.analysis import Analysis, Found, Outputs, Query
from trunkline.routing.planning.conditions import Condition, Member
from trunkline.routing.planning.constants import ANY_FAMILY, alike, fits
from trunkline.routing.planning.deduction import any_of, of_rows, place_of_null
from trunkline.routing.planning.expressions import bind_inside, inside
from trunkline.routing.planning.facts import Use
from trunkline.routing.planning.hidden import on_write
from trunkline.routing.planning.ids import is_drawn, note_defaults_of, note_missing, with_values
from trunkline.routing.planning.new_keys import check_keys, nowhere_of, refuse_key, takes_null
from trunkline.routing.planning.predicates import Reader
from trunkline.routing.planning.programs import constant_of
from trunkline.routing.planning.queries import bind_select, bind_with, outputs_of
from trunkline.routing.planning.scopes import Item, Scope
from trunkline.routing.planning.sources import bind_from, bind_source, bind_table, note_table
from trunkline.routing.planning.tree import Block, Derived, Join, Leaf, Part, linked
from trunkline.routing.planning.unique import note_conflict
from trunkline.routing.planning.unnested import where_of_arrays
from trunkline.routing.planning.updatable import base_of, on_write_below
from trunkline.routing.plans.plan import Constant, Fixed, Source, Where
from trunkline.routing.sql import Node


def bind_write(analysis: Analysis, kind: str, node: Node, scope: Scope) -> tuple[Query, Outputs]:
    """A statement that changes rows, with its RETURNING as outputs."""
    analysis.facts.count()
    analysis.facts.writes = True
    analysis.facts.own_write |= scope.parent is None and analysis.is_own
    extra = bind_with(analysis, node, scope)
    block, outputs = _WRITERS[kind](analysis, node, scope)
    note_defaults_of(analysis, node)
    block.inside = [*block.inside, *extra]
    return block, outputs


def _returning(analysis: Analysis, node: Node, scope: Scope) -> tuple[list[Derived], Outputs]:
    exprs = node.get("returningClause", {}).get("exprs", [])
    if not exprs:
        return [], []
    return inside(bind_inside(analysis, exprs, scope)), outputs_of(analysis, exprs, scope, [])


def _target(analysis: Analysis, node: Node) -> tuple[Found, Part | None, Item]:
    """The table of UPDATE, DELETE and MERGE; through a view, the one below it, or all tables of its query."""
    found = analysis.find(node.get("schemaname"), node["relname"])
    if found.relation is None or found.relation.kind != "v":
        part, items = bind_table(analysis, found, node, writes=True)
        return found, part, items[0]
    facts = analysis.facts
    uses, others = len(facts.uses), (set(facts.home), set(facts.reference))
    part, items = bind_source(analysis, {"RangeVar": node}, Scope())
    base = base_of(analysis, found)
    for use in facts.uses[uses:]:
        use.writes = base is None or use.table == base.full_name
    for place, before in zip((facts.home, facts.reference), others, strict=True):
        named = set(place) - before
        place.update(dict.fromkeys(named if base is None else named & {base.full_name}, True))
    return found, part, items[0]


# --- INSERT ---------------------------------------------------------------------------------------------------------


def _insert(analysis: Analysis, node: Node, scope: Scope) -> tuple[Block, Outputs]:
    target = node["relation"]
    found = analysis.find(target.get("schemaname"), target["relname"])
    alias = target.get("alias", {}).get("aliasname", "") or found.name
    if found.relation is not None and found.relation.kind == "v":
        _into_view(analysis, target)
    before = len(analysis.facts.uses)
    part, items = bind_table(analysis, found, target, writes=True)
    use = analysis.facts.uses[-1] if len(analysis.facts.uses) > before else None
    on_write(analysis, found, "INSERT", with_values(columns_of(found, node), node), scope)
    block = _rows(analysis, node, scope, found, use)
    if "onConflictClause" in node:
        block.inside = [*block.inside, *_on_conflict(analysis, node["onConflictClause"], found, items[0], scope)]
    queries, outputs = _returning(analysis, node, Scope(scope, [*items], scope.ctes))
    block.inside = [*block.inside, *queries]
    if isinstance(part, Leaf) and use is not None:
        use.alias = alias
        block.sources = [*block.sources, part]
    return block, outputs


def _into_view(analysis: Analysis, target: Node) -> None:
    """A row put into a view goes where the view's rules say; followed only if nothing is sharded in it."""
    facts = analysis.facts
    before = len(facts.uses), len(facts.reference)
    bind_source(analysis, {"RangeVar": {**target, "alias": {}}}, Scope())
    if (len(facts.uses), len(facts.reference)) != before:
        facts.refuse(
            f"Rows are inserted into the view {target['relname']}, behind which there is a sharded or reference table.",
            "Insert into the table itself.",
        )


def columns_of(found: Found, node: Node) -> list[str] | None:
    """The columns that are given values, in order; None if they are not known."""
    if "cols" in node:
        return [one["ResTarget"].get("name", "") for one in node["cols"]]
    return [column.name for column in found.relation.columns] if found.relation is not None else None


def _rows(analysis: Analysis, node: Node, scope: Scope, found: Found, use: Use | None) -> Block:
    """What is inserted, and the key of it."""
    wrapped = node.get("selectStmt")
    select = wrapped["SelectStmt"] if wrapped is not None else None
    columns = columns_of(found, node)
    sharded = use if use is not None and use.key else None
    if sharded is not None and columns is None:
        analysis.facts.refuse(
            f"The columns of {found.full_name} are not known, so neither is which value is the key.",
            "Name the columns that are inserted.",
        )
        sharded = None
    if select is None or _is_plain_values(select):
        lists = [one["List"].get("items", []) for one in select["valuesLists"]] if select is not None else [[]]
        if select is not None:
            _note_parameters(analysis, found, columns, lists)
        bound = bind_inside(analysis, [[one for one in row if "ParamRef" not in one] for row in lists], scope)
        if sharded is not None:
            may_compute = scope.parent is None and analysis.is_own
            sharded.fixed = _of_values(analysis, found, sharded, columns or [], lists, may_compute=may_compute)
        returned = [] if sharded is None else _returned_keys(analysis, node, found, sharded, columns or [], lists)
        return Block([], constants=returned, inside=inside(bound))
    query, outputs = bind_select(analysis, select, Scope(scope))
    derived, _ = analysis.derive(query, outputs, "")
    if outputs is not None:
        note_missing(analysis, found, (columns or [])[len(derived.columns) :])
    if sharded is None:
        return Block([derived])
    sharded.nowhere = nowhere_of(analysis, found, sharded.rule)
    sharded.fixed = where_of_arrays(analysis, found, sharded.rule, columns or [], select)
    given = sharded.fixed is not None
    return Block([derived], [] if given else _carried(analysis, found, sharded, columns or [], derived, scope))


def _returned_keys(
    analysis: Analysis, node: Node, found: Found, use: Use, columns: list[str], lists: list[list[Node]]
) -> list[Condition]:
    """The keys of the rows that RETURNING gives: those that are written out, unless something changes them."""
    relation, function = found.relation, use.rule.function
    if "returningClause" not in node or relation is None or relation.triggers or function is None:
        return []
    if any("(" in type for type in function.types):  # what is stored is shortened, or rounded
        return []
    conflict = node.get("onConflictClause", {})
    if conflict.get("action") == "ONCONFLICT_UPDATE" and not set(use.rule.columns) <= _inferred(conflict):
        return []
    rows: list[tuple[Source, ...]] = []
    for row in lists:
        key = [key_value(analysis, found, name, columns, row) for name in use.rule.columns]
        if any(value is None for value in key):
            return []
        rows.append(tuple(value for value in key if value is not None))
    return [Member(use.key, tuple(rows), by_definition=True)]


def _is_plain_values(select: Node) -> bool:
    return "valuesLists" in select and not any(
        name in select for name in ("limitCount", "limitOffset", "sortClause", "withClause")
    )


def _note_parameters(analysis: Analysis, found: Found, columns: list[str] | None, lists: list[list[Node]]) -> None:
    """A parameter in VALUES has the type of its column."""
    for row in lists:
        for place, value in enumerate(row):
            if "ParamRef" in value:
                name = columns[place] if columns is not None and place < len(columns) else ""
                kinds = analysis.facts.parameters.setdefault(value["ParamRef"].get("number", 0), set())
                kinds.add(found.columns.get(name) or "?")


def _of_values(
    analysis: Analysis, found: Found, use: Use, columns: list[str], lists: list[list[Node]], *, may_compute: bool
) -> Where:
    """The shards of rows that are written out; all, if a key is yet to be computed, which `may_compute` allows."""
    function = use.rule.function
    assert function is not None
    rows: list[tuple[Source, ...]] = []
    nulls = False
    for row in lists:
        key = [key_value(analysis, found, name, columns, row) for name in use.rule.columns]
        if any(value is None for value in key):
            if is_drawn(analysis, found, use.rule.columns, columns, row):
                return Fixed(function.every)
            names = ", ".join(use.rule.columns)
            computed = may_compute and all(is_given(columns, name, row) for name in use.rule.columns)
            (analysis.facts.move if computed else analysis.facts.refuse)(
                f"The key ({names}) of a row for {found.full_name} is neither a literal nor a parameter,"
                " so its shard is not known before the row is there.",
                "Compute the key first and give it as a value.",
            )
            return Fixed(function.every)
        sources = tuple(value for value in key if value is not None)
        if any(isinstance(value, Constant) and value.text is None for value in sources):
            nulls = True
        else:
            rows.append(sources)
    parts = [of_rows(function, tuple(rows), nowhere_of(analysis, found, use.rule))] if rows else []
    if nulls:
        parts.append(of_null_key(analysis, found, use))
    return any_of(parts)


def of_null_key(analysis: Analysis, found: Found, use: Use) -> Where:
    """Where a row without a key goes; of a table that takes none, anywhere: each server says so."""
    function = use.rule.function
    assert function is not None
    if takes_null(found, use.rule) and len(use.rule.columns) == 1 and not place_of_null(function):
        analysis.facts.refuse(f"A row for {found.full_name} without a key belongs to no shard.", "Give it a key.")
        return Fixed(0)
    return Fixed(nowhere_of(analysis, found, use.rule) or 1 << analysis.sharding.home)


def is_given(columns: list[str], name: str, row: list[Node]) -> bool:
    """Whether a row says what is in this column."""
    place = columns.index(name) if name in columns else len(row)
    return place < len(row) and "SetToDefault" not in row[place]


def key_value(analysis: Analysis, found: Found, name: str, columns: list[str], row: list[Node]) -> Source | None:
    """The constant that a row has in a column of the key; without one, the column's default."""
    place = columns.index(name) if name in columns else len(row)
    if place < len(row) and "SetToDefault" not in row[place]:
        source = analysis.constant(row[place])
        return source if source is not None and fits(found.columns.get(name), source) else None
    column = found.relation.column(name) if found.relation is not None else None
    if column is None:
        return None
    if column.default is None:
        return Constant(None)
    return constant_of(column.default)


def _carried(
    analysis: Analysis, found: Found, use: Use, columns: list[str], derived: Derived, scope: Scope
) -> list[Condition]:
    """INSERT ... SELECT: the key of a new row is the output in its place, in the column's own type."""
    families = analysis.facts.variables.families
    where: list[Condition] = []
    for name, variable in zip(use.rule.columns, use.key, strict=True):
        place = columns.index(name) if name in columns else -1
        output = derived.columns[place] if 0 <= place < len(derived.columns) else None
        if output is not None and (alike(families[output], families[variable]) or families[output] == ANY_FAMILY):
            where += linked(variable, output)
    if len(where) < len(use.key):
        is_top = scope.parent is None and analysis.is_own
        (analysis.facts.move if is_top else analysis.facts.refuse)(
            f"The key of the rows that are inserted into {found.full_name} is not a key column of what is selected,"
            " so a row could belong to another shard.",
            "Select the key column itself, or a constant.",
        )
        use.fixed = Fixed(analysis.sharding.every)
        return []
    return where


def _on_conflict(analysis: Analysis, clause: Node, found: Found, item: Item, scope: Scope) -> list[Part]:
    excluded = Item(analysis.facts.variables, "excluded", found.columns)
    own = Scope(scope, [item, excluded], scope.ctes)
    bound = bind_inside(analysis, [clause.get("targetList", []), clause.get("whereClause", {})], own)
    note_conflict(analysis, found.relation, clause)
    inferred = _inferred(clause)
    for wrapped in clause.get("targetList", ()):
        target = wrapped["ResTarget"]
        name = target.get("name", "")
        if name not in found.rule.columns:
            continue
        same = target["val"].get("ColumnRef", {}).get("fields", [])
        is_excluded = [one["String"].get("sval") for one in same if "String" in one] == ["excluded", name]
        if not (is_excluded and set(found.rule.columns) <= inferred):
            refuse_key(analysis, found, name)
    return list(inside(bound))


def _inferred(clause: Node) -> set[str]:
    """The columns whose index ON CONFLICT names."""
    return {one["IndexElem"].get("name", "") for one in clause.get("infer", {}).get("indexElems", ())}


# --- UPDATE, DELETE -------------------------------------------------------------------------------------------------


def _update(analysis: Analysis, node: Node, scope: Scope) -> tuple[Block, Outputs]:
    found, part, item = _target(analysis, node["relation"])
    scope.items.append(item)
    others = bind_from(analysis, node.get("fromClause", ()), scope)
    on_write(analysis, found, "UPDATE", [_name(one) for one in node["targetList"]], scope)
    on_write_below(analysis, found, "UPDATE", scope)
    block, outputs = _changing(analysis, node, scope, [*([part] if part else []), *others])
    may_move = scope.parent is None and analysis.is_own
    check_keys(analysis, found, item, node["targetList"], block.up, scope, may_move=may_move)
    return block, outputs


def _delete(analysis: Analysis, node: Node, scope: Scope) -> tuple[Block, Outputs]:
    found, part, item = _target(analysis, node["relation"])
    scope.items.append(item)
    others = bind_from(analysis, node.get("usingClause", ()), scope)
    on_write(analysis, found, "DELETE", [], scope)
    on_write_below(analysis, found, "DELETE", scope)
    return _changing(analysis, node, scope, [*([part] if part else []), *others])


def _changing(analysis: Analysis, node: Node, scope: Scope, sources: Sequence[Part]) -> tuple[Block, Outputs]:
    bound = bind_inside(analysis, [node["whereClause"]], scope) if "whereClause" in node else {}
    where = Reader(analysis, scope, bound).read(node.get("whereClause"))
    bind_inside(analysis, node.get("targetList", []), scope, bound)
    queries, outputs = _returning(analysis, node, scope)
    return Block(sources, where, [*inside(bound), *queries]), outputs


def _name(wrapped: Node) -> str:
    return str(wrapped["ResTarget"].get("name", ""))


# --- MERGE ----------------------------------------------------------------------------------------------------------


def _merge(analysis: Analysis, node: Node, scope: Scope) -> tuple[Block, Outputs]:
    """Source and target are joined: inner if only matches matter, else what is not matched stays."""
    found, part, item = _target(analysis, node["relation"])
    source, items = bind_source(analysis, node["sourceRelation"], scope)
    scope.items.extend([item, *items])
    bound = bind_inside(analysis, [node["joinCondition"]], scope)
    on = Reader(analysis, scope, bound).read(node["joinCondition"])
    clauses = [one["MergeWhenClause"] for one in node["mergeWhenClauses"]]
    kinds = {one["matchKind"] for one in clauses}
    if "MERGE_WHEN_NOT_MATCHED_BY_SOURCE" in kinds:
        join = Join("FULL", source, part, on, inside(bound))
    elif "MERGE_WHEN_NOT_MATCHED_BY_TARGET" in kinds:
        join = Join("LEFT", source, part, on, inside(bound))
    else:
        join = Join("INNER", source, part, on, inside(bound))
    inserted: list[Part] = []
    actions: dict[int, Derived] = {}
    for clause in clauses:
        bind_inside(analysis, [clause.get(name, []) for name in ("condition", "targetList", "values")], scope, actions)
        command = clause.get("commandType", "")[4:]
        if command in ("INSERT", "UPDATE", "DELETE"):
            on_write(analysis, found, command, [_name(one) for one in clause.get("targetList", ())], scope)
        if command == "UPDATE":
            check_keys(analysis, found, item, clause["targetList"], join.up, scope, may_move=False)
        if command == "INSERT":
            inserted += _merge_insert(analysis, found, clause, scope, source)
    queries, outputs = _returning(analysis, node, scope)
    unconditional = Block([join], inside=queries)
    return Block([Derived(unconditional, frozenset(), ())], inside=[*inside(actions), *inserted]), outputs


def _merge_insert(analysis: Analysis, found: Found, clause: Node, scope: Scope, source: Part | None) -> list[Part]:
    """The rows that MERGE inserts: their key is a constant or a column of the source."""
    use = note_table(analysis, found, found.name, writes=True)
    if use is None or use.fixed is not None or found.rule.kind is not Kind.SHARDED:
        return []
    columns = [_name(one) for one in clause.get("targetList", ())] or list(found.columns)
    values = clause.get("values", [])
    reader = Reader(analysis, scope, {})
    key: list[int] = []
    known: list[Condition] = list(source.up) if source is not None else []
    for name in found.rule.columns:
        variable = analysis.facts.variables.new(found.columns.get(name))
        key.append(variable)
        place = columns.index(name) if name in columns else len(values)
        if place < len(values):
            known += reader.assigned(variable, values[place])
    use.key, use.nowhere = tuple(key), nowhere_of(analysis, found, use.rule)
    return [Block([Leaf(use)], known)]


_WRITERS: dict[str, Callable[[Analysis, Any, Scope], tuple[Block, Outputs]]] = {
    "DeleteStmt": _delete,
    "InsertStmt": _insert,
    "MergeStmt": _merge,
    "UpdateStmt": _update,
}
