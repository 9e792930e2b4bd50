"""Every kind of statement: what binds it, and where commands that are not queries run.

DDL on a sharded or reference table runs on every shard, on a home table at home; what is not about a table (functions,
types, roles) is wanted on every shard. A statement that is in no table below is taken for one of those.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from trunkline.routing.keys.sharding import Kind
from trunkline.routing.planning.analysis import Analysis, Found
from trunkline.routing.planning.declarations import created, declares
from trunkline.routing.planning.expressions import bind_inside, inside
from trunkline.routing.planning.facts import Use
from trunkline.routing.planning.hidden import on_block, on_write
from trunkline.routing.planning.programs import definition
from trunkline.routing.planning.queries import bind_select
from trunkline.routing.planning.scopes import Scope
from trunkline.routing.planning.sources import note_table
from trunkline.routing.planning.tree import Block, Part
from trunkline.routing.planning.writes import bind_write
from trunkline.routing.plans.plan import Fixed
from trunkline.routing.sql import Node, only

_SESSION = frozenset(
    [
        "CheckPointStmt",
        "ClosePortalStmt",
        "ConstraintsSetStmt",
        "DeallocateStmt",
        "DiscardStmt",
        "ExecuteStmt",
        "FetchStmt",
        "ListenStmt",
        "LoadStmt",
        "UnlistenStmt",
        "VariableSetStmt",
        "VariableShowStmt",
    ]
)

_TWO_PHASES = frozenset(["TRANS_STMT_PREPARE", "TRANS_STMT_COMMIT_PREPARED", "TRANS_STMT_ROLLBACK_PREPARED"])


def bind_statement(analysis: Analysis, name: str, node: Node) -> Part | None:
    """One statement of a text."""
    if name in _SESSION:
        analysis.facts.session = True
        return None
    return _BINDERS.get(name, _on_every_shard)(analysis, name, node)


def _select(analysis: Analysis, name: str, node: Node) -> Part | None:
    if declares(analysis, node):
        return None
    return bind_select(analysis, node, Scope())[0]


def _write(analysis: Analysis, name: str, node: Node) -> Part | None:
    return bind_write(analysis, name, node, Scope())[0]


def _inner(analysis: Analysis, name: str, node: Node) -> Part | None:
    """EXPLAIN and DECLARE: what they are about."""
    return bind_statement(analysis, *only(node["query"]))


def _prepare(analysis: Analysis, name: str, node: Node) -> Part | None:
    facts = analysis.facts
    part = bind_statement(analysis, *only(node["query"]))
    if facts.uses or any(facts.reference.values()):
        facts.refuse(
            "PREPARE keeps a statement on one server, and this one concerns sharded or reference tables.",
            "Prepare it with the driver (the extended protocol).",
        )
    facts.session = True
    return part


def _transaction(analysis: Analysis, name: str, node: Node) -> Part | None:
    """What is prepared for two phases is found again only on its shard, and the name of it does not say which."""
    if node["kind"] not in _TWO_PHASES:
        analysis.facts.session = True
        return None
    analysis.facts.unseen = "A prepared transaction"
    analysis.facts.demand_single(
        "A prepared transaction is on one shard, and nothing says on which it is looked for.",
        "Say the shard, in PREPARE TRANSACTION and in what ends it: /* trunkline: shard=NAME */.",
    )
    return None


def _notify(analysis: Analysis, name: str, node: Node) -> Part | None:
    analysis.facts.at_home = "a notification"
    return None


# --- functions and blocks -------------------------------------------------------------------------------------------


def _call(analysis: Analysis, name: str, node: Node) -> Part | None:
    analysis.facts.volatile = True
    return Block([], inside=inside(bind_inside(analysis, {"FuncCall": node["funccall"]}, Scope())))


def _do(analysis: Analysis, name: str, node: Node) -> Part | None:
    parts = {one["DefElem"]["defname"]: one["DefElem"] for one in node.get("args", ())}
    language = parts.get("language", {}).get("arg", {}).get("String", {}).get("sval", "plpgsql")
    for part in parts.values():
        if "arg_location" in part:
            analysis.facts.fixed.add(part["arg_location"])
    on_block(analysis, language, parts["as"]["arg"]["String"].get("sval", ""))
    return None


# --- tables as a whole ----------------------------------------------------------------------------------------------


def _whole_tables(analysis: Analysis, relations: Iterable[Node], event: str) -> None:
    for wrapped in relations:
        node = wrapped.get("RangeVar", wrapped)
        found = analysis.find(node.get("schemaname"), node["relname"])
        use = note_table(analysis, found, node.get("alias", {}).get("aliasname", "") or found.name, writes=True)
        _everywhere(analysis, use)
        if event:
            on_write(analysis, found, event, [], Scope())


def _everywhere(analysis: Analysis, use: Use | None) -> None:
    if use is not None and use.fixed is None:
        function = use.rule.function
        use.fixed = Fixed(function.every if function is not None else analysis.sharding.every)


def _truncate(analysis: Analysis, name: str, node: Node) -> Part | None:
    _whole_tables(analysis, node["relations"], "TRUNCATE")
    return None


def _lock(analysis: Analysis, name: str, node: Node) -> Part | None:
    _whole_tables(analysis, node["relations"], "")
    analysis.facts.locks = True
    return None


def _copy(analysis: Analysis, name: str, node: Node) -> Part | None:
    if "query" in node:
        return bind_statement(analysis, *only(node["query"]))
    relation, from_client = node["relation"], bool(node.get("is_from"))
    found = analysis.find(relation.get("schemaname"), relation["relname"])
    use = note_table(analysis, found, found.name, writes=from_client)
    _everywhere(analysis, use)
    if from_client:
        given = [one["String"].get("sval", "") for one in node.get("attlist", ())] or list(found.columns)
        on_write(analysis, found, "INSERT", given, Scope())
        analysis.facts.demand_single(
            f"COPY gives rows of {found.full_name} for more than one shard.", "Say which shard in a hint, or INSERT."
        )
    elif found.relation is not None and found.relation.kind == "v":
        analysis.facts.tables[found.full_name] = None
    return None


# --- DDL ------------------------------------------------------------------------------------------------------------


def _create_as(analysis: Analysis, name: str, node: Node) -> Part | None:
    into = node["into"]["rel"]
    found = created(analysis.find(into.get("schemaname"), into["relname"]))
    _everywhere(analysis, note_table(analysis, found, found.name, writes=True))
    if node.get("objtype") == "OBJECT_MATVIEW" or found.rule.kind is Kind.HOME:
        said = ".".join(filter(None, (into.get("schemaname"), into["relname"])))
        analysis.facts.demand_single(
            f"{said} is made on the home shard, of rows that are not all there.",
            "Create it first, and insert into it.",
        )
    return bind_statement(analysis, *only(node["query"]))


def _refresh(analysis: Analysis, name: str, node: Node) -> Part | None:
    relation = node["relation"]
    found = analysis.find(relation.get("schemaname"), relation["relname"])
    note_table(analysis, found, found.name, writes=True)
    text = (found.relation.definition if found.relation is not None else None) or ""
    parsed = definition(text)
    return bind_statement(analysis.inside(text, analysis.search_path), *parsed) if parsed is not None else None


def _view(analysis: Analysis, name: str, node: Node) -> Part | None:
    """A view has to be where its tables are."""
    facts = analysis.facts
    scratch = analysis.apart()
    bind_statement(scratch, *only(node["query"]))
    seen = scratch.facts
    view = analysis.find(node["view"].get("schemaname"), node["view"]["relname"]).full_name
    facts.tables[view] = None
    spread = bool(seen.uses or seen.reference)
    if spread and seen.home:
        facts.refuse(
            f"The view {view} reads {next(iter(seen.home))}, which is on the home shard only,"
            " and tables of every shard.",
            "Make the home table a reference table.",
        )
    if spread:
        facts.every[view] = None
    else:
        facts.home[view] = True
    return None


def _ddl(analysis: Analysis, name: str, node: Node) -> Part | None:
    """A statement about the tables that it names first; foreign keys and the like do not count."""
    for key in ("relation", "rel", "table", "view", "sequence"):
        if "relname" in node.get(key, {}):
            parents = [one["RangeVar"] for one in node.get("inhRelations", ()) if "RangeVar" in one]
            _define(analysis, node[key], parents, is_new=name == "CreateStmt")
            return None
    relations = [one["RangeVar"] for one in node.get("relations", ()) if "RangeVar" in one]
    relations += [one["RangeVar"] for one in node.get("objects", ()) if "RangeVar" in one]
    for relation in relations:
        _define(analysis, relation, [])
    if not relations:
        _on_every_shard(analysis, name, node)
    return None


def _define(analysis: Analysis, relation: Node, parents: list[Node], *, is_new: bool = False) -> None:
    found = table_of(analysis, relation.get("schemaname"), relation["relname"])
    found = created(found) if is_new else found
    if found.rule.kind is Kind.HOME and found.shard is None and parents:
        parent = analysis.find(parents[0].get("schemaname"), parents[0]["relname"])
        found.rule = parent.rule
    _note_ddl(analysis, found)


def table_of(analysis: Analysis, schema: str | None, name: str) -> Found:
    """The table of this name, or whose index bears it: an index is where its table is."""
    found = analysis.find(schema, name)
    if found.relation is None:
        table = analysis.catalog.find_index(schema, name, analysis.search_path)
        return found if table is None else analysis.find(table.schema, table.name)
    return found


def shards_of(analysis: Analysis, found: Found) -> int:
    """The shards on which a table is to be looked after."""
    if found.shard is not None:
        return 1 << found.shard
    at_home = found.rule.kind is Kind.HOME and not analysis.is_system(found) and not _is_spread_view(analysis, found)
    return 1 << analysis.sharding.home if at_home else analysis.sharding.every


def _vacuum(analysis: Analysis, name: str, node: Node) -> Part | None:
    """VACUUM and ANALYZE: each table where it is; of no table, everything that there is."""
    named = [one["VacuumRelation"].get("relation", {}) for one in node.get("rels", ())]
    tables = [analysis.find(one.get("schemaname"), one["relname"]) for one in named if "relname" in one]
    places = {shards_of(analysis, found) for found in tables}
    if not tables:
        return _on_every_shard(analysis, name, node)
    if len(places) == 1 and not any(map(analysis.is_system, tables)):
        for found in tables:
            _note_ddl(analysis, found)
        return None
    analysis.facts.tables.update(dict.fromkeys(found.full_name for found in tables))
    analysis.facts.every[tables[0].full_name] = None
    analysis.facts.writes = True
    return None


def _note_ddl(analysis: Analysis, found: Found) -> None:
    facts = analysis.facts
    facts.tables[found.full_name] = None
    facts.writes = True
    if found.shard is not None:
        note_table(analysis, found, found.name, writes=True)
    elif found.rule.kind is Kind.HOME and not _is_spread_view(analysis, found):
        facts.home[found.full_name] = True
    else:
        facts.every[found.full_name] = None


def _is_spread_view(analysis: Analysis, found: Found) -> bool:
    """Whether it is a view that stands on every shard, as one of sharded tables does."""
    relation = found.relation
    if relation is None or relation.kind != "v" or not relation.definition or analysis.is_system(found):
        return False
    parsed = definition(relation.definition)
    scratch = analysis.apart()
    if parsed is not None:
        bind_statement(scratch.inside(relation.definition, analysis.search_path), *parsed)
    return bool(scratch.facts.uses or scratch.facts.reference)


_RELATION_KINDS = frozenset(
    [
        "OBJECT_TABLE",
        "OBJECT_VIEW",
        "OBJECT_MATVIEW",
        "OBJECT_SEQUENCE",
        "OBJECT_FOREIGN_TABLE",
        "OBJECT_TRIGGER",
        "OBJECT_POLICY",
        "OBJECT_RULE",
        "OBJECT_COLUMN",
        "OBJECT_TABCONSTRAINT",
    ]
)
_PART_OF_TABLE = frozenset(("OBJECT_TRIGGER", "OBJECT_POLICY", "OBJECT_RULE", "OBJECT_COLUMN", "OBJECT_TABCONSTRAINT"))


def _drop(analysis: Analysis, name: str, node: Node) -> Part | None:
    """DROP and COMMENT ON."""
    kind = node.get("removeType") or node.get("objtype", "")
    if kind == "OBJECT_INDEX":
        return _indexes(analysis, node)
    if kind not in _RELATION_KINDS:
        return _on_every_shard(analysis, name, node)
    for wrapped in node.get("objects") or [node["object"]]:
        names = [one["String"].get("sval", "") for one in wrapped.get("List", {}).get("items", ())]
        if kind in _PART_OF_TABLE:
            names = names[:-1]
        if names:
            _note_ddl(analysis, analysis.find(names[-2] if len(names) > 1 else None, names[-1]))
    return None


def _indexes(analysis: Analysis, node: Node) -> Part | None:
    """Where their tables are; one that is not known at home may be on another shard."""
    for wrapped in node.get("objects") or [node["object"]]:
        names = [one["String"].get("sval", "") for one in wrapped.get("List", {}).get("items", ())]
        schema, name = names[-2] if len(names) > 1 else None, names[-1]
        if analysis.catalog.find_index(schema, name, analysis.search_path) is None:
            analysis.facts.every[".".join(names)] = None
            analysis.facts.writes = True
        else:
            _note_ddl(analysis, table_of(analysis, schema, name))
    return None


def _on_every_shard(analysis: Analysis, name: str, node: Node) -> Part | None:
    analysis.facts.every["what it defines"] = None
    analysis.facts.writes = True
    return None


def _sequence(analysis: Analysis, name: str, node: Node) -> Part | None:
    analysis.facts.at_home = "a sequence"
    analysis.facts.writes = True
    return None


_BINDERS: Mapping[str, Callable[[Analysis, str, Any], Part | None]] = {
    "AlterSeqStmt": _sequence,
    "CallStmt": _call,
    "CommentStmt": _drop,
    "CopyStmt": _copy,
    "CreateSeqStmt": _sequence,
    "CreateTableAsStmt": _create_as,
    "DeclareCursorStmt": _inner,
    "DeleteStmt": _write,
    "DoStmt": _do,
    "DropStmt": _drop,
    "ExplainStmt": _inner,
    "InsertStmt": _write,
    "LockStmt": _lock,
    "MergeStmt": _write,
    "NotifyStmt": _notify,
    "PrepareStmt": _prepare,
    "RefreshMatViewStmt": _refresh,
    "SelectStmt": _select,
    "TransactionStmt": _transaction,
    "TruncateStmt": _truncate,
    "UpdateStmt": _write,
    "VacuumStmt": _vacuum,
    "ViewStmt": _view,
} | dict.fromkeys(
    (
        "AlterObjectSchemaStmt",
        "AlterOwnerStmt",
        "AlterPolicyStmt",
        "AlterTableStmt",
        "ClusterStmt",
        "CreatePolicyStmt",
        "CreateStatsStmt",
        "CreateStmt",
        "CreateTrigStmt",
        "GrantStmt",
        "IndexStmt",
        "ReindexStmt",
        "RenameStmt",
        "RuleStmt",
    ),
    _ddl,
)
