"""Whether a replica may answer a statement, or why only the primary can. In doubt, it is the primary.

A replica may answer what reads permanent tables and calls functions that leave nothing behind and say the same on every
server. What PostgreSQL would refuse in recovery is not the only measure: an advisory lock can be taken on a replica as
well, and is then no lock at all.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from sys import intern

from trunkline.routing.planning.analysis import Analysis, Found
from trunkline.routing.planning.facts import Facts
from trunkline.routing.schema.catalog import Function
from trunkline.routing.sql import Node, only

# PostgreSQL's own that are volatile because they differ from call to call, and for nothing else.
_HARMLESS = frozenset(
    [
        "clock_timestamp",
        "gen_random_uuid",
        "pg_database_size",
        "pg_indexes_size",
        "pg_relation_size",
        "pg_sleep",
        "pg_sleep_for",
        "pg_sleep_until",
        "pg_table_size",
        "pg_tablespace_size",
        "pg_total_relation_size",
        "random",
        "random_normal",
        "timeofday",
        "uuidv4",
        "uuidv7",
    ]
)

# PostgreSQL's own that are stable, and yet tell of the server or session that they run in, or fail in recovery.
_OF_THE_SERVER = frozenset(
    [
        "inet_server_addr",
        "inet_server_port",
        "pg_backend_pid",
        "pg_conf_load_time",
        "pg_cursor",
        "pg_current_snapshot",
        "pg_current_xact_id",
        "pg_current_xact_id_if_assigned",
        "pg_is_other_temp_schema",
        "pg_listening_channels",
        "pg_my_temp_schema",
        "pg_postmaster_start_time",
        "pg_prepared_statement",
        "pg_xact_status",
        "txid_current",
        "txid_current_if_assigned",
        "txid_current_snapshot",
        "txid_status",
    ]
)
# Of PostgreSQL's own tables and views, those of which every server has the same rows.
_SAME_EVERYWHERE = re.compile(
    "pg_(?:aggregate|am|amop|amproc|attrdef|attribute|auth_members|authid|cast|class|collation|constraint|conversion"
    "|database|default_acl|depend|description|enum|event_trigger|extension|foreign_data_wrapper|foreign_server"
    "|group|index|indexes|inherits|language|matviews|namespace|opclass|operator|opfamily|partitioned_table"
    "|policies|policy|proc|publication|range|rewrite|roles|rules|sequence|shadow|shdepend|shdescription|tables"
    "|tablespace|transform|trigger|ts_config|ts_dict|ts_parser|ts_template|type|user|views)"
)

# What a transaction that only reads is made of, besides queries. Writes are refused by a replica as by a primary.
_OF_BLOCK = frozenset(
    (
        "AlterTableStmt",
        "ClosePortalStmt",
        "ConstraintsSetStmt",
        "CreateFunctionStmt",
        "CreateStmt",
        "CreateTableAsStmt",
        "DeleteStmt",
        "DropStmt",
        "FetchStmt",
        "IndexStmt",
        "InsertStmt",
        "MergeStmt",
        "TruncateStmt",
        "UpdateStmt",
        "VariableShowStmt",
        "ViewStmt",
    )
)
_OF_TRANSACTION = frozenset(
    f"TRANS_STMT_{one}" for one in ("BEGIN", "COMMIT", "RELEASE", "ROLLBACK", "ROLLBACK_TO", "SAVEPOINT", "START")
)
_HOLD = 32  # CURSOR_OPT_HOLD (parsenodes.h)

_STATISTICS = "pg_stat_"  # what is counted is counted by each server for itself

_NOT_LIKE_OTHERS = {"f": "a foreign table", "S": "a sequence"}  # by pg_class.relkind


def on_relation(analysis: Analysis, found: Found) -> None:
    """A table that is read."""
    relation = found.relation
    if analysis.is_system(found):
        same = found.schema == "information_schema" or _SAME_EVERYWHERE.fullmatch(found.name) is not None
        analysis.facts.demand_primary(f"It reads {found.full_name}, which tells of its own server.", always=not same)
    elif relation is None:
        analysis.facts.demand_primary(f"It names {found.full_name}, which is not known.")
    else:
        what = _NOT_LIKE_OTHERS.get(relation.kind)
        unlogged = analysis.catalog.unreplicated.get((relation.schema, relation.name))
        if what is not None:
            analysis.facts.demand_primary(f"It reads {found.full_name}, which is {what}.")
        elif unlogged is not None:
            analysis.facts.demand_primary(f"It reads {unlogged.schema}.{unlogged.name}, which is unlogged.")


def on_own_function(analysis: Analysis, function: Function) -> None:
    """A call of a function that is not PostgreSQL's own; what its body does counts besides."""
    if function.volatility == "v":
        seen = function.language not in ("c", "internal")
        name = f"{function.schema}.{function.name}()"
        analysis.facts.demand_primary(f"It calls {name}, which is volatile.", always=not seen)


def on_builtin(analysis: Analysis, name: str) -> None:
    """A call of one of PostgreSQL's own functions, or of one that is not known."""
    if name in _HARMLESS:
        return
    known = analysis.catalog.functions.get(("pg_catalog", name), ())
    if name in _OF_THE_SERVER or name.startswith(_STATISTICS):
        analysis.facts.demand_primary(f"It calls {name}(), which tells of its own server.")
    elif not known:
        analysis.facts.demand_primary(f"It calls {name}(), which is not known.")
    elif any(function.volatility == "v" for function in known):
        analysis.facts.demand_primary(f"It calls {name}(), which is volatile.")


def on_body(facts: Facts, inner: Facts, name: str) -> None:
    """What the body of a function does that the function's declaration need not say."""
    if inner.always_primary:
        facts.demand_primary(inner.always_primary)
    if inner.primary:
        facts.demand_primary(inner.primary, always=False)
    if inner.locks:
        facts.demand_primary(f"{name} locks rows.", always=False)
    if inner.session:
        facts.demand_primary(f"{name} has a statement of the session's.")


def why_primary(analysis: Analysis, statements: Sequence[tuple[str, Node]]) -> str:
    """The first reason why only the primary can answer this text; empty if a replica may."""
    facts = analysis.facts
    if len(statements) != 1:
        return intern("It is more than one statement." if statements else "It is empty.")
    if facts.writes:
        return intern(f"It writes {_written(facts)}.")
    if not _is_query(*statements[0]):
        return intern("It is no query.")
    if facts.locks:
        return intern("It locks rows.")
    if facts.at_home:
        return intern(f"It concerns {facts.at_home}, of which there is one.")
    if facts.unseen:
        return intern(f"{facts.unseen} is not seen through.")
    return intern(facts.primary)


def why_always_primary(analysis: Analysis, statements: Sequence[tuple[str, Node]]) -> str:
    """The same in a READ ONLY transaction, where a replica itself refuses what writes, in the usual words."""
    facts = analysis.facts
    if len(statements) > 1:
        return intern("It is more than one statement.")
    if statements and not _is_of_block(*statements[0]):
        return intern("It is no part of a READ ONLY transaction.")
    if facts.at_home:
        return intern(f"It concerns {facts.at_home}, of which there is one.")
    if facts.unseen:
        return intern(f"{facts.unseen} is not seen through.")
    return intern(facts.always_primary)


def _is_of_block(kind: str, node: Node) -> bool:
    if kind == "ExplainStmt":
        return _is_of_block(*only(node["query"]))
    if kind == "DeclareCursorStmt":
        return not node.get("options", 0) & _HOLD
    if kind == "TransactionStmt":
        return node["kind"] in _OF_TRANSACTION
    if kind == "VariableSetStmt":
        return not _makes_it_write(node)
    return kind in _OF_BLOCK or _is_query(kind, node)


def _makes_it_write(node: Node) -> bool:
    """READ WRITE, SERIALIZABLE, or the snapshot of another transaction, in one way or another."""
    name = node.get("name", "").lower()
    if name != "transaction":
        return bool(name.startswith("transaction"))
    modes = {one["DefElem"]["defname"]: one["DefElem"]["arg"]["A_Const"] for one in node["args"]}
    read_only, isolation = modes.get("transaction_read_only"), modes.get("transaction_isolation", {})
    writes = read_only is not None and not read_only["ival"]
    return bool(writes or isolation.get("sval", {}).get("sval") == "serializable")


def _is_query(kind: str, node: Node) -> bool:
    if kind == "ExplainStmt":
        return _is_query(*only(node["query"]))
    if kind == "CopyStmt":
        return not any(name in node for name in ("is_from", "is_program", "filename"))
    return kind == "SelectStmt"


def _written(facts: Facts) -> str:
    tables = [use.table for use in facts.uses if use.writes]
    tables += [table for place in (facts.home, facts.reference) for table, writes in place.items() if writes]
    return next(iter(tables), "what there is one of")
