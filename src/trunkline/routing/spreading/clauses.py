"""The text of a SELECT, cut into its clauses and lists, to be put together again with other ones.

What PostgreSQL is asked keeps the client's own words wherever it can. Cuts are made by PostgreSQL's tokens outside all
parentheses: the words that begin a clause are reserved, so there they can only be names behind `AS` or a point. Whoever
puts a text together has it parsed, and compares (`same_tree`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from trunkline.routing.spreading.unsure import Unsure
from trunkline.routing.sql import Node
from trunkline.routing.text.tokens import tokens_of

_WITH_BY = (b"group", b"order")
_BEGINNINGS = {  # of a clause -> the clause
    b"from": "from",
    b"where": "where",
    b"group": "group",
    b"having": "having",
    b"window": "window",
    b"order": "order",
    b"limit": "limit",
    b"offset": "limit",
    b"fetch": "limit",
    b"for": "for",
}
_SET_OPERATORS = (b"union", b"intersect", b"except")
_OPEN, _CLOSE = (b"(", b"["), (b")", b"]")


@dataclass(frozen=True, slots=True)
class Clauses:
    """One SELECT without set operations. `before` ends with the word SELECT; lists are without what parts them."""

    before: bytes
    distinct: bytes  # `DISTINCT`, `DISTINCT ON (...)`, or nothing
    targets: tuple[bytes, ...]
    middle: bytes  # from FROM up to GROUP BY, HAVING, WINDOW or the end
    group: tuple[bytes, ...]
    having: bytes  # the whole clause, as of those below
    window: bytes
    order: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Token:
    """One token, and how many parentheses are open around it."""

    text: bytes
    start: int
    end: int
    depth: int


def tokenize(sql: bytes) -> list[Token]:
    """The tokens of a text; words that are not quoted are in lower case."""
    found, depth = [], 0
    for kind, start, end in tokens_of(sql):
        text = sql[start:end]
        if text in _CLOSE:
            depth -= 1
        found.append(Token(text.lower() if kind == "word" else text, start, end, depth))
        if text in _OPEN:
            depth += 1
    while found and found[-1].text == b";":
        found.pop()
    return found


def cut(sql: bytes) -> Clauses:
    """The clauses of a SELECT that is not in parentheses; Unsure if it is not understood."""
    tokens = tokenize(sql)
    first = next((at for at, one in enumerate(tokens) if one.text == b"select" and one.depth == 0), None)
    if first is None or any(one.depth == 0 and one.text in _SET_OPERATORS for one in tokens):
        raise Unsure("the text is not cut into clauses")
    starts = _starts(tokens, first + 1)
    end = tokens[-1].end
    distinct_end = _end_of_distinct(tokens, first)
    at = {name: tokens[place].start for name, place in starts.items()}
    order = ("from", "where", "group", "having", "window", "order", "limit", "for")
    if list(starts) != [name for name in order if name in starts] or "for" in starts:
        raise Unsure("its clauses are in an order that is not known")
    bounds = [at[name] for name in order if name in at] + [end]
    spans = {name: (at[name], bounds[place + 1]) for place, name in enumerate(n for n in order if n in at)}
    targets_end = bounds[0]
    middle_end = next((at[name] for name in order[2:] if name in at), end)
    return Clauses(
        sql[: tokens[first].end],
        sql[tokens[first].end : distinct_end].strip(),
        _list(sql, tokens, distinct_end, targets_end),
        _span(sql, (targets_end, middle_end)),
        _after_by(sql, tokens, spans.get("group")),
        _span(sql, spans.get("having")),
        _span(sql, spans.get("window")),
        _after_by(sql, tokens, spans.get("order")),
    )


def _starts(tokens: Sequence[Token], first: int) -> dict[str, int]:
    """Where each clause begins, by the number of its first token."""
    starts: dict[str, int] = {}
    for at in range(first, len(tokens)):
        token, before = tokens[at], tokens[at - 1].text
        name = _BEGINNINGS.get(token.text) if token.depth == 0 else None
        if name is None or before in (b".", b"as") or name in starts:
            continue
        if token.text == b"from" and before == b"distinct":
            continue
        if token.text in _WITH_BY and (at + 1 == len(tokens) or tokens[at + 1].text != b"by"):
            continue
        starts[name] = at
    return starts


def _end_of_distinct(tokens: Sequence[Token], select: int) -> int:
    at = select + 1
    if tokens[at].text == b"all":
        return tokens[at].end
    if tokens[at].text != b"distinct":
        return tokens[select].end
    if tokens[at + 1].text != b"on" or tokens[at + 2].text != b"(":
        return tokens[at].end
    closing = next(one for one in tokens[at + 3 :] if one.text == b")" and one.depth == 0)
    return closing.end


def _list(sql: bytes, tokens: Sequence[Token], start: int, end: int) -> tuple[bytes, ...]:
    """What stands between commas."""
    cuts = [one for one in tokens if one.text == b"," and one.depth == 0 and start <= one.start < end]
    starts, ends = [start, *(one.end for one in cuts)], [*(one.start for one in cuts), end]
    return tuple(without_comments(sql[a:b]) for a, b in zip(starts, ends, strict=True))


def without_comments(text: bytes) -> bytes:
    """Up to the last token: a comment that ends with its line would swallow what is put behind it."""
    found = tokens_of(text)
    return text[found[0][1] : found[-1][2]] if found else b""


def _span(sql: bytes, span: tuple[int, int] | None) -> bytes:
    return without_comments(sql[span[0] : span[1]]) if span is not None else b""


def _after_by(sql: bytes, tokens: Sequence[Token], span: tuple[int, int] | None) -> tuple[bytes, ...]:
    if span is None:
        return ()
    by = next(one for one in tokens if one.start > span[0] and one.text == b"by")
    return _list(sql, tokens, by.end, span[1])


def expression_of_target(text: bytes, target: Node) -> bytes:
    """The expression of an output, without the name that it may have got."""
    if "name" not in target:
        return text
    tokens = tokens_of(text)
    behind = tokens[-2]
    if text[behind[1] : behind[2]].lower() == b"as" and len(tokens) > 2:
        behind = tokens[-3]
    return text[: behind[2]]


def expression_of_sort(text: bytes, sort: Node) -> bytes:
    """The expression of ORDER BY, without ASC, DESC, NULLS FIRST and the like."""
    tokens = tokens_of(text)
    extra = 2 if sort["sortby_nulls"] != "SORTBY_NULLS_DEFAULT" else 0
    extra += 1 if sort["sortby_dir"] in ("SORTBY_ASC", "SORTBY_DESC") else 0
    return text[: tokens[-1 - extra][2]]


def text_of_call(sql: bytes, call: Node) -> bytes:
    """A call of an aggregate as it stands in a text, with its FILTER."""
    tokens = tokenize(sql)
    first = next((at for at, one in enumerate(tokens) if one.start == call.get("location", 0)), len(tokens))
    opening = next((at for at in range(first, len(tokens)) if tokens[at].text == b"("), len(tokens))
    last = _closing(tokens, opening)
    if "agg_filter" in call:
        last = _closing(tokens, last + 2)
    return sql[tokens[first].start : tokens[last].end]


def _closing(tokens: Sequence[Token], opening: int) -> int:
    """The parenthesis that closes this one."""
    if opening >= len(tokens) or tokens[opening].text != b"(":
        raise Unsure("the text of a call is not understood")
    depth = tokens[opening].depth
    behind = range(opening + 1, len(tokens))
    return next(at for at in behind if tokens[at].text == b")" and tokens[at].depth == depth)


def same_tree(one: Any, other: Any) -> bool:
    """Whether two trees differ in nothing but where their parts stand in the text."""
    if isinstance(one, dict) and isinstance(other, dict):
        keys = (one.keys() | other.keys()) - _PLACES
        return all(key in one and key in other and same_tree(one[key], other[key]) for key in keys)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same_tree, one, other))
    return bool(one == other)


_PLACES = frozenset(
    (
        "location",
        "stmt_location",
        "stmt_len",
        "name_location",
        "list_start",
        "list_end",
        "rexpr_list_start",
        "rexpr_list_end",
    )
)
