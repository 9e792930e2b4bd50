"""DDL that no shard can keep by itself: unique constraints without the key, foreign keys that reach across shards."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from trunkline.routing.keys.sharding import HOME_RULE, Kind, TableRule
from trunkline.routing.keys.sharding_builder import FAMILIES
from trunkline.routing.plans.plan import Refusal
from trunkline.routing.schema.catalog import OF_UNIQUE, UNIQUE_SCHEMA, Name, Relation
from trunkline.routing.spreading.declaring import not_unique
from trunkline.routing.spreading.request import Request
from trunkline.routing.sql import Node

_UNIQUE = ("CONSTR_PRIMARY", "CONSTR_UNIQUE")
_KEEPS_INDEXES = frozenset(  # what ALTER TABLE may do to a table with a global unique index
    [
        *("AT_AddColumn", "AT_ColumnDefault", "AT_DropNotNull", "AT_SetNotNull", "AT_SetStatistics", "AT_SetOptions"),
        *("AT_AddConstraint", "AT_AlterConstraint", "AT_ValidateConstraint", "AT_DropConstraint", "AT_ChangeOwner"),
        *("AT_AddIndex", "AT_ClusterOn", "AT_DropCluster", "AT_SetRelOptions", "AT_ResetRelOptions", "AT_SetStorage"),
        *("AT_EnableRowSecurity", "AT_DisableRowSecurity", "AT_ForceRowSecurity", "AT_NoForceRowSecurity"),
        *("AT_ReplicaIdentity", "AT_AddIdentity", "AT_SetIdentity", "AT_DropIdentity", "AT_SetCompression"),
    ]
)
_DECLARED = "Where it lies is said by its name: declare it anew under the other one."


def why_not(request: Request) -> Refusal | None:
    """Why a statement about a table of every shard is not done."""
    node = request.node
    if request.kind not in ("IndexStmt", "AlterTableStmt", "CreateStmt", "RenameStmt", "AlterObjectSchemaStmt"):
        return None
    name, rule = _table(request, node.get("relation", {}))
    refusal = _of_unique_indexes(request, name) or _of_children(request)
    if refusal is not None:
        return refusal
    if request.kind == "CreateStmt" and rule.kind is Kind.HOME:
        for parent in node.get("inhRelations", ()):
            rule = _table(request, parent["RangeVar"])[1]
    if rule.kind is Kind.HOME:
        return None
    if "OBJECT_TABLE" in (node.get("renameType"), node.get("objectType")):
        return Refusal(f"{'.'.join(name)} would not be the table any more that is {rule.kind}.", _DECLARED)
    if node.get("renameType") == "OBJECT_COLUMN" and node.get("subname") in rule.columns:
        reason = f"{node['subname']} is the key of {'.'.join(name)}, which is known by this name."
        return Refusal(reason, "Bring the table home, rename the column, and declare the table anew.")
    return next(_of_constraints(request, name, rule), None) or _of_type(node, name, rule)


def _of_unique_indexes(request: Request, name: Name) -> Refusal | None:
    """What would leave a global unique index behind that does not speak of the table any more."""
    relation = request.catalog.relations.get(name)
    if relation is None or not relation.unique_indexes or request.kind in ("IndexStmt", "CreateStmt"):
        return None
    commands = [one["AlterTableCmd"] for one in request.node.get("cmds", ())]
    if commands and all(_is_beside(request, relation, one) for one in commands):
        return None
    if request.node.get("renameType") == "OBJECT_TABCONSTRAINT":
        return None
    reason = f"{'.'.join(name)} has the global unique index {relation.unique_indexes[0]}, which would not be kept."
    return Refusal(reason, "SELECT drop_unique_index(...) first.")


def _of_children(request: Request) -> Refusal | None:
    """The rows of a child would count as those of its parent when they go, and not when they come."""
    commands = [one["AlterTableCmd"] for one in request.node.get("cmds", ())]
    parents = [one["def"] for one in commands if one.get("subtype") == "AT_AddInherit"]
    for wrapped in [*request.node.get("inhRelations", ()), *parents]:
        node = wrapped.get("RangeVar", wrapped)
        relation = request.catalog.find_relation(node.get("schemaname"), node["relname"], request.search_path)
        if relation is not None and relation.unique_indexes:
            reason = f"{relation.schema}.{relation.name} has the global unique index {relation.unique_indexes[0]}."
            return Refusal(f"{reason} It has no children.", "SELECT drop_unique_index(...) first.")
    return None


def _is_beside(request: Request, relation: Relation, command: Node) -> bool:
    """Whether it leaves the columns alone that are unique, and the triggers that keep them so."""
    if command.get("subtype") not in ("AT_DropColumn", "AT_AlterColumnType", "AT_SetExpression", "AT_DropExpression"):
        return command.get("subtype") in _KEEPS_INDEXES
    kept = (request.catalog.relations.get((UNIQUE_SCHEMA, OF_UNIQUE + one)) for one in relation.unique_indexes)
    return all(one is not None and one.column(command.get("name", "")) is None for one in kept)


def dropped_with(request: Request) -> list[str]:
    """The global unique indexes of the tables that a DROP names."""
    if request.kind != "DropStmt" or request.node.get("removeType") != "OBJECT_TABLE":
        return []
    found: list[str] = []
    for wrapped in request.node.get("objects", ()):
        names = _strings(wrapped["List"]["items"])
        schema = names[-2] if len(names) > 1 else None
        relation = request.catalog.find_relation(schema, names[-1], request.search_path)
        found += relation.unique_indexes if relation is not None else ()
    return found


def _table(request: Request, node: Node) -> tuple[Name, TableRule]:
    """The table that is meant, as the planner finds it; a partition has its parent's rule."""
    schema, name = node.get("schemaname"), node.get("relname", "")
    relation = request.catalog.find_relation(schema, name, request.search_path)
    while relation is not None:
        rule = request.sharding.rule_of(relation.schema, relation.name)
        if rule.kind is not Kind.HOME or relation.parent is None:
            return (relation.schema, relation.name), rule
        relation = request.catalog.relations.get(relation.parent)
    for place in [schema] if schema else request.search_path:
        rule = request.sharding.rule_of(place, name)
        if rule.kind is not Kind.HOME:
            return (place, name), rule
    return (schema or "", name), HOME_RULE


def _of_constraints(request: Request, name: Name, rule: TableRule) -> Iterator[Refusal]:
    for columns, one in _constraints(request):
        if one.get("contype") == "CONSTR_FOREIGN":
            refusal = _of_foreign_key(request, name, rule, columns, one)
            if refusal is not None:
                yield refusal
        elif rule.kind is Kind.SHARDED and columns is not None and not set(rule.columns) <= set(columns):
            yield not_unique(str(one.get("conname") or one.get("idxname") or ""), ".".join(name), rule.columns)


def _constraints(request: Request) -> Iterator[tuple[list[str] | None, Node]]:
    """Unique ones and foreign keys, with their columns; None: an index that is there already says which."""
    node = request.node
    if request.kind == "IndexStmt":
        if node.get("unique"):
            yield [one["IndexElem"].get("name", "") for one in node.get("indexParams", ())], node
        return
    elements = [one["AlterTableCmd"].get("def", {}) for one in node.get("cmds", ())] + list(node.get("tableElts", ()))
    for element in elements:
        if "Constraint" in element:
            one = element["Constraint"]
            keys = one.get("fk_attrs") or one.get("keys", ())
            if one.get("contype") == "CONSTR_EXCLUSION":
                yield _excluded(one), one
            elif one.get("contype") in (*_UNIQUE, "CONSTR_FOREIGN"):
                yield (None if "indexname" in one else _strings(keys)), one
        for wrapped in element.get("ColumnDef", {}).get("constraints", ()):
            one = wrapped["Constraint"]
            if one.get("contype") in (*_UNIQUE, "CONSTR_FOREIGN"):
                yield [element["ColumnDef"].get("colname", "")], one


def _excluded(constraint: Node) -> list[str]:
    """The columns that are compared for equality."""
    pairs = [one["List"]["items"] for one in constraint.get("exclusions", ())]
    return [
        element["IndexElem"].get("name", "")
        for element, operator in pairs
        if _strings(operator.get("List", {}).get("items", ()))[-1:] == ["="]
    ]


def _strings(items: Iterable[Node]) -> list[str]:
    return [one["String"].get("sval", "") for one in items]


def _of_foreign_key(
    request: Request, name: Name, rule: TableRule, columns: list[str] | None, one: Node
) -> Refusal | None:
    target, other = _table(request, one.get("pktable", {}))
    own = columns or []
    key = set(rule.columns) & set(own)
    if key and (one.get("fk_upd_action") in ("c", "n", "d") or one.get("fk_del_action") in ("n", "d")):
        reason = f"The foreign key may change {', '.join(sorted(key))}, and with it the row's shard."
        return Refusal(reason, "Let it neither cascade updates nor set to NULL or a default.")
    if other.kind is Kind.REFERENCE:
        return None
    text = f"A foreign key of {'.'.join(name)} would reach across shards, to {'.'.join(target).removeprefix('.')}."
    hint = "Make that a reference table, or shard both by the columns of the foreign key."
    if other.kind is Kind.HOME or rule.kind is Kind.REFERENCE or other.group != rule.group:
        return Refusal(text, hint)
    relation = request.catalog.relations.get(target)
    known = list(relation.keys[0]) if relation is not None and relation.keys else []
    pairs = zip(own, _strings(one.get("pk_attrs", ())) or known, strict=False)
    return None if set(zip(rule.columns, other.columns, strict=False)) <= set(pairs) else Refusal(text, hint)


def _of_type(node: Node, name: Name, rule: TableRule) -> Refusal | None:
    """Another type of the key is another hash."""
    for command in (one["AlterTableCmd"] for one in node.get("cmds", ())):
        if command.get("subtype") != "AT_AlterColumnType" or command.get("name") not in rule.columns:
            continue
        type = _strings(command["def"]["ColumnDef"]["typeName"].get("names", ()))[-1:]
        place = rule.columns.index(command["name"])
        old = rule.function.types[place].partition("(")[0] if rule.function is not None else ""
        if not any({old, *type} <= family for family in FAMILIES):
            reason = f"{command['name']} is the key of {'.'.join(name)}, whose rows would be on other shards."
            return Refusal(reason, "Create another table with the new type, and insert into it.")
    return None
