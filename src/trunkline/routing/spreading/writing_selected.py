"""INSERT ... SELECT whose rows belong to other shards than they come from: read first, then inserted where they belong.

The query is answered as any query is, be it by one shard or by several; its rows come back as arrays, of which each
shard gets its own. What the query computes is computed once. What is inserted has the types that the query gave it, and
is assigned to the columns by PostgreSQL; a constant without a type stands in the INSERT as it stood in the query.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from trunkline.routing.keys.sharding import Kind, ShardFunction
from trunkline.routing.planning.hidden import trigger_functions
from trunkline.routing.planning.planner import plan as make_plan
from trunkline.routing.planning.writes import columns_of, of_null_key
from trunkline.routing.plans.evaluation import ReadyPlan
from trunkline.routing.plans.plan import Fixed, Refusal, Verdict
from trunkline.routing.schema.catalog import Relation
from trunkline.routing.spreading.gathering_limits import why_not_policies
from trunkline.routing.spreading.moments import Template, asks_time, cut, hidden_time, places_of
from trunkline.routing.spreading.quoting import full, identifier
from trunkline.routing.spreading.request import Request
from trunkline.routing.spreading.select_text import SelectText, select_text
from trunkline.routing.spreading.table_free import why_not_free
from trunkline.routing.spreading.writing_reading import (
    Written,
    bound,
    conflicts,
    default_of,
    has_volatile_default,
    per_statement,
)
from trunkline.routing.sql import Node, parse_any, walk
from trunkline.routing.text.fingerprint import Fingerprint
from trunkline.routing.text.tokens import tokens_of

_OVERRIDING = {"OVERRIDING_USER_VALUE": " OVERRIDING USER VALUE", "OVERRIDING_SYSTEM_VALUE": " OVERRIDING SYSTEM VALUE"}
_READABLE = frozenset((Verdict.ROUTED, Verdict.ANYWHERE, Verdict.HOME))
_FIRST = "Select the rows first, and give them as values."


@dataclass(frozen=True, slots=True)
class Selected:
    """The query, and how its rows are inserted."""

    source: Request
    program: Any  # of the query where it concerns several shards; a Refusal: it must not
    ready: ReadyPlan
    into: str  # INSERT INTO and the table
    columns: tuple[str, ...]  # that the query may give, in order
    overriding: str
    literals: Mapping[int, bytes]  # outputs that are constants without a type: what stands there
    added: tuple[tuple[str, Template], ...]  # columns whose default is the time
    tail: Template
    kind: Kind
    key: tuple[int, ...]  # the places of the key among the columns
    function: ShardFunction | None
    nowhere: int  # the mask of where a row is put whose key is NULL
    in_order: bool  # RETURNING gives a row for each, in their order
    asks_time: bool


def plan(request: Request, program_of: Callable[[Request], Any]) -> Selected | Refusal | None:
    """How it is done; None if it is nothing of this kind."""
    select = request.node.get("selectStmt", {}).get("SelectStmt")
    if request.kind != "InsertStmt" or select is None:
        return None
    written = bound(request)
    if isinstance(written, Refusal):
        return written
    text = select_text(request.sql, request.node)
    if text is None:
        return Refusal("Its query is not found again in its text.", "Write it more plainly.")
    refusal = _why_not_written(written) or _why_not_target(written) or _why_not_behind(written, select)
    return refusal or _planned(written, text, program_of)


def _planned(written: Written, text: SelectText, program_of: Callable[[Request], Any]) -> Selected | Refusal:
    request, node, found = written.request, written.node, written.found
    relation = found.relation
    assert relation is not None
    source = _source(request, text.query)
    if source.plan.verdict not in _READABLE:
        return source.plan.refusal or source.plan.unless_single or Refusal("Its query is none that could be read.")
    columns = tuple(columns_of(found, node) or ())
    parts = _times(written, text, source) if found.rule.kind is not Kind.HOME else _no_times(request, text)
    literals = _literals(request.sql, node["selectStmt"]["SelectStmt"])
    if isinstance(parts, Refusal) or isinstance(literals, Refusal):
        return parts if isinstance(parts, Refusal) else literals if isinstance(literals, Refusal) else Refusal("")
    added, tail = parts
    alias = node["relation"].get("alias", {}).get("aliasname")
    rule = found.rule if found.rule.kind is Kind.SHARDED else None
    if rule is not None and not set(rule.columns) <= set(columns):
        return Refusal(f"It gives {found.full_name} no value for its key.", "Select the key, too.")
    nowhere = of_null_key(written.analysis, found, written.use) if rule is not None else Fixed(0)
    return Selected(
        source,
        program_of(source) if source.plan.unless_single is not None else None,
        ReadyPlan(source.plan, Fingerprint(text.query), text.query),
        f"INSERT INTO {full(relation.schema, relation.name)}" + (f" AS {identifier(alias)}" if alias else ""),
        columns,
        _OVERRIDING.get(node.get("override", ""), ""),
        literals,
        added,
        tail,
        found.rule.kind,
        tuple(columns.index(name) for name in rule.columns) if rule is not None else (),
        rule.function if rule is not None else None,
        nowhere.mask if isinstance(nowhere, Fixed) else request.sharding.every,
        "returningClause" in node and not _may_leave_out(node),
        asks_time([tail, *(default for _, default in added)]),
    )


def _source(request: Request, query: bytes) -> Request:
    ((kind, node),) = parse_any(query)
    plan = make_plan(query, request.catalog, request.sharding, request.search_path)
    return Request(query, kind, node, request.catalog, request.sharding, request.search_path, plan)


# --- what is refused --------------------------------------------------------------------------------------------------


def _why_not_written(written: Written) -> Refusal | None:
    """What the statement does besides inserting into one table."""
    facts = written.analysis.facts
    if facts.refusal is not None:
        return facts.refusal
    tables = {
        table for place in (facts.home, facts.reference, facts.system) for table, writes in place.items() if writes
    }
    tables |= {use.table for use in facts.uses if use.writes}
    if tables != {written.found.full_name} or sum(use.writes for use in facts.uses) > 1 or facts.every:
        return Refusal("It writes more than one table, or in more than one way.", "Write it as several statements.")
    hidden = next((use.table for use in facts.uses if use.kind != "sharded"), "") or facts.unseen
    return Refusal(f"{hidden} may touch rows of several shards.", _FIRST) if hidden else None


def _why_not_target(written: Written) -> Refusal | None:
    """What may happen where rows are inserted."""
    found, analysis = written.found, written.analysis
    if found.relation is None or found.relation.kind not in "rp":
        return Refusal(f"{found.full_name} is no table into which rows could be inserted on several shards.")
    if found.rule.kind is Kind.HOME:
        return None
    functions = trigger_functions(analysis, found)
    for function in functions:
        reason = why_not_free(analysis.catalog, analysis.search_path, function)
        if reason is not None:
            return reason
    if found.rule.kind is Kind.REFERENCE and has_volatile_default(written) and _takes_defaults(written, found.relation):
        return Refusal(f"What it writes to {found.full_name} may differ from shard to shard.", _FIRST)
    types = (column.type for column in found.relation.columns)
    return (
        per_statement(found)
        or hidden_time(analysis, written.node, types, functions)
        or conflicts(written)
        or why_not_policies(analysis, found.relation)
    )


def _takes_defaults(written: Written, relation: Relation) -> bool:
    given = columns_of(written.found, written.node) or []
    return any(column.default is not None and column.name not in given for column in relation.columns)


def _why_not_behind(written: Written, select: Node) -> Refusal | None:
    """What stands behind the query, in the list of columns, or in rows that are written out."""
    node = written.node
    cells = [cell for row in select.get("valuesLists", ()) for cell in row["List"].get("items", ())]
    if any("SetToDefault" in cell or _is_untyped(cell) for cell in cells):
        return Refusal("Its rows have constants without a type, or defaults.", _FIRST)
    behind = [node.get("onConflictClause", {}), node.get("returningClause", {})]
    if any(name == "RangeVar" for name, _ in walk(behind)):
        return Refusal("ON CONFLICT or RETURNING reads tables, of which each shard has its own rows.", _FIRST)
    if any("indirection" in one["ResTarget"] for one in node.get("cols", ())):
        return Refusal("It gives values to parts of a column.", _FIRST)
    if "returningClause" in node and "sortClause" in select and _may_leave_out(node):
        return Refusal("Which rows are inserted decides about the order of RETURNING.", "Leave out ORDER BY.")
    return None


def _may_leave_out(node: Node) -> bool:
    clause = node.get("onConflictClause")
    return clause is not None and (clause.get("action") != "ONCONFLICT_UPDATE" or "whereClause" in clause)


# --- parts of it ------------------------------------------------------------------------------------------------------


def _no_times(request: Request, text: SelectText) -> tuple[tuple[tuple[str, Template], ...], Template]:
    """At home PostgreSQL does all of it by itself."""
    return (), (request.sql[text.tail :],)


def _times(
    written: Written, text: SelectText, source: Request
) -> tuple[tuple[tuple[str, Template], ...], Template] | Refusal:
    """The columns whose default is the time, and what stands behind the query with the time in it."""
    sql = written.request.sql
    places = places_of(written.analysis, sql, written.node)
    if isinstance(places, Refusal):
        return places
    added = _added(written)
    if isinstance(added, Refusal):
        return added
    tail = cut(sql, text.tail, len(sql), places)
    inside = any(place.start < text.tail for place in places)
    if inside and source.plan.verdict is not Verdict.ANYWHERE and (added or asks_time([tail])):
        return Refusal("Its query asks for the time, and so does what is done with its rows.", "Give it as a value.")
    return added, tail


def _added(written: Written) -> tuple[tuple[str, Template], ...] | Refusal:
    given = columns_of(written.found, written.node) or []
    added = []
    for column in written.found.relation.columns if written.found.relation is not None else ():
        if column.name not in given:
            default = default_of(written, column)
            if isinstance(default, Refusal):
                return default
            if default is not None:
                added.append((column.name, default))
    return tuple(added)


def _literals(sql: bytes, select: Node) -> dict[int, bytes] | Refusal:
    """Outputs that are constants without a type, by place; behind a star by place from the end."""
    targets = [one["ResTarget"]["val"] for one in select.get("targetList", ())]
    stars = [place for place, value in enumerate(targets) if _is_star(value)]
    found: dict[int, bytes] = {}
    for place, value in enumerate(targets):
        if not _is_untyped(value):
            continue
        if len(stars) > 1 and stars[0] < place < stars[-1]:
            return Refusal("It selects a constant between two stars.", "Name the columns.")
        start = value["A_Const"].get("location", 0)
        _, _, end = tokens_of(sql[start:])[0]
        found[place if not stars or place < stars[0] else place - len(targets)] = sql[start : start + end]
    return found


def _is_untyped(value: Node) -> bool:
    constant = value.get("A_Const", {})
    return "sval" in constant or bool(constant.get("isnull"))


def _is_star(value: Node) -> bool:
    return any("A_Star" in field for field in value.get("ColumnRef", {}).get("fields", ()))
