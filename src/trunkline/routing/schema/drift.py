"""Where the shards of a database are not alike: what one has and another has not, or has otherwise. Pure.

Every shard is compared with the home shard. What concerns only home tables may be there alone; tables that are sharded
or reference, and all that hangs on them, have to be the same everywhere, and so have types, functions and views.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from trunkline.config.sharding import ShardingSettings
from trunkline.routing.schema.catalog import (
    OF_UNIQUE,
    UNIQUE_SCHEMA,
    Catalog,
    Column,
    ForeignKey,
    Function,
    Name,
    Relation,
)

_CALLED = {
    "r": "table",
    "p": "partitioned table",
    "v": "view",
    "m": "materialized view",
    "f": "foreign table",
    "S": "sequence",
}
_SERVER = ("encoding", "collation")  # by which the same text is the same, and in the same order, everywhere


@dataclass(frozen=True, slots=True)
class Difference:
    """On this shard, this thing is not what it is on the home shard."""

    shard: str
    kind: str
    name: str
    what: str


def differences(settings: ShardingSettings, catalogs: Mapping[str, Catalog]) -> tuple[Difference, ...]:
    """All of them, by shard, in the order of the shards; `catalogs` may lack shards that could not be read."""
    home = catalogs.get(settings.home)
    if home is None:
        return ()
    spread = _spread(settings, [*catalogs.values()])
    found: list[Difference] = []
    for shard in settings.shard_names():
        other = catalogs.get(shard)
        if other is None:
            continue
        found += _invalid(shard, other, spread)
        if other is not home:
            found += _compare(shard, settings, home, other, spread)
    return tuple(found)


def _spread(settings: ShardingSettings, catalogs: Iterable[Catalog]) -> frozenset[Name]:
    """The relations that every shard must have: those that are named, and their partitions."""
    named = {_name(name) for name in settings.tables}
    for catalog in catalogs:
        named |= {name for name, relation in catalog.relations.items() if _root(relation, catalog) in named}
    return frozenset(named)


def _name(written: str) -> Name:
    schema, dot, table = written.partition(".")
    return (schema, table) if dot else ("public", written)


def _root(relation: Relation, catalog: Catalog) -> Name:
    seen = {(relation.schema, relation.name)}
    while relation.parent is not None and relation.parent not in seen:
        seen.add(relation.parent)
        above = catalog.relations.get(relation.parent)
        if above is None:
            return relation.parent
        relation = above
    return relation.schema, relation.name


def _compare(
    shard: str, settings: ShardingSettings, home: Catalog, other: Catalog, spread: frozenset[Name]
) -> Iterator[Difference]:
    for key in _SERVER:
        if home.server.get(key) != other.server.get(key):
            what = f"is {other.server.get(key)}, at home {home.server.get(key)}"
            yield Difference(shard, "server", key, what)
    for name in sorted(home.relations.keys() | other.relations.keys()):
        if name[0] == "pg_catalog" or name[0] in settings.schemas:
            continue
        mine, its = home.relations.get(name), other.relations.get(name)
        if name in spread or (mine is not None and its is not None and mine.kind in "vm"):
            kind = _CALLED.get((mine or its or Relation("", "")).kind, "relation")
            for what in _relation(mine, its):
                yield Difference(shard, kind, ".".join(name), what)
    for name in sorted(home.functions.keys() | other.functions.keys()):
        if name[0] == UNIQUE_SCHEMA and name[1].startswith(OF_UNIQUE):
            continue  # the home shard has more of these
        if name[0] != "pg_catalog" and name[0] not in settings.schemas:
            yield from _functions(shard, name, home.functions.get(name, ()), other.functions.get(name, ()))


def _relation(home: Relation | None, other: Relation | None) -> Iterator[str]:
    if home is None or other is None:
        yield "is not at home" if home is None else "is missing"
        return
    if home.kind != other.kind:
        yield f"is a {_CALLED.get(other.kind)}, at home a {_CALLED.get(home.kind)}"
        return
    if home.definition != other.definition:
        yield "has another definition"
    if home.parent != other.parent:
        yield f"is a partition of {_shown(other.parent)}, at home of {_shown(home.parent)}"
    yield from _columns(home, other)
    if home.keys != other.keys:
        yield f"has the keys {_keys(other)}, at home {_keys(home)}"
    if set(home.foreign_keys) != set(other.foreign_keys):
        yield "has other foreign keys"
    yield from _indexes(home, other)
    for part in ("triggers", "policies", "rules"):
        if set(getattr(home, part)) != set(getattr(other, part)):
            yield f"has other {part}"
    if set(home.unique_indexes) != set(other.unique_indexes):
        yield f"has the global unique indexes {', '.join(other.unique_indexes) or 'none'}"


def _indexes(home: Relation, other: Relation) -> Iterator[str]:
    """By their names, by which all shards' are dropped at once."""
    mine, its = ({index.name: index for index in relation.indexes} for relation in (home, other))
    for name in sorted(mine.keys() - its.keys()):
        yield f"has no index {name}"
    for name in sorted(its.keys() - mine.keys()):
        yield f"has an index {name} that is not at home"
    for name in sorted(mine.keys() & its.keys()):
        if mine[name].definition != its[name].definition:
            yield f"has another index {name}: {its[name].definition}"


def _invalid(shard: str, catalog: Catalog, spread: frozenset[Name]) -> Iterator[Difference]:
    """Indexes that were left half built, of the home shard too."""
    for name in sorted(spread & catalog.relations.keys()):
        relation = catalog.relations[name]
        for index in relation.indexes:
            if not index.valid:
                what = f"has an index {index.name} that is not valid"
                yield Difference(shard, _CALLED.get(relation.kind, "relation"), ".".join(name), what)


def _columns(home: Relation, other: Relation) -> Iterator[str]:
    mine, its = ({column.name: column for column in relation.columns} for relation in (home, other))
    for name in mine.keys() - its.keys():
        yield f"has no column {name}"
    for name in its.keys() - mine.keys():
        yield f"has a column {name} that is not at home"
    for name in mine.keys() & its.keys():
        yield from (f"column {name} {what}" for what in _column(mine[name], its[name]))
    if mine.keys() == its.keys() and list(mine) != list(its):
        yield f"has its columns in another order: {', '.join(its)}"


def _column(home: Column, other: Column) -> Iterator[str]:
    if (home.type, home.modifier) != (other.type, other.modifier):
        yield f"is of type {_type(other)}, at home {_type(home)}"
    if home.default != other.default:
        yield f"has the default {other.default or 'NULL'}, at home {home.default or 'NULL'}"
    if home.not_null != other.not_null:
        yield "is NOT NULL" if other.not_null else "may be NULL"
    if home.deterministic != other.deterministic:
        yield "has another collation"
    if home.generated != other.generated:
        yield "is generated" if other.generated else "is not generated"


def _type(column: Column) -> str:
    return column.type if column.modifier < 0 else f"{column.type} (modifier {column.modifier})"


def _shown(name: Name | None) -> str:
    return "nothing" if name is None else ".".join(name)


def _keys(relation: Relation) -> str:
    return " ".join(f"({', '.join(key)})" for key in relation.keys) or "none"


def _functions(shard: str, name: Name, home: tuple[Function, ...], other: tuple[Function, ...]) -> Iterator[Difference]:
    mine, its = ({function.arguments: function for function in functions} for functions in (home, other))
    for arguments in sorted(mine.keys() | its.keys()):
        one, two = mine.get(arguments), its.get(arguments)
        shown = f"{'.'.join(name)}({', '.join(arguments)})"
        if one is None or two is None:
            yield Difference(shard, "function", shown, "is not at home" if one is None else "is missing")
        elif one != two:
            what = "has another body" if one.body != two.body else "has other properties"
            yield Difference(shard, "function", shown, what)


# --- foreign keys -----------------------------------------------------------------------------------------------


def crossing_foreign_keys(settings: ShardingSettings, catalog: Catalog) -> tuple[str, ...]:
    """Sentences on foreign keys that no shard can check by itself, for their two ends need not be on one."""
    return tuple(
        f"{_shown(name)} ({', '.join(key.columns)}) references {_shown(key.target)}: {reason}"
        for name, relation in sorted(catalog.relations.items())
        for key in relation.foreign_keys
        if (reason := why_crossing(settings, catalog, relation, key))
    )


def why_crossing(settings: ShardingSettings, catalog: Catalog, relation: Relation, key: ForeignKey) -> str:
    target = catalog.relations.get(key.target, Relation(*key.target))
    (source_place, source_columns), (target_place, target_columns) = (
        _place(settings, _root(one, catalog)) for one in (relation, target)
    )
    if target_place == _EVERYWHERE:
        return ""
    if source_place == _EVERYWHERE:
        return "a reference table is on every shard, and what it references is not"
    if not source_columns and not target_columns:
        return "" if source_place == target_place else "the two are on different shards"
    if source_place != target_place:
        return "the two are not colocated"
    pairs = set(zip(key.columns, key.target_columns, strict=False))
    if not set(zip(source_columns, target_columns, strict=True)) <= pairs:
        return f"it does not hold the keys of both ({', '.join(source_columns)} and {', '.join(target_columns)})"
    return ""


_EVERYWHERE = ("everywhere", "")


def _place(settings: ShardingSettings, name: Name) -> tuple[tuple[str, str], tuple[str, ...]]:
    """Where rows are: tables of one place and equal keys have them on one shard; no key, all on one shard."""
    table = settings.tables.get(".".join(name))
    if table is None and name[0] == "public":
        table = settings.tables.get(name[1])
    if name[0] in settings.schemas:
        return ("shard", settings.schemas[name[0]]), ()
    if table is None:
        return ("shard", settings.home), ()
    return (_EVERYWHERE, ()) if table.reference else (("group", table.group), table.shard_by)
