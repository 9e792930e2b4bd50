"""LIMIT and OFFSET of a statement that is merged: numbers, or parameters of which the call says the number."""

from __future__ import annotations

from trunkline.routing.spreading.merge import FromParameter, Limits, Number
from trunkline.routing.spreading.unsure import Unsure
from trunkline.routing.sql import Node, only

_MOST = 2**63 - 1


def limits_of(node: Node) -> Limits:
    """Of a SelectStmt; Unsure if one is an expression."""
    ties = node.get("limitOption") == "LIMIT_OPTION_WITH_TIES"
    return Limits(_number(node.get("limitCount")), _number(node.get("limitOffset")), ties)


def _number(wrapped: Node | None) -> Number:
    if wrapped is None:
        return None
    kind, node = only(wrapped)
    if kind == "A_Const" and node.get("isnull"):
        return None
    if kind == "A_Const" and "ival" in node:
        return int(node["ival"].get("ival", 0))
    if kind == "A_Const" and node.get("fval", {}).get("fval", "").isdigit() and int(node["fval"]["fval"]) <= _MOST:
        return int(node["fval"]["fval"])
    if kind == "ParamRef" and node.get("number"):
        return FromParameter(node["number"])
    raise Unsure("a limit that is no number")
