"""The functions that declare while Trunkline runs: where a table lies, as those of Citus do, and what is unique in it.

They are Trunkline's, and not on any server: who has a function of such a name has it called.
"""

from __future__ import annotations

from typing import Final

from trunkline.routing.keys.sharding import HOME_RULE
from trunkline.routing.planning.analysis import Analysis, Found
from trunkline.routing.sql import Node, only, walk

PLACING: Final = frozenset(("create_distributed_table", "create_reference_table", "undistribute_table"))
UNIQUE: Final = frozenset(("create_unique_index", "drop_unique_index"))
_SCHEMAS = (None, "pg_catalog", "trunkline")
_REST = frozenset(("fromClause", "whereClause", "groupClause", "havingClause", "sortClause", "withClause", "larg"))


def declares(analysis: Analysis, node: Node) -> bool:
    """Whether a SELECT is such a call, which is done at every shard; within anything else it is refused."""
    called = [value for name, value in walk(node.get("targetList", ())) if name == "FuncCall"]
    called = [one for one in called if is_ours(analysis, one)]
    if not called:
        return False
    if call_of(node) is not called[0]:
        name = called[0]["funcname"][-1]["String"].get("sval", "")
        analysis.facts.refuse(f"{name}() changes a table on every shard.", f"Ask for it by itself: SELECT {name}(...).")
    analysis.facts.every["a table on every shard"] = None
    analysis.facts.writes = analysis.facts.declares = True
    return True


def is_ours(analysis: Analysis, call: Node) -> bool:
    """Whether nobody else has a function of this name."""
    names = [part["String"].get("sval", "") for part in call.get("funcname", ()) if "String" in part]
    if not names or names[-1] not in PLACING | UNIQUE:
        return False
    schema = names[-2] if len(names) > 1 else None
    return schema in _SCHEMAS and not analysis.catalog.find_functions(schema, names[-1], analysis.search_path)


def call_of(node: Node) -> Node | None:
    """The call that a SELECT consists of; None if there is more to it."""
    targets = node.get("targetList", ())
    if len(targets) != 1 or _REST & node.keys():
        return None
    name, call = only(targets[0]["ResTarget"].get("val", {"": {}}))
    return call if name == "FuncCall" else None


def declared_by(node: Node) -> str:
    """The function that a SELECT calls, which declares something; else nothing."""
    call = call_of(node)
    name = call["funcname"][-1]["String"].get("sval", "") if call is not None else ""
    return name if name in PLACING | UNIQUE else ""


def created(found: Found) -> Found:
    """As a table lies that is new: what was declared is of the one that there is, or was until this transaction."""
    if found.rule.declared:
        found.rule = HOME_RULE
    return found
