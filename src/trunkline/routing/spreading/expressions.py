"""What may stand in an expression that every shard computes for its own rows: what gives the same result everywhere.

Only nodes, functions and types that are known are let through. PostgreSQL's own functions may be immutable, or one of
those stable ones that depend on nothing but the session's settings, which are the same on every shard.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from trunkline.routing.planning.analysis import Analysis
from trunkline.routing.planning.scopes import SYSTEM_COLUMNS, Item, Scope
from trunkline.routing.schema.catalog import Function
from trunkline.routing.spreading.moments import says_now
from trunkline.routing.spreading.unsure import Unsure
from trunkline.routing.sql import Node

_STABLE = frozenset(
    [
        *(
            "array_to_json",
            "array_to_string",
            "concat",
            "concat_ws",
            "date",
            "date_part",
            "date_trunc",
            "extract",
            "format",
        ),
        *("json_agg", "json_build_array", "json_build_object", "json_object_agg", "jsonb_agg", "jsonb_build_array"),
        *("jsonb_build_object", "jsonb_object_agg", "make_timestamptz", "quote_literal", "quote_nullable"),
        *("row_to_json", "string_to_array", "timezone", "to_char", "to_date", "to_json", "to_jsonb", "to_number"),
        *("to_timestamp", "to_tsquery", "to_tsvector", "plainto_tsquery", "websearch_to_tsquery", "phraseto_tsquery"),
    ]
)
_PLAIN = frozenset(
    [
        *("A_ArrayExpr", "A_Expr", "A_Indices", "A_Indirection", "A_Star", "BitString", "BoolExpr", "Boolean"),
        *("BooleanTest", "CaseExpr", "CaseWhen", "CoalesceExpr", "CollateClause", "Float", "Integer", "List"),
        *("MinMaxExpr", "NamedArgExpr", "NullTest", "ParamRef", "RowExpr", "SortBy", "String", "WindowDef"),
    ]
)
_OF_THE_USER = frozenset(("SVFOP_CURRENT_ROLE", "SVFOP_CURRENT_USER", "SVFOP_SESSION_USER", "SVFOP_USER"))

Handler = Callable[[Node], None]


class Expressions:
    """Reads expressions of one scope. `on_sublink` hears of each query in them, `on_call` of aggregates and windows."""

    def __init__(
        self, analysis: Analysis, scope: Scope, on_sublink: Handler, on_call: Callable[[Node, Function], None]
    ) -> None:
        self._analysis = analysis
        self._scope = scope
        self._on_sublink = on_sublink
        self._on_call = on_call

    def check(self, node: Any) -> None:
        """Raise Unsure if there is something in an expression, or a list of them, that is not let through."""
        todo = [node]
        while todo:
            current = todo.pop()
            if isinstance(current, list):
                todo += current
                continue
            for name, value in current.items():
                if isinstance(value, dict):
                    todo += self._node(name, value)
                elif isinstance(value, list):
                    todo.append(value)

    def _node(self, name: str, node: Node) -> Sequence[Any]:
        """What is below a node and is to be looked at as well."""
        handler = _HANDLERS.get(name)
        if handler is not None:
            return handler(self, node)
        if name[0].isupper() and name not in _PLAIN:
            raise Unsure(f"{name} is not known to be the same on every shard")
        return (node,)

    def _column(self, node: Node) -> Sequence[Any]:
        self.level(node["fields"])
        return ()

    def level(self, fields: Sequence[Node]) -> int:
        """How many queries further out the column is; Unsure if it is none, or may be several."""
        names = [part["String"].get("sval", "") for part in fields if "String" in part]
        if len(names) != len(fields) or len(names) > 2 or names[-1] in SYSTEM_COLUMNS:
            raise Unsure("a row as a whole, or a system column, is read")
        scope: Scope | None = self._scope
        level = 0
        while scope is not None:
            found = [item for item in scope.items if has(item, names)]
            if len(found) > 1 or not all(item.complete for item in scope.items):
                raise Unsure(f"{names[-1]} may be one of several columns")
            if found:
                return level
            scope, level = scope.parent, level + 1
        raise Unsure(f"{names[-1]} is not known")

    def _constant(self, node: Node) -> Sequence[Any]:
        if says_now(str(node.get("sval", {}).get("sval", ""))):
            raise Unsure("a constant may mean the time of each shard")
        return ()

    def _cast(self, node: Node) -> Sequence[Any]:
        names = [part["String"].get("sval", "") for part in node["typeName"]["names"]]
        if names[-1].startswith("reg"):
            raise Unsure("the number of an object differs from shard to shard")
        return (node["arg"],)

    def _value_function(self, node: Node) -> Sequence[Any]:
        if node["op"] not in _OF_THE_USER:
            raise Unsure("the time differs from shard to shard")
        return ()

    def _sublink(self, node: Node) -> Sequence[Any]:
        self._on_sublink(node)
        return (node["testexpr"],) if "testexpr" in node else ()

    def _call(self, node: Node) -> Sequence[Any]:
        function = the_function(self._analysis, node)
        if function.returns_set:
            raise Unsure(f"{function.name}() returns a set")
        if function.kind in ("a", "w") or "over" in node:
            self._on_call(node, function)
        return [value for key, value in node.items() if isinstance(value, (dict, list)) and key != "funcname"]


def has(item: Item, names: Sequence[str]) -> bool:
    """Whether a name of one or two parts may mean a column of this."""
    if len(names) == 2:
        return item.alias == names[0] and names[1] in item.families
    return names[0] in item.families and names[0] not in item.hidden


def the_function(analysis: Analysis, node: Node) -> Function:
    """One of the functions that a call may mean, if they are all PostgreSQL's own, of one kind, and let through."""
    names = [part["String"].get("sval", "") for part in node["funcname"]]
    schema, name = (names[-2] if len(names) > 1 else None), names[-1]
    found = analysis.catalog.find_functions(schema, name, analysis.search_path)
    if not found or any(one.schema != "pg_catalog" for one in found):
        raise Unsure(f"{name}() is not PostgreSQL's own")
    if len({(one.kind, one.returns_set) for one in found}) > 1:
        raise Unsure(f"{name}() is of several kinds")
    if any(one.volatility != "i" for one in found) and name not in _STABLE:
        raise Unsure(f"{name}() may give another result on each shard")
    return found[0]


_HANDLERS: dict[str, Callable[[Expressions, Node], Sequence[Any]]] = {
    "A_Const": Expressions._constant,
    "ColumnRef": Expressions._column,
    "FuncCall": Expressions._call,
    "SQLValueFunction": Expressions._value_function,
    "SubLink": Expressions._sublink,
    "TypeCast": Expressions._cast,
    "TypeName": lambda self, node: (),
}
