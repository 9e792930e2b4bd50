"""DDL that no shard can keep by itself: unique constraints without the key, foreign keys that reach across shards."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from trunkline.routing.keys.sharding import HOME_RULE, Kind, TableRule
from trunkline.routing.keys.sharding_builder import FAMILIES
from trunkline.routing.plans.plan import Refusal
from trunkline.routing.schema.catalog import Name
from trunkline.routing.spreading.declaring import not_unique
from trunkline.routing.spreading.request import Request
from trunkline.routing.sql import Node

_UNIQUE = ("CONSTR_PRIMARY", "CONSTR_UNIQUE")
_DECLARED = "Where it lies is said by its name: declare it anew under the other one."


def why_not(request: Request) -> Refusal | None:
    """Why a statement about a table of every shard is not done."""
    node = request.node
    if request.kind not in ("IndexStmt", "AlterTableStmt", "CreateStmt", "RenameStmt", "AlterObjectSchemaStmt"):
        return None
    name, rule = _table(request, node.get("relation", {}))
    if request.kind == "CreateStmt" and rule.kind is Kind.HOME:
        for parent in node.get("inhRelations", ()):
            rule = _table(request, parent["RangeVar"])[1]
    if rule.kind is Kind.HOME:
        return None
    if "OBJECT_TABLE" in (node.get("renameType"), node.get("objectType")):
        return Refusal(f"{'.'.join(name)} would not be the table any more that is {rule.kind}.", _DECLARED)
    return next(_of_constraints(request, name, rule), None) or _of_type(node, name, rule)


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
