"""HAVING as comparisons of aggregates with constants, all of which must hold; anything else is not decided here."""

from __future__ import annotations

import re

from trunkline.routing.spreading.unsure import Unsure
from trunkline.routing.sql import Node, only

Filter = tuple[str, int, int]  # an operator, and the constant digits / 10 ** scale

_TURNED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "=", "<>": "<>"}
_PLAIN = re.compile(r"[0-9]+(?:\.[0-9]*)?|\.[0-9]+")


def comparisons(having: Node | None) -> tuple[list[Node], list[Filter]]:
    """The calls that are compared, and what with; Unsure if it is more than that."""
    calls: list[Node] = []
    filters: list[Filter] = []
    for wrapped in _conjuncts(having):
        kind, node = only(wrapped)
        if kind != "A_Expr" or node.get("kind") != "AEXPR_OP" or len(node["name"]) != 1 or "lexpr" not in node:
            raise Unsure("HAVING of groups that are on several shards")
        operator = node["name"][0]["String"].get("sval", "")
        left, right = node["lexpr"], node["rexpr"]
        if "FuncCall" not in left:
            left, right, operator = right, left, _TURNED.get(operator, "")
        if operator not in _TURNED or "FuncCall" not in left:
            raise Unsure("HAVING of groups that are on several shards")
        calls.append(left["FuncCall"])
        filters.append((operator, *_number(right)))
    return calls, filters


def _conjuncts(wrapped: Node | None) -> list[Node]:
    if wrapped is None:
        return []
    kind, node = only(wrapped)
    if kind == "BoolExpr" and node["boolop"] == "AND_EXPR":
        return [one for part in node["args"] for one in _conjuncts(part)]
    return [wrapped]


def _number(wrapped: Node) -> tuple[int, int]:
    constant = wrapped.get("A_Const", {})
    if "ival" in constant:
        return int(constant["ival"].get("ival", 0)), 0
    text = constant.get("fval", {}).get("fval", "")
    negative = text.startswith("-")
    if not _PLAIN.fullmatch(text.removeprefix("-")):
        raise Unsure("HAVING with what is no plain number")
    whole, _, fraction = text.removeprefix("-").partition(".")
    digits = int(whole + fraction)
    return -digits if negative else digits, len(fraction)
