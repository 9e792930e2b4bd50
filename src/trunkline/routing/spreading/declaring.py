"""A call that declares where a table lies: what it asks for, and why that cannot be.

The arguments are those of Citus, of which some have one meaning only here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from trunkline.config.sharding import ShardingSettings, TableSettings
from trunkline.routing.keys.sharding_builder import FAMILIES, build
from trunkline.routing.planning.declarations import PLACING, call_of, declared_by
from trunkline.routing.plans.plan import Refusal, Verdict
from trunkline.routing.schema.catalog import Catalog, Name, Relation
from trunkline.routing.schema.declared import written
from trunkline.routing.schema.drift import why_crossing
from trunkline.routing.schema.table_definition import TableDefinition
from trunkline.routing.spreading.request import Request
from trunkline.routing.sql import Node, only

Value = str | bool | int | None


class Change(StrEnum):
    """By the name of the function that asks for it."""

    SHARD = "create_distributed_table"
    COPY = "create_reference_table"
    BRING_HOME = "undistribute_table"


@dataclass(frozen=True, slots=True)
class Given:
    """The value of a parameter, $number."""

    number: int


@dataclass(frozen=True, slots=True)
class Placing:
    """A call, before the values of its parameters are known; `title` is what its column is called."""

    change: Change
    title: str
    arguments: Mapping[str, Value | Given]
    search_path: tuple[str, ...]

    @property
    def parameters(self) -> int:
        """How many there are, of which all are texts."""
        return max((one.number for one in self.arguments.values() if isinstance(one, Given)), default=0)

    def values(self, given: Sequence[str | None]) -> dict[str, Value]:
        """All arguments that are there."""
        return {name: given[one.number - 1] if isinstance(one, Given) else one for name, one in self.arguments.items()}


_SIGNATURES: Final[Mapping[Change, tuple[str, ...]]] = {
    Change.SHARD: ("table_name", "distribution_column", "distribution_type", "colocate_with", "shard_count"),
    Change.COPY: ("table_name",),
    Change.BRING_HOME: ("table_name", "cascade_via_foreign_keys"),
}
_NEEDED: Final[Mapping[Change, int]] = {Change.SHARD: 2, Change.COPY: 1, Change.BRING_HOME: 1}


def concerns(request: Request) -> bool:
    """Whether a statement is such a call."""
    if request.kind != "SelectStmt" or request.plan.verdict is not Verdict.EVERY:
        return False
    return declared_by(request.node) in PLACING


def plan(request: Request) -> Placing | Refusal:
    """What is asked for."""
    call = call_of(request.node)
    assert call is not None
    change = Change(call["funcname"][-1]["String"]["sval"])
    arguments: dict[str, Value | Given] = {}
    for place, wrapped in enumerate(call.get("args", ())):
        kind, node = only(wrapped)
        named = kind == "NamedArgExpr"
        names = _SIGNATURES[change]
        name = node.get("name", "") if named else names[place] if place < len(names) else ""
        value = constant_of(node["arg"] if named else wrapped)
        if name not in names or name in arguments or isinstance(value, Refusal):
            return value if isinstance(value, Refusal) else _no_function(change)
        arguments[name] = value
    if any(name not in arguments for name in _SIGNATURES[change][: _NEEDED[change]]):
        return _no_function(change)
    title = request.node["targetList"][0]["ResTarget"].get("name", str(change))
    return Placing(change, title, arguments, request.search_path)


def _no_function(change: Change) -> Refusal:
    names = ", ".join(_SIGNATURES[change])
    return Refusal(f"function {change} does not exist with such arguments", f"They are: {names}.", "42883")


def constant_of(wrapped: Node) -> Value | Given | Refusal:
    """An argument."""
    kind, node = only(wrapped)
    while kind == "TypeCast":
        kind, node = only(node["arg"])
    if kind == "ParamRef":
        return Given(node.get("number", 0))
    if kind != "A_Const":
        return Refusal("Where a table lies is said with constants.", "Give literals or parameters.")
    if node.get("isnull"):
        return None
    if "boolval" in node:
        return bool(node["boolval"].get("boolval", False))
    return int(node["ival"].get("ival", 0)) if "ival" in node else str(node.get("sval", {}).get("sval", ""))


# --- what it means by the catalog -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be so. `settings` are those by which the table lies then; `rows_forbidden` have to be empty."""

    change: Change
    relation: Relation
    table: TableSettings | None
    was: TableSettings | None
    settings: ShardingSettings
    rows_forbidden: tuple[Name, ...] = ()

    @property
    def name(self) -> str:
        return f"{self.relation.schema}.{self.relation.name}"


def wanted(
    call: Placing, values: Mapping[str, Value], settings: ShardingSettings, file: ShardingSettings, catalog: Catalog
) -> Wanted | Refusal:
    """What a call asks for, by the settings with what has been declared and by those of the file alone."""
    refusal = _no_meaning(call, values)
    relation = refusal or find(str(values["table_name"]), catalog, call.search_path)
    if isinstance(relation, Refusal):
        return relation
    name = f"{relation.schema}.{relation.name}"
    was = written(settings, name)
    refusal = _not_to_be_changed(call.change, relation, was, file)
    if refusal is not None:
        return refusal
    table: TableSettings | Refusal | None = None
    if call.change is Change.COPY:
        table = TableSettings(reference=True, group=name)
    elif call.change is Change.SHARD:
        table = _sharded(call, values, relation, settings, catalog)
    if isinstance(table, Refusal):
        return table
    others = {one: rule for one, rule in settings.tables.items() if one != name}
    changed = replace(settings, tables=others if table is None else others | {name: table})
    if table is None and any(rule.group == name for rule in others.values()):
        changed = _with_another_root(changed, name)
    return _checked(Wanted(call.change, relation, table, was, changed), settings, catalog)


def _no_meaning(call: Placing, values: Mapping[str, Value]) -> Refusal | None:
    """Arguments of Citus's for what is not done here."""
    if values["table_name"] is None:
        return Refusal("the table cannot be NULL", sqlstate="22004")
    if call.change is Change.SHARD and values["distribution_column"] is None:
        return Refusal(
            "A table without a key on one shard is not declared so.", "Name its schema in the configuration.", "0A000"
        )
    if "distribution_type" in values and values["distribution_type"] != "hash":
        return Refusal("Tables are declared by hash only.", "Say other methods in the configuration file.")
    if "shard_count" in values and values["shard_count"] is not None:
        return Refusal("The number of shards is the configuration's.", "Leave out shard_count.")
    if "cascade_via_foreign_keys" in values and values["cascade_via_foreign_keys"] in (True, "t", "true", "on", "1"):
        return Refusal("Tables are brought home one by one.", "Leave out cascade_via_foreign_keys.")
    return None


def find(said: str, catalog: Catalog, search_path: tuple[str, ...]) -> Relation | Refusal:
    """The table that is named as regclass would read it."""
    names = names_in(said)
    if names is None or not 1 <= len(names) <= 2:
        hint = "Give the table's name as text, with its schema if need be."
        return Refusal(f"invalid name syntax: {said}", hint, "42602")
    relation = catalog.find_relation(names[0] if len(names) == 2 else None, names[-1], search_path)
    return relation or Refusal(f'relation "{said}" does not exist', sqlstate="42P01")


def names_in(said: str) -> list[str] | None:
    """The parts of a qualified name (varlena.c, SplitIdentifierString); None if it is none."""
    parts: list[str] = []
    at = 0
    while True:
        if said[at : at + 1] == '"':
            part = ""
            at += 1
            while (end := said.find('"', at)) >= 0 and said[end + 1 : end + 2] == '"':
                part, at = part + said[at:end] + '"', end + 2
            if end < 0:
                return None
            part, at = part + said[at:end], end + 1
        else:
            end = said.find(".", at)
            part = said[at : end if end >= 0 else len(said)].strip().lower()
            at += len(said[at : end if end >= 0 else len(said)])
            if not part or '"' in part or part[0].isdigit():
                return None
        parts.append(part)
        if at == len(said):
            return parts if all(parts) else None
        if said[at] != ".":
            return None
        at += 1


def _not_to_be_changed(
    change: Change, relation: Relation, was: TableSettings | None, file: ShardingSettings
) -> Refusal | None:
    name = f"{relation.schema}.{relation.name}"
    if relation.unique_indexes:
        reason = f"{name} has the global unique index {relation.unique_indexes[0]}, kept by its key."
        return Refusal(reason, "SELECT drop_unique_index(...) first.", "55000")
    if written(file, name) is not None:
        return Refusal(f"{name} is in the configuration file, which says where it lies.", "Change it there.", "55000")
    if relation.schema in file.schemas or relation.schema in ("pg_catalog", "information_schema", "trunkline"):
        return Refusal(f"The tables of schema {relation.schema} lie where they are.", "Create it in another schema.")
    if change is Change.BRING_HOME:
        return None if was is not None else Refusal(f"{name} is a home table.", sqlstate="55000")
    if was is not None:
        kind = "a reference table" if was.reference else f"sharded by {', '.join(was.shard_by)}"
        return Refusal(f"{name} is {kind} already.", "SELECT undistribute_table(...) first.", "55000")
    return None


# --- sharded ----------------------------------------------------------------------------------------------------------


def _sharded(
    call: Placing, values: Mapping[str, Value], relation: Relation, settings: ShardingSettings, catalog: Catalog
) -> TableSettings | Refusal:
    said = str(values["distribution_column"])
    names = names_in(said)
    column = relation.column(names[0]) if names is not None and len(names) == 1 else None
    name = f"{relation.schema}.{relation.name}"
    if column is None:
        return Refusal(f'column "{said}" of relation "{relation.name}" does not exist', sqlstate="42703")
    group = str(values.get("colocate_with") or "default")
    if group == "none":
        root = name
    elif group == "default":
        root = _default_group(column.type, settings, catalog) or name
    else:
        with_ = find(group, catalog, call.search_path)
        other = with_ if isinstance(with_, Refusal) else written(settings, f"{with_.schema}.{with_.name}")
        if isinstance(other, Refusal):
            return other
        if other is None or other.reference or other.method != "hash" or len(other.shard_by) != 1:
            return Refusal(f"{group} is not sharded by the hash of one column.", "Leave out colocate_with.", "55000")
        root = other.group
    table = TableSettings(shard_by=(column.name,), group=root)
    built = build(replace(settings, tables={**settings.tables, name: table}), catalog)
    function = built.sharding.tables[name].function
    if function is not None and function.name != "unusable":
        return table
    reason = getattr(function, "reason", f"{name} cannot be sharded by {column.name}")
    return Refusal(f"{reason}.", "Shard it by another column, or colocate it with none.")


def _default_group(type: str, settings: ShardingSettings, catalog: Catalog) -> str:
    """The first group whose keys are hashed like this one's."""
    alike = next((family for family in FAMILIES if type in family), frozenset((type,)))
    for name, table in settings.tables.items():
        if table.method != "hash" or len(table.shard_by) != 1 or table.group != name:
            continue
        schema, dot, bare = name.partition(".")
        relation = catalog.relations.get((schema, bare) if dot else ("public", name))
        column = relation.column(table.shard_by[0]) if relation is not None else None
        if column is not None and column.type in alike:
            return name
    return ""


def _with_another_root(settings: ShardingSettings, gone: str) -> ShardingSettings:
    """The group of a table that leaves it is called by its next one."""
    root = next(name for name, rule in settings.tables.items() if rule.group == gone)
    tables = {name: replace(rule, group=root) if rule.group == gone else rule for name, rule in settings.tables.items()}
    return replace(settings, tables=tables)


# --- constraints ------------------------------------------------------------------------------------------------------


def _checked(found: Wanted, settings: ShardingSettings, catalog: Catalog) -> Wanted | Refusal:
    """Foreign keys whose two ends would not be on one shard any more."""
    mine = (found.relation.schema, found.relation.name)
    empty: list[Name] = []
    for name, relation in sorted(catalog.relations.items()):
        for key in relation.foreign_keys:
            reason = why_crossing(found.settings, catalog, relation, key)
            if mine not in (name, key.target) or not reason:
                continue
            if name != mine and why_crossing(settings, catalog, relation, key):
                continue  # it did before
            if name != mine and found.change is Change.SHARD and written(settings, ".".join(name)) is None:
                empty.append(name)  # it may be the next that is declared
                continue
            text = f"{'.'.join(name)} ({', '.join(key.columns)}) references {'.'.join(key.target)}: {reason}"
            hint = "Placing what it references first, as a reference table or sharded by the same key, or drop the key."
            return Refusal(f"A foreign key would reach across shards: {text}.", hint)
    return replace(found, rows_forbidden=tuple(dict.fromkeys(empty)))


def why_not(found: Wanted, definition: TableDefinition) -> Refusal | None:
    """What forbids it, by what the home shard says of the table."""
    if definition.odd:
        return Refusal(f"{found.name} is not declared: {definition.odd[0]}.", "Create a table of columns of its own.")
    if definition.dependent:
        return Refusal(
            f"The view {definition.dependent[0]} reads {found.name}, and would be on the home shard only.",
            "Drop it, and create it again afterwards.",
            "2BP01",
        )
    if found.table is None or found.table.reference:
        return None
    key = set(found.table.shard_by)
    for unique in definition.unique:
        if not key <= unique.columns:
            return not_unique(unique.name, found.name, found.table.shard_by)
    for action in definition.actions:
        if key & action.columns:
            reason = f"The foreign key {action.name} may change {', '.join(key & action.columns)}, and the row's shard."
            return Refusal(reason, "Let it neither cascade updates nor set to NULL or a default.")
    return None


def not_unique(constraint: str, table: str, key: Sequence[str]) -> Refusal:
    """A unique constraint that no shard can keep by itself."""
    named = f"The unique constraint {constraint}" if constraint else "A unique constraint"
    reason = f"{named} of {table} does not contain its key ({', '.join(key)}), so no shard can keep it."
    return Refusal(reason, f"Add {', '.join(key)} to its columns, or leave it out and SELECT create_unique_index(...).")
