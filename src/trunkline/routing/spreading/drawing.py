"""Ids that are drawn before a statement runs: where they are written into its text.

What is drawn becomes a parameter behind the client's own, so that the text is the same for each call: in the place of
`nextval('s')`, in that of the word DEFAULT, and as a value of a column that an INSERT leaves out. The statement that
comes of it draws nothing any more, and is planned like any other: by a key that was drawn, too.

Rule: what is drawn stands where PostgreSQL would evaluate it exactly once; elsewhere there is no such text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from trunkline.routing.keys.sharding import Kind
from trunkline.routing.planning.analysis import Analysis
from trunkline.routing.planning.commands import bind_statement
from trunkline.routing.planning.ids import READS, UNKNOWN, is_generator, is_sequence_call, names_of, sequence_of
from trunkline.routing.planning.queries import bind_select
from trunkline.routing.planning.writes import bind_write
from trunkline.routing.plans.plan import Refusal, Verdict
from trunkline.routing.spreading import drawing_copy
from trunkline.routing.spreading.drawing_again import edited
from trunkline.routing.spreading.drawing_insert import Insert
from trunkline.routing.spreading.drawing_slots import (
    Call,
    Drawing,
    Edit,
    Slot,
    Unfit,
    calls_in,
    end_of,
    forbid_sets,
)
from trunkline.routing.spreading.request import Request
from trunkline.routing.sql import walk
from trunkline.routing.text.tokens import tokens_of

_RETURNING = "Use RETURNING."


def plan(request: Request) -> Drawing | Refusal:
    """The text of a statement of which `RoutePlan.draws` speaks."""
    try:
        return drawing_copy.plan(request) if request.kind == "CopyStmt" else _plan(request)
    except Unfit as problem:
        return problem.refusal


def _plan(request: Request) -> Drawing:
    analysis = Analysis(
        request.sql, request.catalog, request.sharding, request.search_path, bind_select, bind_write, bind_statement
    )
    bind_statement(analysis, request.kind, request.node)
    edits, count = _calls(analysis, request), b""
    if request.kind == "InsertStmt":
        insert = Insert(analysis, request.node)
        edits += insert.edits()
        count = insert.count
    _check(analysis, request, edits)
    mentioned = [value.get("number", 0) for name, value in walk(request.node) if name == "ParamRef"]
    in_order = sorted(edits, key=lambda one: (one.start, one.end))
    found = edited(request.sql, in_order, max(mentioned, default=0))
    return replace(found, count=count, inserts=request.kind == "InsertStmt")


def _check(analysis: Analysis, request: Request, edits: Sequence[Edit]) -> None:
    """Nothing else may draw, and what was drawn last may not be what is drawn here."""
    found = {(slot.kind, slot.sequence) for edit in edits for slot in edit.pieces if isinstance(slot, Slot)}
    at_home = request.plan.verdict is Verdict.HOME
    for kind, what in analysis.facts.draws:
        if (kind == "generated" or (kind == "default" and not at_home)) and not _has_rows(analysis, request, what):
            raise Unfit(f"A default of {what} takes ids of a sequence, one a row.", "Give the ids as values.")
        if kind == "hidden" and not at_home:
            raise Unfit(f"{what} takes ids of a sequence, of which each shard has its own.")
        if kind == "setval" and not at_home:
            raise Unfit("It sets a sequence, and concerns rows of several shards.", "Write it as two statements.")
        key = (what, "") if kind == "generator" else (kind, what)
        if kind in (*READS, "generator") and key not in found:
            raise Unfit(f"{what if kind == 'generator' else kind}() stands where it is not looked for.")
        if kind == "nextval" and not at_home and key not in found:
            raise Unfit("nextval() stands where it is not looked for.")
    drawn = {*analysis.facts.advances, *(sequence for kind, sequence in found if kind == "nextval")}
    for kind, sequence in found:
        if (kind == "currval" and (sequence in drawn or UNKNOWN in drawn)) or (kind == "lastval" and drawn):
            raise Unfit(f"It draws from a sequence and asks for {kind}() besides.", _RETURNING)


def _has_rows(analysis: Analysis, request: Request, table: str) -> bool:
    """Whether it is an INSERT into this table alone."""
    if request.kind != "InsertStmt":
        return False
    target = request.node["relation"]
    others = {what for kind, what in analysis.facts.draws if kind == "default"}
    return others == {analysis.find(target.get("schemaname"), target["relname"]).full_name} == {table}


# --- calls in the client's own text ---------------------------------------------------------------------------------


def _calls(analysis: Analysis, request: Request) -> list[Edit]:
    tokens = tokens_of(request.sql)
    starts = {start: index for index, (_, start, _) in enumerate(tokens)}
    edits = []
    for call in calls_in(request.kind, request.node):
        slot = _slot(analysis, request, call)
        if slot is not None:
            start = call.node.get("location", 0)
            if start not in starts:
                raise Unfit("A call is not found again in its text.", "Write it more plainly.")
            edits.append(Edit(start, end_of(request.sql, tokens, starts[start]), (slot,)))
    if edits and any(slot.kind not in READS for edit in edits for slot in edit.pieces if isinstance(slot, Slot)):
        forbid_sets(analysis, request.node)
    return edits


def _slot(analysis: Analysis, request: Request, call: Call) -> Slot | None:
    schema, name = names_of(call.node)
    if is_generator(schema, name):
        if not call.once:
            raise Unfit(f"{name}() may be evaluated once a row, or not at all.", "Call it in VALUES, or by itself.")
        return Slot(name, "", call.named)
    if not is_sequence_call(schema, name) or name == "setval":
        return None
    sequence = "" if name == "lastval" else sequence_of(analysis, call.node)
    if sequence is None:
        return None
    if sequence == UNKNOWN and (name == "currval" or request.plan.verdict is not Verdict.HOME):
        raise Unfit(f"The sequence in {name}() is not a literal.", "Write its name.")
    if name == "nextval" and (not call.once or (request.kind == "InsertStmt" and _is_home(analysis, request))):
        if request.plan.verdict is Verdict.HOME:
            return None
        raise Unfit("nextval() may be evaluated once a row, or not at all.")
    return Slot(name, sequence, call.named) if sequence != UNKNOWN else None


def _is_home(analysis: Analysis, request: Request) -> bool:
    target = request.node["relation"]
    found = analysis.find(target.get("schemaname"), target["relname"])
    return found.rule.kind is Kind.HOME and found.shard is None
