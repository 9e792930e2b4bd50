"""SELECT, VALUES, set operations and WITH, as parts of a tree that know what their outputs are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from trunkline.routing.planning.analysis import Analysis, Outputs, Query
from trunkline.routing.planning.conditions import Condition, Member
from trunkline.routing.planning.constants import ANY_FAMILY, alike, family_of
from trunkline.routing.planning.expressions import bind_inside, inside
from trunkline.routing.planning.predicates import Reader
from trunkline.routing.planning.scopes import Column, Cte, Scope
from trunkline.routing.planning.sources import bind_from, note_table
from trunkline.routing.planning.tree import Apart, Block, Combination, Derived, Part, linked
from trunkline.routing.plans.plan import Source
from trunkline.routing.sql import Node, only

_OPERATORS = {"SETOP_UNION": "UNION", "SETOP_INTERSECT": "INTERSECT", "SETOP_EXCEPT": "EXCEPT"}


def bind_select(analysis: Analysis, node: Node, scope: Scope) -> tuple[Query, Outputs]:
    """A SelectStmt. `scope` is its own, new and empty, within what is around it."""
    analysis.facts.count()
    extra = bind_with(analysis, node, scope)
    if node.get("op", "SETOP_NONE") != "SETOP_NONE":
        query, outputs = _combination(analysis, node, scope)
    elif "valuesLists" in node:
        query, outputs = _values(analysis, node, scope)
    else:
        query, outputs = _block(analysis, node, scope)
    if "limitCount" in node or "limitOffset" in node:
        query.open = False
        _limits(analysis, node, scope)
    if extra:
        query = Block([Derived(query, frozenset(), ())], inside=extra, open=query.open, groups_all=query.groups_all)
    return query, outputs


def _limits(analysis: Analysis, node: Node, scope: Scope) -> None:
    for name in ("limitCount", "limitOffset"):
        limit = node.get(name, {})
        if "A_Const" in limit:
            analysis.fix(limit["A_Const"], analysis.facts.limits)
        elif limit:
            bind_inside(analysis, [limit], scope)


# --- WITH -----------------------------------------------------------------------------------------------------------


def bind_with(analysis: Analysis, node: Node, scope: Scope) -> list[Part]:
    """Put the CTEs of a statement into its scope. Those that write run whether they are used or not."""
    clause = node.get("withClause")
    if clause is None:
        return []
    recursive = bool(clause.get("recursive"))
    around = Scope(scope.parent)
    written: list[Part] = []
    for wrapped in clause["ctes"]:
        cte = wrapped["CommonTableExpr"]
        kind, query = only(cte["ctequery"])
        columns = [one["String"].get("sval", "") for one in cte.get("aliascolnames", ())]
        before = around if recursive else Scope(around.parent, ctes=dict(around.ctes))
        entry = Cte(cte["ctename"], query, before, columns, recursive and _names(query, cte["ctename"]))
        if kind != "SelectStmt":
            entry.written = analysis.bind_write(analysis, kind, query, Scope(before))
            written.append(Apart(entry.written[0]))
        around.ctes[cte["ctename"]] = entry
    scope.ctes = dict(around.ctes)
    return written


def _names(query: Node, name: str) -> bool:
    """Whether a query has a table of this name in it."""
    todo: list[Any] = [query]
    while todo:
        current = todo.pop()
        if isinstance(current, dict):
            if current.get("relname") == name and "schemaname" not in current:
                return True
            todo.extend(current.values())
        elif isinstance(current, list):
            todo.extend(current)
    return False


# --- one SELECT -----------------------------------------------------------------------------------------------------


def _block(analysis: Analysis, node: Node, scope: Scope) -> tuple[Query, Outputs]:
    sources = bind_from(analysis, node.get("fromClause", ()), scope)
    bound = bind_inside(analysis, [node["whereClause"]], scope) if "whereClause" in node else {}
    where = Reader(analysis, scope, bound).read(node.get("whereClause"))
    rest = [node[name] for name in _EXPRESSIONS if name in node]
    calls = analysis.facts.calls
    bind_inside(analysis, rest, scope, bound)
    has_calls = analysis.facts.calls > calls
    groups = node.get("groupClause", [])
    sets = any("GroupingSet" in one for one in groups)
    _fix_ordinals(analysis, node)
    if groups and not sets and "havingClause" in node:
        where += Reader(analysis, scope, bound).read(node["havingClause"])
    constants: list[Condition] = []
    outputs = outputs_of(analysis, node.get("targetList", ()), scope, constants)
    if sets and outputs is not None:
        outputs = [(name, None) for name, _ in outputs]
    block = Block(
        sources,
        where,
        inside(bound),
        constants,
        groups_all=(not groups and ("havingClause" in node or (has_calls and _may_aggregate(node)))) or sets,
        open=not (sets or "windowClause" in node or _picks_rows(node, has_calls)),
    )
    if "intoClause" in node:
        note_table(analysis, analysis.find(node["intoClause"]["rel"].get("schemaname"), _into(node)), "", writes=True)
    _lock(analysis, node)
    return block, outputs


_EXPRESSIONS = ("targetList", "havingClause", "groupClause", "sortClause", "windowClause", "distinctClause")


def _fix_ordinals(analysis: Analysis, node: Node) -> None:
    for name in ("groupClause", "sortClause", "distinctClause"):
        for wrapped in node.get(name, ()):
            inner = wrapped.get("SortBy", {}).get("node", wrapped)
            if "A_Const" in inner:
                analysis.fix(inner["A_Const"])


def _calls(node: Any) -> list[Node]:
    """The calls of functions in an expression, those in its queries aside."""
    found = []
    todo = [node]
    while todo:
        current = todo.pop()
        if isinstance(current, list):
            todo.extend(current)
        elif isinstance(current, dict):
            for name, value in current.items():
                if name == "FuncCall":
                    found.append(value)
                if name != "SubLink" and isinstance(value, (dict, list)):
                    todo.append(value)
    return found


def _may_aggregate(node: Node) -> bool:
    """Whether a query without GROUP BY may give one row for all: any function that is not a window's may be one."""
    calls = _calls([node.get("targetList", []), node.get("sortClause", [])])
    return any("over" not in call for call in calls)


def _picks_rows(node: Node, has_calls: bool) -> bool:
    """Windows and DISTINCT ON: which rows there are decides about the others."""
    if any(node.get("distinctClause", ())) and node["distinctClause"] != [{}]:
        return True
    return has_calls and any(
        "over" in call for call in _calls([node.get("targetList", []), node.get("sortClause", [])])
    )


def outputs_of(analysis: Analysis, targets: Sequence[Node], scope: Scope, constants: list[Condition]) -> Outputs:
    """Names and variables of the target list; None if a star stands for columns that are not known."""
    found: list[Column] = []
    for wrapped in targets:
        target = wrapped["ResTarget"]
        name, value = only(target["val"])
        if name == "ColumnRef" and "A_Star" in value["fields"][-1]:
            columns = _star(scope, value["fields"])
            if columns is None:
                return None
            found += columns
        else:
            found.append(
                (target.get("name") or _name_of(name, value), _output(analysis, name, value, scope, constants))
            )
    return found


def _output(analysis: Analysis, name: str, value: Node, scope: Scope, constants: list[Condition]) -> int | None:
    if name == "ColumnRef":
        return scope.resolve(value["fields"])
    source = analysis.constant({name: value})
    if source is None:
        return Reader(analysis, scope, {}).column({name: value}) if name == "TypeCast" else None
    return _constant_column(analysis, [source], constants)


def _constant_column(analysis: Analysis, values: Sequence[Source | None], constants: list[Condition]) -> int | None:
    """A variable for a column of constants, which are in each row one of these."""
    known = [value for value in values if value is not None]
    families = {family_of(value.type) if value.type else ANY_FAMILY for value in known}
    if len(known) != len(values) or len(families) != 1 or None in families:
        return None
    variable = analysis.facts.variables.new(families.pop())
    constants.append(Member((variable,), tuple((value,) for value in known), by_definition=True))
    return variable


def _name_of(name: str, value: Node) -> str:
    """The name that PostgreSQL gives an output that has none (FigureColname); only a column's matters here."""
    if name == "ColumnRef":
        return str(value["fields"][-1].get("String", {}).get("sval", "?column?"))
    if name == "FuncCall":
        return str(value["funcname"][-1]["String"].get("sval", ""))
    if name == "TypeCast":
        inner = _name_of(*only(value["arg"]))
        return inner if inner != "?column?" else str(value["typeName"]["names"][-1]["String"].get("sval", ""))
    return "?column?"


def _star(scope: Scope, fields: Sequence[Node]) -> list[Column] | None:
    if len(fields) == 1:
        items = scope.items
    else:
        item = scope.find_item(fields[-2]["String"].get("sval", ""))
        items = [item] if item is not None else []
    if not items or not all(item.complete for item in items):
        return None
    return [
        (name, item.variable(name))
        for item in items
        for name in (item.visible() if len(fields) == 1 else item.families)
    ]


def _into(node: Node) -> str:
    return str(node["intoClause"]["rel"]["relname"])


def _lock(analysis: Analysis, node: Node) -> None:
    if "lockingClause" not in node:
        return
    analysis.facts.locks = analysis.facts.volatile = True
    analysis.facts.demand_single(
        "It locks rows, and locks on several shards are not taken together.", "Name the key of every sharded table."
    )


# --- VALUES, set operations -----------------------------------------------------------------------------------------


def _values(analysis: Analysis, node: Node, scope: Scope) -> tuple[Query, Outputs]:
    rows = [wrapped["List"].get("items", []) for wrapped in node["valuesLists"]]
    bound = bind_inside(analysis, rows, scope)
    width = len(rows[0])
    if any(len(row) != width for row in rows):
        return Block([], inside=inside(bound)), None
    constants: list[Condition] = []
    outputs: list[Column] = []
    columns: dict[int, list[Source]] = {}
    for place in range(width):
        values = [analysis.constant(row[place]) for row in rows]
        scratch: list[Condition] = []
        variable = _constant_column(analysis, values, scratch)
        outputs.append((f"column{place + 1}", variable))
        if variable is not None:
            columns[variable] = [value for value in values if value is not None]
    if columns:
        constants.append(Member(tuple(columns), tuple(zip(*columns.values(), strict=True)), by_definition=True))
    return Block([], inside=inside(bound), constants=constants), outputs


def _combination(analysis: Analysis, node: Node, scope: Scope) -> tuple[Query, Outputs]:
    """Its arms, flattened where it leans to the left, as a chain of UNIONs does."""
    chain: list[Node] = []
    while node.get("op", "SETOP_NONE") != "SETOP_NONE" and (not chain or _is_plain(node)):
        chain.append(node)
        node = node["larg"]
    query, outputs = bind_select(analysis, node, Scope(scope))
    for whole in reversed(chain):
        right, right_outputs = bind_select(analysis, whole["rarg"], Scope(scope))
        query, outputs = _combined(analysis, _OPERATORS[whole["op"]], (query, outputs), (right, right_outputs))
    _fix_ordinals(analysis, chain[0])
    bind_inside(analysis, chain[0].get("sortClause", []), Scope(scope))
    return query, outputs


def _is_plain(node: Node) -> bool:
    return not any(name in node for name in ("withClause", "limitCount", "limitOffset", "sortClause", "lockingClause"))


def _combined(
    analysis: Analysis, operator: str, left: tuple[Query, Outputs], right: tuple[Query, Outputs]
) -> tuple[Query, Outputs]:
    """Outputs are equal by place; of different types, they are not the same any more."""
    variables = analysis.facts.variables
    links: tuple[list[Condition], list[Condition]] = ([], [])
    outputs: list[Column] = []
    own: set[int] = set()
    known = left[1] is not None and right[1] is not None and len(left[1]) == len(right[1])
    for place, (name, a) in enumerate(left[1] or ()):
        b = right[1][place][1] if known and right[1] is not None else None
        families = {variables.families[one] for one in (a, b) if one is not None} - {ANY_FAMILY}
        if len(families) > 1 and all(alike(family, "int8") for family in families):
            families = {"int8"}
        if a is None or b is None or len(families) > 1:
            outputs.append((name, None))
            continue
        outer = variables.new(families.pop() if families else ANY_FAMILY)
        outputs.append((name, outer))
        own.add(outer)
        links[0].extend(linked(outer, a))
        links[1].extend(linked(outer, b))
    arms = [Derived(query, frozenset(own), link) for (query, _), link in zip((left, right), links, strict=True)]
    return Combination(operator, arms[0], arms[1]), outputs if left[1] is not None else None
