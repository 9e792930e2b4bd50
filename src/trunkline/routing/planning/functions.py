"""What a call of a function means for where its statement runs.

PostgreSQL's own functions are harmless but for those in the tables below. A function that is somebody's own is looked
into (routing.planning.hidden).
"""

from __future__ import annotations

from trunkline.routing.planning import replicas
from trunkline.routing.planning.analysis import Analysis
from trunkline.routing.planning.hidden import on_user_function
from trunkline.routing.planning.ids import is_generator, on_generator, on_sequence
from trunkline.routing.planning.scopes import Scope
from trunkline.routing.planning.tree import Derived
from trunkline.routing.sql import Node

# What there is one of in a database: these run on the home shard, unless a table says where.
_HOME = {
    "nextval": "a sequence",
    "currval": "a sequence",
    "setval": "a sequence",
    "lastval": "a sequence",
    "pg_notify": "a notification",
} | dict.fromkeys(
    (
        "pg_advisory_lock",
        "pg_advisory_lock_shared",
        "pg_advisory_unlock",
        "pg_advisory_unlock_all",
        "pg_advisory_unlock_shared",
        "pg_advisory_xact_lock",
        "pg_advisory_xact_lock_shared",
        "pg_try_advisory_lock",
        "pg_try_advisory_lock_shared",
        "pg_try_advisory_xact_lock",
        "pg_try_advisory_xact_lock_shared",
    ),
    "an advisory lock",
)
_SEQUENCES = frozenset(("nextval", "currval", "setval"))

# These run SQL that is a text, or read tables whose names are.
_RUN_TEXT = frozenset(
    [
        "cursor_to_xml",
        "cursor_to_xmlschema",
        "database_to_xml",
        "database_to_xml_and_xmlschema",
        "query_to_xml",
        "query_to_xmlschema",
        "query_to_xml_and_xmlschema",
        "schema_to_xml",
        "schema_to_xml_and_xmlschema",
        "table_to_xml",
        "table_to_xml_and_xmlschema",
        "ts_rewrite",
        "ts_stat",
    ]
)
_CLOCK = frozenset(("now", "transaction_timestamp", "statement_timestamp", "txid_current", "pg_current_xact_id"))
_CHANGING = frozenset(("random", "gen_random_uuid", "clock_timestamp", "timeofday", "uuidv4", "uuidv7"))
_LARGE_OBJECTS = frozenset(
    [
        "lo_close",
        "lo_creat",
        "lo_create",
        "lo_export",
        "lo_from_bytea",
        "lo_get",
        "lo_import",
        "lo_lseek",
        "lo_open",
        "lo_put",
        "lo_tell",
        "lo_truncate",
        "lo_unlink",
        "loread",
        "lowrite",
    ]
)


def on_call(analysis: Analysis, node: Node, scope: Scope) -> list[Derived]:
    """Note what a call of a function brings; the parts of it that run by a key."""
    names = [part["String"].get("sval", "") for part in node["funcname"]]
    schema, name = (names[-2] if len(names) > 1 else None), names[-1]
    if is_generator(schema, name):
        on_generator(analysis, name)
        return []
    if schema != "pg_catalog" and analysis.catalog.functions:
        found = analysis.catalog.find_functions(schema, name, analysis.search_path)
        own = [one for one in found if one.schema != "pg_catalog" and _takes(one, node)]
        if own:
            parts = [on_user_function(analysis, function, node, scope) for function in own]
            return [part for part in parts if part is not None]
    replicas.on_builtin(analysis, name)
    if schema in (None, "pg_catalog"):
        _on_builtin(analysis, name, node)
    return []


def _takes(function: object, node: Node) -> bool:
    """Whether a function may be meant by the number of arguments."""
    given = len(node.get("args", ()))
    most, defaults = len(function.arguments), function.defaults  # type: ignore[attr-defined]
    return bool(function.variadic or most - defaults <= given <= most)  # type: ignore[attr-defined]


def _changes_answers(analysis: Analysis, node: Node) -> bool:
    """Whether what set_config() sets may. `jit` does not, and asyncpg sets it when it asks about types."""
    name = node.get("args", ({},))[0].get("A_Const")
    if name is None:
        return True
    analysis.fix(name)
    return str(name.get("sval", {}).get("sval", "")).lower() != "jit"


def _on_builtin(analysis: Analysis, name: str, node: Node) -> None:
    facts = analysis.facts
    if name in _HOME:
        facts.at_home = facts.at_home or _HOME[name]
        facts.volatile = True
    elif name in _LARGE_OBJECTS:
        facts.home["pg_largeobject"] = True
        facts.volatile = facts.writes = True
    elif name in _CHANGING:
        facts.volatile = facts.differs = True
    elif name in _CLOCK:
        facts.differs = True
    elif name in _RUN_TEXT:
        facts.refuse(
            f"{name}() runs SQL or reads tables that are named by a text, which is not looked into.",
            "Write the query itself.",
        )
    facts.configures |= name == "set_config" and _changes_answers(analysis, node)
    on_sequence(analysis, name, node)
    if name in _SEQUENCES and node.get("args"):
        for one in node["args"][:1]:
            if "A_Const" in one:
                analysis.fix(one["A_Const"])
