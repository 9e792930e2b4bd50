"""COPY (SELECT ...) TO STDOUT over several shards: the query's own program, and how its rows are written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from trunkline.routing.plans.plan import Refusal
from trunkline.routing.spreading.clauses import tokenize
from trunkline.routing.spreading.gathering import Gather
from trunkline.routing.spreading.merge import Merging
from trunkline.routing.spreading.request import Concatenation, Request
from trunkline.routing.spreading.wrapped import Wrapped, inner_of, planned
from trunkline.routing.spreading.writing_copy import is_true
from trunkline.routing.sql import Node

_ENCODINGS = ("utf8", "unicode")


@dataclass(frozen=True, slots=True)
class CopyQuery(Wrapped):
    """`tail` stands behind the query and its parenthesis; `quoted` are columns, "*" all of them (FORCE_QUOTE)."""

    tail: bytes
    form: str
    header: bool
    delimiter: bytes
    null: bytes
    quote: bytes
    escape: bytes
    quoted: tuple[str, ...]


def plan(request: Request, program_of: Callable[[Request], Any]) -> CopyQuery | Refusal:
    """How a COPY of a query's rows is answered."""
    if {"is_from", "filename", "is_program"} & set(request.node):
        return Refusal("It copies to a file of one server.", "COPY ... TO STDOUT gives the rows to the client.")
    tokens = tokenize(request.sql)
    closing = next((at for at, one in enumerate(tokens) if at > 1 and one.text == b")" and one.depth == 0), 0)
    span = (tokens[1].end, tokens[closing].start)
    inner = inner_of(request, (span,)) if closing and tokens[1].text == b"(" else None
    if inner is None:
        return Refusal("The text of the query that it copies is not understood.", "Ask the query by itself.")
    options = {one["DefElem"]["defname"]: one["DefElem"].get("arg", {}) for one in request.node.get("options", ())}
    encoding = _text(options.get("encoding"), "utf8").lower().replace("-", "").replace("_", "")
    if encoding not in _ENCODINGS:
        return Refusal("COPY in another encoding than UTF8 is not done over several shards.", "Take it as UTF8.")
    program = program_of(inner)
    if isinstance(program, Refusal):
        return program
    if not isinstance(program, (Concatenation, Merging, Gather)):
        return Refusal("COPY gives the rows of a query that only reads.", "Write with RETURNING by itself.")
    form = _text(options.get("format"), "text")
    quote = _text(options.get("quote"), '"')
    return CopyQuery(
        planned(inner),
        program,
        request.sql[tokens[closing].end : tokens[-1].end],
        form,
        "header" in options and is_true(options["header"]),
        _text(options.get("delimiter"), "," if form == "csv" else "\t").encode(),
        _text(options.get("null"), "" if form == "csv" else "\\N").encode(),
        quote.encode(),
        _text(options.get("escape"), quote).encode(),
        _columns(options.get("force_quote")),
    )


def _text(arg: Node | None, default: str) -> str:
    return default if arg is None or "String" not in arg else str(arg["String"].get("sval", ""))


def _columns(arg: Node | None) -> tuple[str, ...]:
    if arg is None:
        return ()
    if "A_Star" in arg:
        return ("*",)
    return tuple(one["String"].get("sval", "") for one in arg.get("List", {}).get("items", ()))
