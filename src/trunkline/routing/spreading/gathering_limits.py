"""What no statement over gathered rows may have in it, since it would mean something else there: why not, or None."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from trunkline.routing.planning.analysis import Analysis
from trunkline.routing.planning.scopes import SYSTEM_COLUMNS
from trunkline.routing.plans.plan import Refusal
from trunkline.routing.schema.catalog import Relation
from trunkline.routing.spreading.moments import says_now
from trunkline.routing.spreading.table_free import why_not_free_call
from trunkline.routing.sql import Node, parse, walk

NAME_KEYS = "Name the key of every sharded table."
_OF_OBJECTS = frozenset(("regclass", "regtype", "regproc", "regprocedure"))


def why_not(analysis: Analysis, tree: Node, names: Collection[str]) -> Refusal | None:
    """`names` are those of the relations concerned, without their schemas."""
    for name, value in walk(tree):
        rule = _RULES.get(name)
        found = rule(analysis, value, names) if rule is not None else None
        if found is not None:
            return found
    return None


def _locks(analysis: Analysis, value: object, names: Collection[str]) -> Refusal:
    return Refusal(
        "It locks rows, and the rows of several shards are copies here.",
        "Select the keys first, and lock the rows by them, without LIMIT and rows of reference tables.",
    )


def _into(analysis: Analysis, value: object, names: Collection[str]) -> Refusal:
    return Refusal("SELECT INTO makes a table of rows of several shards.", "Create the table, and insert into it.")


def _sample(analysis: Analysis, value: object, names: Collection[str]) -> Refusal:
    return Refusal("TABLESAMPLE takes a part of what one shard has.", NAME_KEYS)


def _cte(analysis: Analysis, value: Node, names: Collection[str]) -> Refusal | None:
    if "SelectStmt" in value["ctequery"]:
        return None
    return Refusal("It has a query that writes in WITH, and concerns several shards.", "Write it as two statements.")


def _column(analysis: Analysis, value: Node, names: Collection[str]) -> Refusal | None:
    fields = [part["String"].get("sval", "") for part in value["fields"] if "String" in part]
    if fields and len(fields) == len(value["fields"]) and fields[-1] in SYSTEM_COLUMNS:
        return Refusal(f"It reads the system column {fields[-1]}, which means something on one shard only.", NAME_KEYS)
    if len(fields) > 1:  # o.total may be total(o)
        return why_not_free_call(analysis.catalog, analysis.search_path, (None, fields[-1]), 1)
    return None


def _type(analysis: Analysis, value: Node, names: Collection[str]) -> Refusal | None:
    parts = [part["String"].get("sval", "") for part in value.get("names", ())]
    last = parts[-1] if parts else ""
    if last in _OF_OBJECTS:
        return Refusal(f"It has a {last}, whose number is another one on each shard.", NAME_KEYS)
    if last in names:
        return Refusal(f"It names {last} as a type, and the rows of that table are copies here.", NAME_KEYS)
    return None


def _call(analysis: Analysis, value: Node, names: Collection[str]) -> Refusal | None:
    parts = [part["String"].get("sval", "") for part in value["funcname"]]
    called = (parts[-2] if len(parts) > 1 else None, parts[-1])
    return why_not_free_call(analysis.catalog, analysis.search_path, called, len(value.get("args", ())))


_RULES: Mapping[str, Callable[[Analysis, Node, Collection[str]], Refusal | None]] = {
    "lockingClause": _locks,
    "intoClause": _into,
    "RangeTableSample": _sample,
    "CommonTableExpr": _cte,
    "ColumnRef": _column,
    "typeName": _type,
    "FuncCall": _call,
}


_CLOCK = frozenset(("now", "transaction_timestamp", "txid_current", "txid_current_if_assigned", "pg_current_xact_id"))
_CLOCK_WORDS = ("SVFOP_CURRENT_DATE", "SVFOP_CURRENT_TIME", "SVFOP_LOCALTIME")


def of_transaction(tree: Node) -> str:
    """What a text asks of the transaction that it runs in: its time, its number; empty: nothing."""
    for name, value in walk(tree):
        if name == "FuncCall" and value["funcname"][-1]["String"].get("sval") in _CLOCK:
            return f"{value['funcname'][-1]['String']['sval']}()"
        if name == "SQLValueFunction" and value.get("op", "").startswith(_CLOCK_WORDS):
            return str(value["op"].removeprefix("SVFOP_"))
        if name == "sval" and isinstance(value, dict) and says_now(value.get("sval", "")):
            return f"'{value['sval']}'"
    return ""


def why_not_policies(analysis: Analysis, relation: Relation) -> Refusal | None:
    """A policy is asked at each shard, of rows that are there: it must not read tables that are spread."""
    for policy in relation.policies:
        statements = parse(f"SELECT 1 WHERE {policy}".encode())
        found = None if statements is not None else Refusal("It is not understood.")
        for name, value in walk([node for _, node in statements or ()]):
            if name == "RangeVar" and not _is_everywhere(analysis, value):
                found = Refusal("It reads tables.")
            elif name == "FuncCall":
                found = found or _call(analysis, value, ())
        if found is not None:
            reason = f"A policy of {relation.schema}.{relation.name} cannot be asked of the rows of one shard."
            return Refusal(f"{reason} {found.reason}", NAME_KEYS)
    return None


def _is_everywhere(analysis: Analysis, range_var: Node) -> bool:
    found = analysis.find(range_var.get("schemaname"), range_var["relname"])
    return found.rule.kind == "reference"
