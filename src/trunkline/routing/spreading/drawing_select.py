"""Ids for the rows of INSERT ... SELECT: the rows are counted first, and as many ids as there are come as an array.

Each row takes the element of its number. Rows that have come since the count have none, and fail the statement. What is
sorted, limited or put together is numbered from outside, as PostgreSQL evaluates defaults: behind all of that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from trunkline.routing.sql import Node, Unparsed, parse_any
from trunkline.routing.text.tokens import tokens_of

_KNOWN = frozenset(("targetList", "fromClause", "whereClause", "groupClause", "havingClause", "limitOption", "op"))


_OF_WHOLE = frozenset(("sortClause", "limitOffset", "limitCount", "distinctClause", "windowClause"))
_OF_SETS = frozenset(("op", "all", "larg", "rarg"))


@dataclass(frozen=True, slots=True)
class Places:
    """Of an INSERT ... SELECT: where the query begins and ends, and behind which places something is added.

    `behind_targets` is None where its rows are numbered from outside.
    """

    select: int
    end: int
    behind_targets: int | None
    behind_columns: int | None


def width_of(select: Node) -> int | None:
    """How many columns a query gives, if that can be seen."""
    while "larg" in select:
        select = select["larg"]
    targets = select.get("targetList", [])
    stars = any("A_Star" in one["ResTarget"]["val"].get("ColumnRef", {}).get("fields", [{}])[-1] for one in targets)
    return None if stars or not targets else len(targets)


def places_of(sql: bytes, node: Node) -> Places | None:
    """The places in its text; None for a query whose rows could not be numbered, or that is not found again."""
    select = node["selectStmt"]["SelectStmt"]
    is_set = select.get("op", "SETOP_NONE") != "SETOP_NONE"
    known = _OF_WHOLE | (_OF_SETS if is_set else _KNOWN)
    if "withClause" in node or set(select) - known - {"limitOption"}:
        return None
    if not is_set and (not select.get("fromClause") or (set(select) & _OF_WHOLE and not _are_typed(select))):
        return None
    tokens = [
        (sql[start:end].lower() if kind in ("word", "other") else b"", start, end)
        for kind, start, end in tokens_of(sql)
    ]
    begins = _at_the_top(tokens, 0, (b"select",))
    from_outside = is_set or bool(set(select) & _OF_WHOLE)
    source = _source(tokens, select["fromClause"][0]) if not from_outside else None
    if begins is None or (not from_outside and (source is None or begins > source)):
        return None
    end = _at_the_top(tokens, begins + 1, (b"returning", b";"))
    conflict = _at_the_top(tokens, begins + 1, (b"conflict",))
    if conflict is not None:
        end = conflict - 1
    behind_columns = None
    if "cols" in node:
        closing = [start for token, start, _ in tokens[:begins] if token == b")"]
        if not closing:
            return None
        behind_columns = closing[-1]
    last = tokens[end][1] if end is not None else tokens[-1][2]
    if source is not None:
        return Places(tokens[begins][1], last, tokens[source][1], behind_columns)
    found = Places(tokens[begins][1], last, None, behind_columns)
    return found if _is_query(sql[found.select : found.end], select) else None


def _are_typed(select: Node) -> bool:
    """Whether no column is a constant or a parameter by itself, which has the type of the column it is put into."""
    values = [one["ResTarget"]["val"] for one in select.get("targetList", ())]
    return not any("ParamRef" in one or {"sval", "isnull"} & set(one.get("A_Const", ())) for one in values)


def _is_query(text: bytes, select: Node) -> bool:
    try:
        return [(kind, _unplaced(node)) for kind, node in parse_any(text)] == [("SelectStmt", _unplaced(select))]
    except Unparsed:
        return False


def _unplaced(tree: Any) -> Any:
    """A tree without the places of its parts."""
    if isinstance(tree, list):
        return [_unplaced(one) for one in tree]
    if isinstance(tree, dict):
        return {name: _unplaced(value) for name, value in tree.items() if name != "location"}
    return tree


def _at_the_top(tokens: Sequence[tuple[bytes, int, int]], first: int, words: Sequence[bytes]) -> int | None:
    """The first of these outside of parentheses."""
    depth = 0
    for index in range(first, len(tokens)):
        token = tokens[index][0]
        depth += (token in (b"(", b"[")) - (token in (b")", b"]"))
        if depth == 0 and token in words:
            return index
    return None


def _source(tokens: Sequence[tuple[bytes, int, int]], item: Node) -> int | None:
    """The FROM before its first table."""
    while "JoinExpr" in item:
        item = item["JoinExpr"]["larg"]
    if "RangeVar" not in item:
        return None
    at = item["RangeVar"].get("location", 0)
    index = next((number for number, token in enumerate(tokens) if token[1] == at), 0) - 1
    while index > 0 and tokens[index][0] in (b"(", b"only"):
        index -= 1
    return index if index > 0 and tokens[index][0] == b"from" else None
