"""CREATE TABLE ... AS of what several shards have: the table is made at home without rows, which are inserted then.

What columns it has PostgreSQL says, of the same query. The rows come as those of INSERT ... SELECT into a home table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from trunkline.routing.keys.sharding import Kind
from trunkline.routing.plans.evaluation import ReadyPlan
from trunkline.routing.plans.plan import Refusal, Verdict
from trunkline.routing.spreading.clauses import Token, tokenize
from trunkline.routing.spreading.request import Request
from trunkline.routing.spreading.wrapped import Wrapped, inner_of, planned
from trunkline.routing.spreading.writing_selected import Selected
from trunkline.routing.text.fingerprint import Fingerprint

_WITH_DATA = ([b"with", b"data"], [b"with", b"no", b"data"])
_FIRST = "Create it first, and insert into it."


@dataclass(frozen=True, slots=True)
class CreateAs(Wrapped):
    """`make` creates the table, and is the text without its rows; `selected` fills it."""

    make: bytes
    schema: str  # "": where new tables are made
    name: str
    columns: tuple[str, ...]  # that are named; the query names those behind them
    selected: Selected | None  # None: it is to have none


def concerns(request: Request) -> bool:
    """Whether a statement is one of these."""
    return request.kind == "CreateTableAsStmt" and request.node.get("objtype") == "OBJECT_TABLE"


def plan(request: Request, program_of: Callable[[Request], Any]) -> CreateAs | Refusal:
    """How it is made and filled."""
    into = request.node["into"]
    target = into["rel"]
    found = request.analysis().find(target.get("schemaname"), target["relname"])
    if target.get("relpersistence") == "t" or request.node.get("if_not_exists") or found.rule.kind is not Kind.HOME:
        return request.plan.unless_single or Refusal("It is made of rows of several shards.", _FIRST)
    tokens = [one for one in tokenize(request.sql) if one.depth == 0 and one.text != b";"]
    end = _end_of_query(tokens)
    begin = next((one.end for one in tokens if one.text == b"as"), 0)
    inner = inner_of(request, ((begin, end),))
    if inner is None or inner.kind != "SelectStmt":
        return Refusal("The text of its query is not understood.", _FIRST)
    program = program_of(inner) if inner.plan.unless_single is not None else None
    if isinstance(program, Refusal) or inner.plan.verdict is not Verdict.ROUTED or inner.plan.writes:
        return program if isinstance(program, Refusal) else Refusal("Its query does more than read.", _FIRST)
    return CreateAs(
        planned(inner),
        program,
        request.sql[:end] + b"\nWITH NO DATA",
        target.get("schemaname", ""),
        target["relname"],
        tuple(one["String"].get("sval", "") for one in into.get("colNames", ())),
        None if into.get("skipData") else _filling(inner, program),
    )


def _end_of_query(tokens: list[Token]) -> int:
    """WITH [NO] DATA stands behind it."""
    words = [one.text for one in tokens]
    behind = next((len(said) for said in _WITH_DATA if words[-len(said) :] == said), 0)
    return tokens[-1 - behind].end


def _filling(inner: Request, program: Any) -> Selected:
    """Its names are known when the table is there."""
    return Selected(
        planned(inner),
        program,
        ReadyPlan(inner.plan, Fingerprint(inner.sql), inner.sql),
        into="",
        columns=(),
        overriding="",
        literals={},
        added=(),
        tail=(),
        kind=Kind.HOME,
        key=(),
        function=None,
        nowhere=0,
        in_order=False,
        asks_time=False,
    )
