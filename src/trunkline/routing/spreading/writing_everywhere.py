"""What has to be done on every shard: writes to reference tables, TRUNCATE, LOCK, and DDL.

Rules:
1. All copies of a reference table stay equal: what each shard might compute otherwise is refused, the time of the
   transaction is written out.
2. What is done is done at one shard after the other, the home shard first: two clients meet there, and nowhere else.
3. What PostgreSQL does not do in a transaction cannot be done at all shards or none: `shard_jobs`, or refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from trunkline.routing.keys.sharding import Kind
from trunkline.routing.planning.commands import bind_statement
from trunkline.routing.planning.hidden import trigger_functions
from trunkline.routing.plans.plan import Refusal, Verdict
from trunkline.routing.spreading import defining, shard_jobs, writing_insert
from trunkline.routing.spreading.moments import Template, asks_time, cut, hidden_time, places_of
from trunkline.routing.spreading.request import Request
from trunkline.routing.spreading.shard_jobs import ShardJobs
from trunkline.routing.spreading.unique_index import dropped
from trunkline.routing.spreading.writing_reading import (
    Written,
    analysed,
    conflicts,
    default_time,
    has_volatile_default,
    walk_with_views,
)
from trunkline.routing.sql import Node, walk
from trunkline.routing.text.fingerprint import Fingerprint

WRITES = frozenset(("InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt"))

_DDL = frozenset(
    [
        "AlterDomainStmt",
        "AlterEnumStmt",
        "AlterFunctionStmt",
        "AlterObjectSchemaStmt",
        "AlterOwnerStmt",
        "AlterPolicyStmt",
        "AlterTableStmt",
        "ClusterStmt",
        "CommentStmt",
        "CompositeTypeStmt",
        "CreateDomainStmt",
        "CreateEnumStmt",
        "CreateExtensionStmt",
        "CreateFunctionStmt",
        "CreatePolicyStmt",
        "CreateSchemaStmt",
        "CreateStatsStmt",
        "CreateStmt",
        "CreateTrigStmt",
        "DefineStmt",
        "DropStmt",
        "GrantStmt",
        "IndexStmt",
        "ReindexStmt",
        "RenameStmt",
        "RuleStmt",
        "ViewStmt",
    ]
)
_OF_WHOLE_TABLES = frozenset(("LockStmt", "TruncateStmt"))
_SERIAL = frozenset(("bigserial", "serial", "serial2", "serial4", "serial8", "smallserial"))
_ONE_BY_ONE = "Do it on each shard's own server."


@dataclass(frozen=True, slots=True)
class Everywhere:
    """The text at each shard concerned, one after the other. `copies`: all have to say the same of it."""

    text: Template
    asks_time: bool
    copies: bool
    besides: tuple[bytes, ...] = ()  # what is to be done at each of them then, of which nobody is told
    in_block: str = ""  # the command that is for transaction blocks only


def plan(request: Request) -> Everywhere | ShardJobs | Refusal:
    """What is done everywhere."""
    if Fingerprint(request.sql).hints:
        return Refusal("A comment says one shard, and it has to be done on every one.", "Leave out the comment.")
    if request.kind in WRITES:
        return _of_reference(request)
    if request.kind == "LockStmt":
        return _not_on_every_shard(request) or Everywhere((request.sql,), False, False, in_block="LOCK TABLE")
    jobs = shard_jobs.plan(request)
    if jobs is not None:
        return jobs
    refusal = _not_truncated(request) if request.kind == "TruncateStmt" else _not_in_a_transaction(request)
    besides = tuple(text.encode() for index in defining.dropped_with(request) for text in dropped(index))
    return refusal or Everywhere((request.sql,), asks_time=False, copies=False, besides=besides)


def concerns(request: Request) -> bool:
    """Whether a statement is one of these."""
    return request.plan.verdict is Verdict.EVERY or request.kind in _OF_WHOLE_TABLES


def _not_in_a_transaction(request: Request) -> Refusal | None:
    not_at_once = Refusal("It is not done in a transaction, so not on all shards or none.", _ONE_BY_ONE)
    if request.kind not in _DDL:
        return request.plan.unless_single or not_at_once
    return (not_at_once if _detaches(request) else defining.why_not(request)) or _fills_rows(request)


def _detaches(request: Request) -> bool:
    """DETACH PARTITION ... CONCURRENTLY, which is two transactions."""
    commands = [one.get("AlterTableCmd", {}) for one in request.node.get("cmds", ())]
    return any(one.get("def", {}).get("PartitionCmd", {}).get("concurrent") for one in commands)


def _fills_rows(request: Request) -> Refusal | None:
    """Rows that are there get values of a column that is new, or of another type: the same ones on every shard?"""
    if request.kind != "AlterTableStmt" or request.node.get("objtype") != "OBJECT_TABLE":
        return None
    commands = [one["AlterTableCmd"] for one in request.node.get("cmds", ())]
    filling = [one for one in commands if one.get("subtype") in ("AT_AddColumn", "AT_AlterColumnType")]
    if not filling:
        return None
    analysis = request.analysis()
    relation = request.node["relation"]
    found = analysis.find(relation.get("schemaname"), relation["relname"])
    differs = bool(places_of(analysis, request.sql, {"cmds": filling})) or any(map(_numbers, filling))
    if differs or (found.rule.kind is Kind.REFERENCE and _is_volatile(request, filling)):
        reason = f"The rows of {found.full_name} would get values that each shard makes of its own."
        return Refusal(reason, "Add the column without them, then ALTER COLUMN ... SET DEFAULT, and UPDATE the rows.")
    return None


def _numbers(command: Node) -> bool:
    """serial, or an identity."""
    found = [value for name, value in walk(command) if name in ("contype", "sval") and isinstance(value, str)]
    return "CONSTR_IDENTITY" in found or not _SERIAL.isdisjoint(found)


def _is_volatile(request: Request, commands: Sequence[Node]) -> bool:
    scratch = request.analysis()
    for name, value in walk(commands):
        if name in ("raw_expr", "raw_default"):
            bind_statement(scratch, "SelectStmt", {"targetList": [{"ResTarget": {"val": value}}]})
    return scratch.facts.volatile or scratch.facts.differs


def _not_on_every_shard(request: Request) -> Refusal | None:
    other = next((one.table for one in request.plan.occurrences if one.kind not in ("sharded", "reference")), "")
    if other:
        return Refusal(f"{other} is not on every shard, and the other tables are.", "Name them one by one.")
    return None


def _not_truncated(request: Request) -> Refusal | None:
    """Tables that are not on every shard, and triggers that run once."""
    refusal = _not_on_every_shard(request)
    if refusal is not None:
        return refusal
    for table in request.plan.tables:
        schema, _, name = table.partition(".")
        relation = request.catalog.relations.get((schema, name))
        if relation is not None and any(trigger.per_statement for trigger in relation.triggers):
            return Refusal(f"A trigger of {table} runs once for a statement, and would run on each shard.", _ONE_BY_ONE)
    return None


# --- reference tables -------------------------------------------------------------------------------------------------


def _of_reference(request: Request) -> Everywhere | Refusal:
    written = analysed(request)
    if isinstance(written, Refusal):
        return written
    return _differing(written) or _with_time(written)


def _differing(written: Written) -> Refusal | None:
    """What might not be the same on every shard."""
    facts, relation = written.analysis.facts, written.found.relation
    name = written.found.full_name
    if facts.volatile or (has_volatile_default(written) and _uses_defaults(written)):
        reason = f"It writes the reference table {name}, and what it computes may differ from shard to shard."
        return Refusal(reason, "Compute the values first and give them as literals or parameters.")
    if relation is None:
        return Refusal(f"Nothing is known of {name}.", "Create it on every shard.")
    if _names_an_object(written.node):
        reason = f"It writes the reference table {name}, and the number of an object differs from shard to shard."
        return Refusal(reason, "Give it as a value.")
    if _depends_on_order(written):
        reason = f"What it writes to the reference table {name} may depend on the order of rows, which no shard keeps."
        return Refusal(reason, "Select the values first and give them as literals or parameters.")
    types = (column.type for column in relation.columns)
    return hidden_time(written.analysis, written.node, types, trigger_functions(written.analysis, written.found))


def _names_an_object(node: Node) -> bool:
    """Whether there is a cast to regclass and the like, which is no sequence's."""
    types = [value["typeName"]["names"][-1] for name, value in walk(node) if name == "TypeCast"]
    casts = any(one["String"].get("sval", "").startswith("reg") for one in types)
    return casts and not any("nextval" in str(value) for name, value in walk(node) if name == "funcname")


def _uses_defaults(written: Written) -> bool:
    """Whether any column may take its default."""
    relation = written.found.relation
    names = [column.name for column in relation.columns if column.default is not None] if relation is not None else []
    given = [one["ResTarget"].get("name", "") for one in written.node.get("cols", ())] or names
    return written.kind != "InsertStmt" or bool(set(names) - set(given)) or _has(written.node, "SetToDefault")


def _depends_on_order(written: Written) -> bool:
    if written.kind == "UpdateStmt" and "fromClause" in written.node:
        return True
    selects = [value for name, value in walk_with_views(written) if name in ("SelectStmt", "selectStmt")]
    asked = [select.get("SelectStmt", select) for select in selects]
    return any(
        _has(one, "FuncCall") or {"groupClause", "distinctClause", "limitCount", "limitOffset"} & set(one)
        for one in asked
        if "valuesLists" not in one
    )


def _has(node: Node, name: str) -> bool:
    return any(found == name for found, _ in walk(node))


def _with_time(written: Written) -> Everywhere | Refusal:
    """The text with the time in its places, and in those of defaults."""
    select = written.node.get("selectStmt", {}).get("SelectStmt", {})
    if "valuesLists" in select:
        refusal = conflicts(written)
        parts = refusal or writing_insert.texts(written)
        if isinstance(parts, Refusal):
            return parts
        rows = [piece for index, row in enumerate(parts.rows) for piece in (*((b", ",) if index else ()), *row)]
        text: Template = (*parts.head, *rows, *parts.tail)
    else:
        places = default_time(written) or places_of(written.analysis, written.analysis.text, written.node)
        if isinstance(places, Refusal):
            return places
        text = cut(written.analysis.text, 0, len(written.analysis.text), places)
    return Everywhere(text, asks_time([text]), copies=True)
