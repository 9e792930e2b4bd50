"""Ids for the rows of INSERT ... SELECT: the rows are counted first, and as many ids as there are come as an array.

Each row takes the element of its number. Rows that have come since the count have none, and fail the statement.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from trunkline.routing.sql import Node
from trunkline.routing.text.tokens import tokens_of

_KNOWN = frozenset(("targetList", "fromClause", "whereClause", "groupClause", "havingClause", "limitOption", "op"))


@dataclass(frozen=True, slots=True)
class Places:
    """Of an INSERT ... SELECT: where the query begins and ends, and behind which places something is added."""

    select: int
    end: int
    behind_targets: int
    behind_columns: int | None


def width_of(select: Node) -> int | None:
    """How many columns a query gives, if that can be seen."""
    targets = select.get("targetList", [])
    stars = any("A_Star" in one["ResTarget"]["val"].get("ColumnRef", {}).get("fields", [{}])[-1] for one in targets)
    return None if stars else len(targets)


def places_of(sql: bytes, node: Node) -> Places | None:
    """The places in its text; None for a query whose rows could not be numbered, or that is not found again."""
    select = node["selectStmt"]["SelectStmt"]
    if set(select) - _KNOWN or select.get("op", "SETOP_NONE") != "SETOP_NONE" or not select.get("fromClause"):
        return None
    tokens = [
        (sql[start:end].lower() if kind in ("word", "other") else b"", start, end)
        for kind, start, end in tokens_of(sql)
    ]
    begins = _at_the_top(tokens, 0, (b"select",))
    source = _source(tokens, select["fromClause"][0])
    if begins is None or source is None or begins > source:
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
    return Places(tokens[begins][1], last, tokens[source][1], behind_columns)


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
