"""The text of an INSERT of rows that are written out, taken apart by its tokens: what stands before them, each, after.

Nothing is written anew: what a server gets of a row are the client's own bytes.
"""

from __future__ import annotations

from dataclasses import dataclass

from trunkline.routing.text.tokens import tokens_of

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Parts:
    """Places in the text; `behind_columns` is the end of the list of columns, before its parenthesis, or None."""

    values: int  # of the word VALUES or OVERRIDING: what stands before it is the table
    first: int  # where the first row begins
    end: int  # behind the last row
    rows: tuple[tuple[Span, ...], ...]
    behind_columns: int | None


def parts_of(sql: bytes, count: int, *, has_columns: bool) -> Parts | None:
    """The parts, if the text has as many rows as its tree; else None."""
    tokens = [(sql[start:end] if kind in ("word", "other") else b"", start, end) for kind, start, end in tokens_of(sql)]
    depth = 0
    closed = None  # the last parenthesis that was closed at the top
    before = None
    for index, (token, start, _) in enumerate(tokens):
        if token in (b"(", b"["):
            depth += 1
        elif token in (b")", b"]"):
            depth -= 1
            closed = start if depth == 0 else closed
        elif depth == 0 and token.lower() == b"overriding":
            before = start
        elif depth == 0 and token.lower() == b"values":
            rows, last = _rows(tokens, index + 1)
            if len(rows) == count and _ends_there(tokens, last):
                at = before if before is not None else start
                begins = tokens[index + 1][1]
                return Parts(at, begins, tokens[last - 1][2], tuple(rows), closed if has_columns else None)
    return None


def _rows(tokens: list[tuple[bytes, int, int]], at: int) -> tuple[list[tuple[Span, ...]], int]:
    """The rows from here on, and the index of the token behind them."""
    rows: list[tuple[Span, ...]] = []
    while at < len(tokens) and tokens[at][0] == b"(":
        values, at = _values(tokens, at + 1)
        rows.append(values)
        if at >= len(tokens) or tokens[at][0] != b",":
            break
        at += 1
    return rows, at


def _values(tokens: list[tuple[bytes, int, int]], at: int) -> tuple[tuple[Span, ...], int]:
    """The values of one row, from behind its parenthesis, and the index behind the one that closes it."""
    values: list[Span] = []
    first, depth = at, 0
    while at < len(tokens):
        token = tokens[at][0]
        if depth == 0 and token in (b",", b")"):
            if at > first:
                values.append((tokens[first][1], tokens[at - 1][2]))
            first = at + 1
            if token == b")":
                return tuple(values), at + 1
        elif token in (b"(", b"["):
            depth += 1
        elif token in (b")", b"]"):
            depth -= 1
        at += 1
    return tuple(values), at


def _ends_there(tokens: list[tuple[bytes, int, int]], at: int) -> bool:
    return at >= len(tokens) or tokens[at][0].lower() in (b"on", b"returning", b";")
