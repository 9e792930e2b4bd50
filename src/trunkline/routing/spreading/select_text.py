"""The text of an INSERT ... SELECT, taken apart by its tokens: the query, and what stands behind it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from trunkline.routing.sql import Node, Unparsed, parse_any
from trunkline.routing.text.tokens import tokens_of

_BEGINS = frozenset((b"select", b"values", b"with", b"table", b"("))
_PLACES = ("location", "_start", "_end", "_len")  # ends of names of what says where something stands in a text


@dataclass(frozen=True, slots=True)
class SelectText:
    """The query as a statement by itself, with the WITH of the INSERT; `tail` is where what follows it begins."""

    query: bytes
    start: int  # where the query begins in the text
    tail: int


def select_text(sql: bytes, node: Node) -> SelectText | None:
    """Where the query is; None if it is not found again."""
    tokens = _top(sql)
    words = [sql[start:end].lower() for start, end in tokens]
    try:
        insert = words.index(b"insert")
        place = insert + 2
        if "cols" in node:
            place = words.index(b")", place) + 1
        first = next(at for at in range(place, len(words)) if words[at] in _BEGINS)
    except (ValueError, StopIteration):
        return None
    behind = next((at for at in range(first + 1, len(words)) if _ends(words, at, node)), len(words))
    start, end = tokens[first][0], tokens[behind - 1][1]
    query = sql[tokens[0][0] : tokens[insert][0]] + sql[start:end]
    return SelectText(query, start, end) if _is_it(query, node) else None


def _top(sql: bytes) -> list[tuple[int, int]]:
    """The tokens that stand in no parentheses, and these themselves; no semicolon."""
    found, depth = [], 0
    for _, start, end in tokens_of(sql):
        token = sql[start:end]
        depth -= token in (b")", b"]")
        if depth == 0 and token != b";":
            found.append((start, end))
        depth += token in (b"(", b"[")
    return found


def _ends(words: list[bytes], at: int, node: Node) -> bool:
    if "onConflictClause" in node:
        return words[at : at + 2] == [b"on", b"conflict"]
    return "returningClause" in node and words[at] == b"returning" and words[at - 1] not in (b"as", b".")


def _is_it(query: bytes, node: Node) -> bool:
    try:
        statements = parse_any(query)
    except Unparsed:
        return False
    wanted = dict(node["selectStmt"]["SelectStmt"])
    if "withClause" in node:
        if "withClause" in wanted:
            return False
        wanted["withClause"] = node["withClause"]
    return len(statements) == 1 and statements[0][0] == "SelectStmt" and _bare(statements[0][1]) == _bare(wanted)


def _bare(node: Any) -> Any:
    """A tree without places."""
    if isinstance(node, dict):
        return {name: _bare(value) for name, value in node.items() if not name.endswith(_PLACES)}
    return [_bare(one) for one in node] if isinstance(node, list) else node
