"""The names that PostgreSQL gives to outputs (FigureColname in parse_target.c)."""

from __future__ import annotations

from trunkline.routing.sql import Node, only

UNNAMED = "?column?"

_ONE_NAME = {
    "A_ArrayExpr": "array",
    "CoalesceExpr": "coalesce",
    "GroupingFunc": "grouping",
    "RowExpr": "row",
    "XmlSerialize": "xmlserialize",
}
_SUBLINKS = {"EXISTS_SUBLINK": "exists", "ARRAY_SUBLINK": "array"}
_MIN_MAX = {"IS_GREATEST": "greatest", "IS_LEAST": "least"}


def name_of(target: Node) -> str:
    """Of a ResTarget's fields."""
    return str(target["name"]) if "name" in target else _figure(target["val"])[1]


def _figure(wrapped: Node) -> tuple[int, str]:
    """How strong a name is, and the name."""
    kind, node = only(wrapped)
    if kind in _ONE_NAME:
        return 2, _ONE_NAME[kind]
    if kind == "ColumnRef":
        return 2, _last_string(node["fields"])
    if kind == "FuncCall":
        return 2, _last_string(node["funcname"])
    if kind == "A_Indirection":
        name = _last_string(node.get("indirection", ()))
        return (2, name) if name != UNNAMED else _figure(node["arg"])
    if kind == "TypeCast":
        inner = _figure(node["arg"])
        return inner if inner[0] > 1 else (1, _last_string(node["typeName"]["names"]))
    if kind == "CollateClause":
        return _figure(node["arg"])
    if kind == "A_Expr" and node.get("kind") == "AEXPR_NULLIF":
        return 2, "nullif"
    if kind == "MinMaxExpr":
        return 2, _MIN_MAX[node["op"]]
    if kind == "CaseExpr":
        inner = _figure(node["defresult"]) if "defresult" in node else (0, UNNAMED)
        return inner if inner[0] > 1 else (1, "case")
    if kind == "SubLink":
        return _of_sublink(node)
    if kind == "SQLValueFunction":
        return 2, str(node["op"]).removeprefix("SVFOP_").removesuffix("_N").lower()
    return 0, UNNAMED


def _of_sublink(node: Node) -> tuple[int, str]:
    kind = node["subLinkType"]
    if kind in _SUBLINKS:
        return 2, _SUBLINKS[kind]
    if kind == "EXPR_SUBLINK":
        query = node["subselect"]["SelectStmt"]
        while "larg" in query:
            query = query["larg"]
        if "targetList" in query:
            target = query["targetList"][0]["ResTarget"]
            return 2, name_of(target)
    return 0, UNNAMED


def _last_string(nodes: list[Node]) -> str:
    found = [one["String"].get("sval", "") for one in nodes if "String" in one]
    return str(found[-1]) if found else UNNAMED
