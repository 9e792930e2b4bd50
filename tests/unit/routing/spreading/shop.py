"""The database of the cases of this room: tables by one key, by another, on every shard, and at home."""

from __future__ import annotations

from trunkline.routing.keys.sharding import Kind, Sharding, TableRule, Value
from trunkline.routing.planning.planner import plan
from trunkline.routing.schema.catalog import Catalog, Column, Function, Relation
from trunkline.routing.spreading.request import Request
from trunkline.routing.sql import parse_any


class Halves:
    """A shard function whose values do not matter here. Rows without a key are on the first shard."""

    name = "hash"
    types = ("int8",)
    every = 0b11

    def shards_of(self, key: tuple[Value | None, ...]) -> int:
        return 0b01

    def shards_between(self, low: Value | None, high: Value | None) -> int:
        return self.every


def _table(name: str, columns: str, **more: str) -> Relation:
    found = []
    for part in columns.split(", "):
        column, type, *rest = part.split()
        collation = rest[0] if rest else "default" if type == "text" else ""
        found.append(Column(column, type, collation=collation))
    return Relation("public", name, columns=tuple(found), **more)  # type: ignore[arg-type]


_RELATIONS = (
    _table("a", "k int8, x int4, n numeric, t text, c text C, f float8"),
    _table("b", "k int8, y int4, t text"),
    _table("other", "k int8, a int8"),
    _table("r", "id int8, name text"),
    _table("h", "id int8"),
    _table("va", "k int8, x1 int4", kind="v", definition=" SELECT a.k, (a.x + 1) AS x1 FROM public.a;"),
)
_FUNCTIONS = {
    "a": ("array_agg", "avg", "bool_and", "count", "max", "min", "stddev", "string_agg", "sum"),
    "f": ("abs", "generate_series", "lower", "unnest"),
    "w": ("row_number",),
}
CATALOG = Catalog(
    {(relation.schema, relation.name): relation for relation in _RELATIONS},
    {
        **{
            ("pg_catalog", name): (
                Function("pg_catalog", name, ("x",), kind, "i", returns_set=name in ("generate_series", "unnest")),
            )
            for kind, names in _FUNCTIONS.items()
            for name in names
        },
        ("pg_catalog", "now"): (Function("pg_catalog", "now", (), "f", "s"),),
        ("public", "own"): (Function("public", "own", ("int4",), "f", "i"),),
    },
    server={"collation": "en_US.UTF-8"},
)
_FUNCTION = Halves()
SHARDING = Sharding(
    ("s0", "s1"),
    0,
    {
        "a": TableRule(Kind.SHARDED, ("k",), _FUNCTION, "one"),
        "b": TableRule(Kind.SHARDED, ("k",), _FUNCTION, "one"),
        "other": TableRule(Kind.SHARDED, ("k",), _FUNCTION, "two"),
        "r": TableRule(Kind.REFERENCE),
    },
)


def request(sql: str) -> Request:
    """A statement as programs are made of it."""
    text = sql.encode()
    kind, node = parse_any(text)[0]
    path = ("public",)
    return Request(text, kind, node, CATALOG, SHARDING, path, plan(text, CATALOG, SHARDING, path))
