"""A statement that names the values of a global unique index: the one shard that can have the row. Pure.

The table of values at home has the key of each row beside its unique values, and the key says the shard. What a
statement says of the unique columns is found as what it says of a key is: it is planned once more, as if its table were
sharded by them. So what is true of keys (OR, NOT, joins, casts, NULL) is true here, and a condition that is not
understood asks all shards, as without an index.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from trunkline.routing.keys.shard_functions import check_key, key_type
from trunkline.routing.keys.sharding import (
    KeyNotMapped,
    KeyUnknown,
    Kind,
    NotCoercible,
    ShardFunction,
    Sharding,
    TableRule,
    Value,
)
from trunkline.routing.keys.values import base_of, from_text
from trunkline.routing.keys.written import to_text
from trunkline.routing.planning.planner import plan as make_plan
from trunkline.routing.plans.call import Call
from trunkline.routing.plans.evaluation import ReadyPlan
from trunkline.routing.plans.plan import All, AnyOf, Equals, Fixed, In, InArray, Occurrence, Where
from trunkline.routing.schema.catalog import OF_UNIQUE, UNIQUE_SCHEMA, Catalog, Name, Relation
from trunkline.routing.spreading.quoting import full, literal
from trunkline.routing.spreading.request import Request
from trunkline.routing.text.fingerprint import Fingerprint

MIN_SHARDS = 3  # of two, asking both at once is as cheap as asking home, and then one
_METHOD = "hash"  # whose types are those that are read here as PostgreSQL reads them
_SUBJECTS = {"SelectStmt": "fromClause", "UpdateStmt": "relation", "DeleteStmt": "relation"}

Values = tuple[Value, ...]


class Wanted:
    """Stands for a rule by the unique columns, and keeps the values that it is asked for."""

    name = "unique"
    every = 1

    def __init__(self, types: tuple[str, ...]) -> None:
        self.types = types
        self.found: dict[Values, None] = {}

    def shards_of(self, key: tuple[Value | None, ...]) -> int:
        values = tuple(one for one in key if one is not None)
        if len(values) < len(key):
            return 0  # nothing is equal to NULL
        self.found[values] = None
        return 1

    def shards_between(self, low: Value | None, high: Value | None) -> int:
        return 1


@dataclass(frozen=True, slots=True)
class UniqueLookup:
    """Of one text: the index by which its rows are found."""

    index: str
    function: ShardFunction  # from the table's own key to shards
    places: tuple[int, ...]  # of the columns of that key in the table of values
    alone: bool  # it is about rows of that table and nothing else: one that found no row has done nothing
    _ready: ReadyPlan
    _where: Where
    _wanted: Wanted

    def question(self, call: Call) -> str | None:
        """For the home shard, about the one value that a call names; "" if no row has it, None: there are several."""
        self._wanted.found.clear()
        try:
            self._ready.mask_of(call, self._where)
        except (KeyUnknown, NotCoercible):
            return None
        if len(self._wanted.found) > 1:
            return None
        types = [base_of(type) for type in self._wanted.types]
        function = full(UNIQUE_SCHEMA, OF_UNIQUE + self.index)
        for row in self._wanted.found:
            said = json.dumps([to_text(value, type) for value, type in zip(row, types, strict=True)])
            return f"SELECT {function}({literal(said)}::pg_catalog.json)"
        return ""

    def mask_of(self, rows: Iterable[Sequence[bytes | None]]) -> int | None:
        """The shard of the row, by the answer, 0 if there is none; None if that cannot be said."""
        for (packed,) in rows:
            if packed is None:
                return None
            row: list[str | None] = json.loads(packed)
            shard = self._shard_of([row[place] for place in self.places])
            return shard if shard and not shard & (shard - 1) else None
        return 0

    def _shard_of(self, said: Sequence[str | None]) -> int:
        key = [
            None if one is None else from_text(one.encode(), type)
            for one, type in zip(said, self.function.types, strict=True)
        ]
        try:
            return 0 if None in key else self.function.shards_of(tuple(key))
        except (KeyNotMapped, KeyUnknown, NotCoercible):
            return 0


def lookup_of(request: Request, standard: bool) -> UniqueLookup | None:
    """How the rows of a statement are found by a unique index; None: all shards are asked."""
    if len(request.sharding.shards) < MIN_SHARDS or request.kind not in _SUBJECTS:
        return None
    used = _used(request)
    relation = request.catalog.relations.get(_name(used.table)) if used is not None else None
    if used is None or relation is None:
        return None
    alone = _is_alone(request, relation)
    found = (_by(request, used, relation, index, standard, alone) for index in relation.unique_indexes)
    return next((one for one in found if one is not None), None)


def _used(request: Request) -> Occurrence | None:
    """The one sharded table that a statement is about; reference tables may stand beside it."""
    others = [one for one in request.plan.occurrences if one.kind != "reference" or one.writes]
    return others[0] if len(others) == 1 and others[0].kind == "sharded" else None


def _name(said: str) -> Name:
    schema, _, name = said.partition(".")
    return schema, name


def _is_alone(request: Request, relation: Relation) -> bool:
    node, reads = request.node, request.kind == "SelectStmt"
    if "withClause" in node or len(request.plan.occurrences) != 1:
        return False
    if not reads and (relation.triggers or request.plan.volatile):
        return False
    subject = node.get(_SUBJECTS[request.kind])
    if isinstance(subject, list):
        subject = subject[0].get("RangeVar") if len(subject) == 1 else None
    return subject is not None and subject.get("relname") == relation.name


def _by(
    request: Request, used: Occurrence, relation: Relation, index: str, standard: bool, alone: bool
) -> UniqueLookup | None:
    sharding, rule = request.sharding, request.sharding.rule_of(relation.schema, relation.name)
    kept = _kept(request.catalog, index)
    if kept is None or rule.function is None or not _is_asked(request.catalog, index):
        return None
    names = [column.name for column in kept.columns]
    unique = [relation.column(name) for name in kept.keys[0]]
    known = [one for one in unique if one is not None and check_key(one, _METHOD) is None]
    if len(known) < len(unique) or not set(rule.columns) <= set(names):
        return None
    wanted = Wanted(tuple(key_type(one) for one in known))
    by_values = _sharded_by(sharding, used.table, TableRule(Kind.SHARDED, tuple(kept.keys[0]), wanted, index))
    plan = make_plan(request.sql, request.catalog, by_values, request.search_path)
    where = next((one.where for one in plan.occurrences if one.table == used.table), Fixed(1))
    if not _names_values(where):
        return None
    ready = ReadyPlan(plan, Fingerprint(request.sql, standard), request.sql)
    places = tuple(names.index(column) for column in rule.columns)
    return UniqueLookup(index, rule.function, places, alone, ready, where, wanted)


def _kept(catalog: Catalog, index: str) -> Relation | None:
    found = catalog.relations.get((UNIQUE_SCHEMA, OF_UNIQUE + index))
    return found if found is not None and found.keys else None


def _is_asked(catalog: Catalog, index: str) -> bool:
    """Whether the home shard has the function that answers; what an older Trunkline has made has none."""
    return any(one.arguments == ("json",) for one in catalog.functions.get((UNIQUE_SCHEMA, OF_UNIQUE + index), ()))


def _sharded_by(sharding: Sharding, table: str, rule: TableRule) -> Sharding:
    bare = table.removeprefix("public.")
    tables = {name: one for name, one in sharding.tables.items() if name not in (table, bare)}
    return replace(sharding, tables={**tables, table: rule})


def _names_values(where: Where) -> bool:
    """Whether only rows with the values in it make a difference."""
    if isinstance(where, All):
        return any(map(_names_values, where.parts))
    if isinstance(where, AnyOf):
        return all(map(_names_values, where.parts))
    if isinstance(where, Fixed):
        return not where.mask
    return isinstance(where, Equals | In | InArray)
