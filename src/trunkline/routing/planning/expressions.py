"""What an expression has in it besides conditions: queries, functions, system columns, parameters, names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from trunkline.routing.planning.analysis import Analysis
from trunkline.routing.planning.constants import family_of, type_name
from trunkline.routing.planning.functions import on_call
from trunkline.routing.planning.scopes import SYSTEM_COLUMNS, Scope
from trunkline.routing.planning.tree import Derived

Bound = dict[int, Derived]  # id of a SubLink's node -> its query
_UNKNOWN = "?"


def bind_inside(analysis: Analysis, node: Any, scope: Scope, bound: Bound | None = None) -> Bound:
    """Look at every node of an expression, or of a list of them; the queries in it come back bound."""
    if bound is None:
        bound = {}
    todo = [node]
    while todo:
        current = todo.pop()
        if isinstance(current, list):
            todo.extend(current)
            continue
        for name, value in current.items():
            if type(value) is list:
                todo.append(value)
            elif type(value) is dict:
                reader = _READERS.get(name)
                if reader is None:
                    todo.append(value)
                elif more := reader(analysis, value, scope, bound):
                    todo.extend(more)
    return bound


def inside(bound: Bound) -> list[Derived]:
    return list(bound.values())


def _column(analysis: Analysis, node: Any, scope: Scope, bound: Bound) -> None:
    last = node["fields"][-1].get("String")
    if last is not None and last.get("sval") in SYSTEM_COLUMNS:
        analysis.facts.demand_single(
            f"It reads the system column {last['sval']}, which means something on one shard only.",
            "Name the key of every sharded table.",
        )


def _sublink(analysis: Analysis, node: Any, scope: Scope, bound: Bound) -> list[Any]:
    query, outputs = analysis.bind_select(analysis, node["subselect"]["SelectStmt"], Scope(scope))
    derived, _ = analysis.derive(query, outputs, "")
    bound[id(node)] = derived
    return [node["testexpr"]] if "testexpr" in node else []


def _call(analysis: Analysis, node: Any, scope: Scope, bound: Bound) -> list[Any]:
    analysis.facts.calls += 1
    for part in on_call(analysis, node, scope):
        bound[-len(bound) - 1] = part  # a key that is no node's
    return [value for value in node.values() if isinstance(value, (dict, list))]


def _cast(analysis: Analysis, node: Any, scope: Scope, bound: Bound) -> list[Any]:
    arg, type = node["arg"], type_name(node["typeName"])
    if "A_Const" in arg and type in _NAMING_TYPES:
        analysis.fix(arg["A_Const"])
    if "ParamRef" in arg:
        _seen(analysis, arg, family_of(type or "") or type or _UNKNOWN)
        return []
    return [arg]


_NAMING_TYPES = frozenset(
    ["regclass", "regproc", "regprocedure", "regnamespace", "regtype", "regrole", "regoper", "regoperator"]
)


def _parameter(analysis: Analysis, node: Any, scope: Scope, bound: Bound) -> None:
    analysis.facts.parameters.setdefault(node.get("number", 0), set()).add(_UNKNOWN)


def _seen(analysis: Analysis, node: Any, family: str) -> None:
    analysis.facts.parameters.setdefault(node["ParamRef"].get("number", 0), set()).add(family)


def _operator(analysis: Analysis, node: Any, scope: Scope, bound: Bound) -> list[Any]:
    """Operands; a parameter that is compared with a column has the column's type."""
    left, right = node.get("lexpr"), node.get("rexpr")
    if left is None:
        return [right]
    for one, other in ((left, right), (right, left)):
        if "ColumnRef" not in one:
            continue
        parameters, rest = _parameters_in(other)
        if not parameters:
            continue
        variable = scope.resolve(one["ColumnRef"]["fields"])
        family = analysis.facts.variables.families[variable] if variable is not None else None
        suffix = "[]" if node["kind"] == "AEXPR_OP_ANY" else ""
        for parameter in parameters:
            _seen(analysis, parameter, (family or _UNKNOWN) + suffix)
        return [one, *rest]
    return [left, right]


def _parameters_in(operand: Any) -> tuple[list[Any], list[Any]]:
    if "ParamRef" in operand:
        return [operand], []
    items = operand.get("List", {}).get("items") or operand.get("A_ArrayExpr", {}).get("elements") or ()
    return [one for one in items if "ParamRef" in one], [one for one in items if "ParamRef" not in one]


def _clock(analysis: Analysis, node: Any, scope: Scope, bound: Bound) -> None:
    """CURRENT_DATE and the like, and CURRENT_USER."""
    analysis.facts.differs = True


def _null_test(analysis: Analysis, node: Any, scope: Scope, bound: Bound) -> list[Any]:
    return [] if "ParamRef" in node["arg"] else [node["arg"]]


def _current_of(analysis: Analysis, node: Any, scope: Scope, bound: Bound) -> None:
    analysis.facts.anywhere = True


_READERS: dict[str, Callable[[Analysis, Any, Scope, Bound], list[Any] | None]] = {
    "A_Expr": _operator,
    "ColumnRef": _column,
    "CurrentOfExpr": _current_of,
    "FuncCall": _call,
    "NullTest": _null_test,
    "ParamRef": _parameter,
    "SQLValueFunction": _clock,
    "SubLink": _sublink,
    "TypeCast": _cast,
    "TypeName": lambda analysis, node, scope, bound: None,
}
