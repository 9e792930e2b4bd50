"""EXPLAIN of a statement over several shards: which text each shard explains."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from trunkline.routing.plans.plan import Refusal
from trunkline.routing.spreading.clauses import tokenize
from trunkline.routing.spreading.gathering import Gather
from trunkline.routing.spreading.merge import Merging
from trunkline.routing.spreading.request import Concatenation, Request
from trunkline.routing.spreading.wrapped import Wrapped, inner_of, planned
from trunkline.routing.spreading.writing_alone import Alone
from trunkline.routing.spreading.writing_everywhere import Everywhere
from trunkline.routing.sql import Node

FORMS = ("text", "json", "yaml", "xml")
_ASK_ROUTE = "EXPLAIN (ROUTE) says how it is answered."
_MOST_WORDS = 60  # before the statement
_TRUE = ("true", "on", "1")


@dataclass(frozen=True, slots=True)
class Explained(Wrapped):
    """`head` stands before what is explained; `runs`: ANALYZE."""

    head: bytes
    form: str
    runs: bool


def plan(request: Request, program_of: Callable[[Request], Any]) -> Explained | Refusal:
    """How an EXPLAIN is answered."""
    options = {one["DefElem"]["defname"]: one["DefElem"] for one in request.node.get("options", ())}
    tokens = tokenize(request.sql)
    end = tokens[-1].end
    inner = inner_of(request, ((one.start, end) for one in tokens[1:_MOST_WORDS]))
    if inner is None:
        return Refusal("The text that it explains is not understood.", _ASK_ROUTE)
    program = program_of(inner)
    if isinstance(program, Refusal):
        return program
    form, runs = _form(options), _is_on(options, "analyze")
    can = isinstance(program, (Concatenation, Merging, Gather, Alone)) or (isinstance(program, Everywhere) and not runs)
    if not can or form not in FORMS or "serialize" in options:
        return Refusal("EXPLAIN of it is not done on several shards.", _ASK_ROUTE)
    return Explained(planned(inner), program, request.sql[: request.sql.rindex(inner.sql)], form, runs)


def _form(options: Mapping[str, Node]) -> str:
    arg = options.get("format", {}).get("arg", {})
    return str(arg.get("String", {}).get("sval", "text")).lower()


def _is_on(options: Mapping[str, Node], name: str) -> bool:
    """A boolean option as PostgreSQL reads it (define.c, defGetBoolean)."""
    if name not in options:
        return False
    arg = options[name].get("arg")
    if arg is None:
        return True
    if "Integer" in arg:
        return bool(arg["Integer"].get("ival"))
    if "Boolean" in arg:
        return bool(arg["Boolean"].get("boolval"))
    return str(arg.get("String", {}).get("sval", "")).lower() in _TRUE
