"""Aggregates of which each shard computes a part, and what the parts are.

The parts are made of the client's own call, with other functions in the place of its own: arguments, DISTINCT and
FILTER stay as they are. Which types they are exact for is seen when a shard has said what it gives.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from trunkline.routing.planning.predicates import Reader
from trunkline.routing.spreading.bound import Bound
from trunkline.routing.spreading.clauses import tokenize
from trunkline.routing.spreading.merge import Combine, Kind
from trunkline.routing.spreading.sorting import Asked
from trunkline.routing.spreading.unsure import Unsure
from trunkline.routing.sql import Node

_KINDS = {
    "avg": Kind.AVG,
    "bit_and": Kind.AND,
    "bit_or": Kind.OR,
    "bit_xor": Kind.XOR,
    "bool_and": Kind.AND,
    "bool_or": Kind.OR,
    "count": Kind.COUNT,
    "every": Kind.AND,
    "max": Kind.MAX,
    "min": Kind.MIN,
    "stddev": Kind.STDDEV_SAMP,
    "stddev_pop": Kind.STDDEV_POP,
    "stddev_samp": Kind.STDDEV_SAMP,
    "sum": Kind.SUM,
    "var_pop": Kind.VAR_POP,
    "var_samp": Kind.VAR_SAMP,
    "variance": Kind.VAR_SAMP,
}
_DEVIATIONS = (Kind.VAR_POP, Kind.VAR_SAMP, Kind.STDDEV_POP, Kind.STDDEV_SAMP)
_WHATEVER_IS_TWICE = (Kind.MIN, Kind.MAX, Kind.AND, Kind.OR)


@dataclass(frozen=True, slots=True)
class Partial:
    """An aggregate and the expressions that are its parts."""

    kind: Kind
    parts: tuple[Asked, ...]


class Aggregated:
    """The aggregates of one query."""

    def __init__(self, bound: Bound, calls: Sequence[Node]) -> None:
        self._bound = bound
        self._calls = calls

    def call_of(self, node: Node) -> Node | None:
        """The aggregate that an expression is; None if there is none in it. Unsure if it is made of some."""
        if "FuncCall" in node and any(node["FuncCall"] is call for call in self._calls):
            return dict(node["FuncCall"])
        if _contains(node, self._calls):
            raise Unsure("an expression over aggregates of several shards")
        return None

    def parts(self, columns: Sequence[Asked], keys: int) -> tuple[list[Asked], list[Combine]]:
        """The hidden columns, behind these and so many keys, of which those that are aggregates are made."""
        parts: list[Asked] = []
        combines: list[Combine] = []
        for column, asked in enumerate(columns):
            call = self.call_of(asked.node)
            if call is None:
                continue
            made = partial(asked.text, call, self._bound)
            first = len(columns) + keys + len(parts)
            combines.append(Combine(made.kind, column, tuple(range(first, first + len(made.parts)))))
            parts += made.parts
        return parts, combines


def _contains(node: object, calls: Sequence[Node]) -> bool:
    todo: list[object] = [node]
    while todo:
        current = todo.pop()
        if any(current is call for call in calls):
            return True
        if isinstance(current, dict):
            todo += current.values()
        elif isinstance(current, list):
            todo += current
    return False


def partial(text: bytes, call: Node, bound: Bound) -> Partial:
    """The parts of a call; Unsure if it is none that can be made of parts."""
    kind = _KINDS.get(call["funcname"][-1]["String"].get("sval", ""))
    if kind is None or any(name in call for name in ("agg_order", "agg_within_group", "over", "func_variadic")):
        raise Unsure("an aggregate that is not made of parts")
    if call.get("agg_distinct") and kind not in _WHATEVER_IS_TWICE and not _is_key(call, bound):
        raise Unsure("an aggregate of distinct values, which may be on several shards")
    tokens = tokenize(text)
    opening = next((one for one in tokens if one.text == b"("), None)
    if opening is None:
        raise Unsure("the text of an aggregate is not understood")
    rest = text[opening.start :]
    if kind is Kind.AVG:
        return Partial(kind, (_renamed("sum", rest, call), _renamed("count", rest, call)))
    if kind in _DEVIATIONS:
        return Partial(kind, (_renamed("sum", rest, call), _squares(text, call), _renamed("count", rest, call)))
    return Partial(kind, (Asked(text, {"FuncCall": call}),))


def _renamed(name: str, rest: bytes, call: Node) -> Asked:
    names = [{"String": {"sval": "pg_catalog"}}, {"String": {"sval": name}}]
    return Asked(b"pg_catalog.%s%s" % (name.encode(), rest), {"FuncCall": {**call, "funcname": names}})


def _squares(text: bytes, call: Node) -> Asked:
    """The sum of the squares of the argument, as numeric."""
    if "agg_distinct" in call or len(call.get("args", ())) != 1:
        raise Unsure("a deviation of distinct values")
    tokens = tokenize(text)
    opening = next(at for at, one in enumerate(tokens) if one.text == b"(")
    closing = next(
        at for at, one in enumerate(tokens) if one.text == b")" and one.depth == tokens[opening].depth and at > opening
    )
    argument = text[tokens[opening + 1].start : tokens[closing - 1].end]
    square = b"(%s)::pg_catalog.numeric" % argument
    names = [{"String": {"sval": "pg_catalog"}}, {"String": {"sval": "sum"}}]
    type = {"names": [{"String": {"sval": "pg_catalog"}}, {"String": {"sval": "numeric"}}], "typemod": -1}
    cast = {"TypeCast": {"arg": call["args"][0], "typeName": type}}
    product = {"A_Expr": {"kind": "AEXPR_OP", "name": [{"String": {"sval": "*"}}], "lexpr": cast, "rexpr": cast}}
    filter = text[tokens[closing].end :]
    node = {"FuncCall": {**call, "funcname": names, "args": [product]}}
    return Asked(b"pg_catalog.sum(%s * %s)%s" % (square, square, filter), node)


def _is_key(call: Node, bound: Bound) -> bool:
    """Whether the argument says on which shard a row is: then no two shards have the same value."""
    arguments = call.get("args", [])
    column = Reader(bound.analysis, bound.scope, {}).column(arguments[0]) if len(arguments) == 1 else None
    if column is None:
        return False
    return any(key.columns == (column,) for key in bound.piece.keys)
