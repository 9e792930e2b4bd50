"""A write, read once more: what its plan does not keep, and what forbids it over several shards whatever it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from trunkline.routing.planning.analysis import Analysis, Found
from trunkline.routing.planning.commands import bind_statement
from trunkline.routing.planning.deduction import Environment
from trunkline.routing.planning.facts import Facts, Use
from trunkline.routing.planning.hidden import trigger_functions
from trunkline.routing.planning.planner import plan as make_plan
from trunkline.routing.planning.programs import definition
from trunkline.routing.planning.updatable import base_of
from trunkline.routing.planning.writes import columns_of
from trunkline.routing.plans.plan import Refusal
from trunkline.routing.schema.catalog import Column
from trunkline.routing.spreading import merging
from trunkline.routing.spreading.gathering_names import is_view
from trunkline.routing.spreading.moments import Template, cut, hidden_time, places_of
from trunkline.routing.spreading.quoting import full
from trunkline.routing.spreading.request import Request
from trunkline.routing.sql import Node, only, parse_any, walk


@dataclass(frozen=True, slots=True)
class Written:
    """A statement that writes one sharded or reference table."""

    request: Request
    analysis: Analysis
    kind: str
    node: Node
    found: Found  # its table
    use: Use  # the occurrence that is written
    source: Found | None = None  # the table of a DELETE or UPDATE in WITH, whose rows an INSERT may take over

    @property
    def others(self) -> list[Use]:
        """The other occurrences of what is sharded."""
        return [use for use in self.analysis.facts.uses if use is not self.use]


def bound(request: Request) -> Written | Refusal:
    """The statement as the planner reads it, whatever it concerns; places in it are those of `request.sql`."""
    (kind, node), *rest = parse_any(request.sql)
    analysis = request.analysis()
    part = bind_statement(analysis, kind, node)
    if part is not None:
        part.descend(Environment())
    if rest:
        return Refusal("It is more than one statement.", "Send them one by one.")
    relation = node["relation"]
    found = analysis.find(relation.get("schemaname"), relation["relname"])
    writes = [use for use in analysis.facts.uses if use.writes]
    own = [use for use in writes if use.table == found.full_name] or writes
    return Written(request, analysis, kind, node, found, own[0] if own else Use(found.full_name, "", found.rule))


def analysed(request: Request) -> Written | Refusal:
    """One that concerns nothing of which each shard has its own."""
    written = bound(request)
    return written if isinstance(written, Refusal) else _forbidden(written.analysis.facts, written.kind) or written


def hidden_in(written: Written) -> Refusal | None:
    """What reads the clock where it is not seen: types, triggers."""
    tables = [one for one in (written.found, written.source) if one is not None]
    columns = (column.type for one in tables if one.relation is not None for column in one.relation.columns)
    triggers = [function for one in tables for function in trigger_functions(written.analysis, one)]
    return hidden_time(written.analysis, written.node, columns, triggers)


def read(request: Request) -> Written | Refusal:
    """One that writes a sharded table, and nothing else."""
    written = analysed(request)
    if not isinstance(written, Refusal) and is_view(written.found):
        written = _below(written)
    if isinstance(written, Refusal):
        return written
    written = _with_source(written)
    found, source = written.found, written.source
    tables = [one.full_name for one in (found, source) if one is not None]
    writes = [use for use in written.analysis.facts.uses if use.writes]
    known = writes and all(use.table in tables and use.kind == "sharded" for use in writes)
    if not known or (len(writes) > len(tables) and written.kind != "MergeStmt"):
        return Refusal(
            f"It writes more than the one table {found.full_name} on several shards.",
            "Write each table in a statement of its own.",
        )
    if found.relation is None:
        return Refusal(f"Nothing is known of {found.full_name}.", "Create it on every shard.")
    return per_statement(found) or (per_statement(source) if source is not None else None) or written


def _with_source(written: Written) -> Written:
    """With the one table, another than its own, that an INSERT has written in WITH, if it is as plain as that."""
    ctes = [one["CommonTableExpr"] for one in written.node.get("withClause", {}).get("ctes", ())]
    queries = [only(one["ctequery"]) for one in ctes]
    writing = [node for kind, node in queries if kind in ("DeleteStmt", "UpdateStmt")]
    others = [kind for kind, _ in queries if kind in ("InsertStmt", "MergeStmt")]
    if written.kind != "InsertStmt" or len(writing) != 1 or others:
        return written
    relation = writing[0]["relation"]
    found = written.analysis.find(relation.get("schemaname"), relation["relname"])
    defaulted = any(name == "SetToDefault" for name, _ in walk(writing[0]))
    plain = found.relation is not None and not is_view(found) and not defaulted and _is_used_once(written.node, ctes)
    return replace(written, source=found) if plain and found.full_name != written.found.full_name else written


def _is_used_once(node: Node, ctes: Sequence[Node]) -> bool:
    """Whether each of WITH stands in FROM of what is inserted, and nowhere else: so each of its rows is by itself."""
    sources = node.get("selectStmt", {}).get("SelectStmt", {}).get("fromClause", [])
    here = [one["RangeVar"]["relname"] for one in sources if "RangeVar" in one]
    everywhere = [value for name, value in walk(node) if name == "relname"]
    names = [one["ctename"] for one in ctes]
    return all(here.count(name) == everywhere.count(name) == 1 for name in names)


def _below(written: Written) -> Written | Refusal:
    """The table below a view through which PostgreSQL writes: each shard does that if the view's rows are its own."""
    found, request = written.found, written.request
    base = base_of(written.analysis, found)
    if base is None or written.kind not in ("UpdateStmt", "DeleteStmt"):
        reason = f"{found.full_name} is a view that is no plain selection of one table, or has rules or triggers."
        return Refusal(reason, "Write the table itself.")
    text = f"SELECT count(*) FROM {full(found.schema, found.name)}".encode()
    ((kind, node),) = parse_any(text)
    plan = make_plan(text, request.catalog, request.sharding, request.search_path)
    if merging.plan(replace(request, sql=text, kind=kind, node=node, plan=plan)) is None:
        reason = f"Which rows the view {found.full_name} has is not each shard's own business."
        return Refusal(reason, "Write the table itself.")
    return replace(written, found=base)


def _forbidden(facts: Facts, kind: str) -> Refusal | None:
    if facts.refusal is not None:
        return facts.refusal
    home = next(iter(facts.home), "") or next(iter(facts.system), "") or facts.at_home
    if home:
        return Refusal(
            f"It concerns {home}, of which each shard has its own or only the home shard has it,"
            " and rows on several shards.",
            "Make it a reference table, or give what is taken from it as a value.",
        )
    function = next((use.table for use in facts.uses if use.kind != "sharded"), "") or facts.unseen
    if function:
        return Refusal(
            f"{function} may touch rows of several shards.", "Name the key of every sharded table, as a literal."
        )
    return facts.single if kind != "CopyStmt" else None


def per_statement(found: Found) -> Refusal | None:
    """What runs once for a statement would run once on each shard."""
    relation = found.relation
    trigger = next((one.name for one in relation.triggers if one.per_statement), "") if relation is not None else ""
    if trigger:
        return Refusal(
            f"The trigger {trigger} of {found.full_name} runs once for a statement, and would run on each shard.",
            "Make it a trigger FOR EACH ROW.",
        )
    return None


def walk_with_views(written: Written) -> Iterator[tuple[str, Any]]:
    """Every part of a statement, and of the views that it names."""
    todo, seen = [written.node], set()
    while todo:
        for name, value in walk(todo.pop()):
            yield name, value
            if name == "relname" and value not in seen:
                seen.add(value)
                todo += [
                    parsed[1]
                    for key, relation in written.analysis.catalog.relations.items()
                    if key[1] == value and relation.kind == "v" and (parsed := definition(relation.definition or ""))
                ]


# --- conflicts and defaults -------------------------------------------------------------------------------------------


def conflicts(written: Written) -> Refusal | None:
    """What decides about a conflict has to contain the key: equal rows are on one shard then."""
    clause = written.node.get("onConflictClause")
    if clause is None:
        return None
    key = set(written.use.rule.columns)
    inferred = {one["IndexElem"].get("name", "") for one in clause.get("infer", {}).get("indexElems", ())}
    relation = written.found.relation
    unique = [set(columns) for columns in relation.keys] if relation is not None else []
    if (key <= inferred) if inferred else all(key <= columns for columns in unique):
        return default_time(written) if any(name == "SetToDefault" for name, _ in walk(clause)) else None
    names = ", ".join(written.use.rule.columns)
    return Refusal(
        f"What decides about a conflict does not contain the key ({names}) of {written.found.full_name}:"
        " an equal row may be on another shard.",
        "Name a unique key that contains the key in ON CONFLICT.",
    )


def default_of(written: Written, column: Column) -> Template | Refusal | None:
    """A column's default with the time in it; None: it does not ask for the time."""
    if column.default is None:
        return None
    if "nextval(" in column.default:
        return Refusal(
            f"The values of {column.name} come from a sequence, of which each shard has its own.",
            f"Give {column.name} a value.",
        )
    text = f"SELECT ({column.default})".encode()
    (statement,) = parse_any(text)
    places = places_of(written.analysis.inside(text.decode(), written.analysis.search_path), text, statement[1])
    if isinstance(places, Refusal):
        return places
    return cut(text, len(b"SELECT "), len(text), places) if places else None


def default_time(written: Written) -> Refusal | None:
    """Whether a default is used whose value is one for all shards, where it cannot be written out."""
    relation = written.found.relation
    defaulted = any(name == "SetToDefault" for name, _ in walk(written.node))
    for column in relation.columns if relation is not None else ():
        if not defaulted and column.name in _given(written):
            continue
        found = default_of(written, column)
        if isinstance(found, Refusal):
            return found
        if found is not None:
            return Refusal(
                f"The default of {column.name} is the time, which each shard has of its own.",
                f"Give {column.name} a value.",
            )
    return None


def _given(written: Written) -> set[str]:
    """Columns that are given values wherever rows are inserted."""
    relation = written.found.relation
    every = {column.name for column in relation.columns} if relation is not None else set()
    if written.kind == "InsertStmt":
        return set(columns_of(written.found, written.node) or ())
    given = every
    for wrapped in written.node.get("mergeWhenClauses", ()):
        clause = wrapped["MergeWhenClause"]
        if clause.get("commandType") == "CMD_INSERT" and "targetList" in clause:
            given = given & {one["ResTarget"].get("name", "") for one in clause["targetList"]}
    return given


def has_volatile_default(written: Written) -> bool:
    """Whether a default may be used that gives another value at each call."""
    relation = written.found.relation
    scratch = written.analysis.apart()
    for column in relation.columns if relation is not None else ():
        if column.default is not None and "(" in column.default:
            text = f"SELECT {column.default}"
            (statement,) = parse_any(text.encode())
            bind_statement(scratch.inside(text, written.analysis.search_path), *statement)
    used = written.kind in ("InsertStmt", "MergeStmt") or any(name == "SetToDefault" for name, _ in walk(written.node))
    return used and scratch.facts.volatile
