"""The rules of tables, from a description and a catalog; and what is said where the two do not fit."""

from dataclasses import replace

import pytest

from trunkline.config.key_kinds import KeyList, KeyRange, Lookup
from trunkline.config.sharding import FunctionSettings, ShardingSettings, ShardSettings, TableSettings
from trunkline.routing.keys.sharding import HOME_RULE, KeyArgument, KeyNotMapped, Kind, TableRule
from trunkline.routing.keys.sharding_builder import Built, build
from trunkline.routing.schema.catalog import Catalog, Column, Function, Relation

SHARDS = (ShardSettings("s0"), ShardSettings("s1"))
COLUMNS = {
    "id": Column("id", "int8"),
    "small": Column("small", "int4"),
    "name": Column("name", "text"),
    "code": Column("code", "varchar", modifier=14),
    "mood": Column("mood", "mood", is_enum=True),
    "loose": Column("loose", "text", deterministic=False),
    "doc": Column("doc", "jsonb"),
    "at": Column("at", "date"),
}


def relation(name: str, kind: str = "r", parent: tuple[str, str] | None = None, schema: str = "public") -> Relation:
    return Relation(schema, name, kind, tuple(COLUMNS.values()), parent=parent)


RELATIONS = [
    relation("a"),
    relation("b"),
    relation("v", "v"),
    relation("part", parent=("public", "a")),
    relation("s", schema="sales"),
]
CATALOG = Catalog(
    {(one.schema, one.name): one for one in RELATIONS},
    {("public", "f"): (Function("public", "f", ("int8",)),)},
)


def built(functions: dict[str, FunctionSettings] | None = None, **tables: TableSettings) -> Built:
    named = {name.replace("__", "."): table for name, table in tables.items()}
    return build(ShardingSettings(SHARDS, "s1", (0, 1), named, {"acme": "s1"}, functions or {}), CATALOG)


def by(*columns: str, group: str = "a", **options: object) -> TableSettings:
    return TableSettings(columns, group=group, **options)  # type: ignore[arg-type]


def rule(found: Built, name: str = "a", schema: str = "public") -> TableRule:
    return found.sharding.rule_of(schema, name)


def test_every_kind_of_table_has_its_rule() -> None:
    found = built(a=by("id"), b=TableSettings(reference=True, group="b"), sales__s=by("name", group="sales.s"))
    assert found.problems == ()
    assert (found.sharding.shards, found.sharding.home, found.sharding.schemas) == (("s0", "s1"), 1, {"acme": 1})
    a = rule(found)
    assert (a.kind, a.columns, a.group) == (Kind.SHARDED, ("id",), "a")
    assert a.function is not None
    assert (a.function.name, a.function.types, a.function.every) == ("hash", ("int8",), 3)
    # PostgreSQL's hash of 1 is even, that of -1 is odd (satisfies_hash_partition with modulus 2).
    assert [a.function.shards_of((key,)) for key in (1, -1)] == [1, 2]
    assert rule(found, "b").kind is Kind.REFERENCE
    assert rule(found, "s", "sales").columns == ("name",)
    assert rule(found, "other") is HOME_RULE


@pytest.mark.parametrize(
    ("table", "key", "mask"),
    [
        (by("name", method="list", lists=(KeyList("s1", ("us",)),), default="s0"), "us", 2),
        (by("name", method="list", lists=(KeyList("s1", ("us",)),), default="s0"), "eu", 1),
        (by("id", method="range", ranges=(KeyRange("9", "10", "s1"), KeyRange("10", None, "s0"))), 9, 2),
        (by("at", method="range", ranges=(KeyRange("2000-01-02", None, "s1"),), default="s0"), 0, 1),
        (by("id", method="modulo"), 5, 2),
    ],
)
def test_the_operators_map_is_kept(table: TableSettings, key: object, mask: int) -> None:
    function = rule(built(a=table)).function
    assert function is not None
    assert function.shards_of((key,)) == mask  # type: ignore[arg-type]


def test_a_keys_modifier_goes_with_its_type() -> None:
    function = rule(built(a=by("code"))).function
    assert function is not None
    assert function.types == ("varchar(10)",)


def test_a_lookup_has_a_directory_to_be_filled() -> None:
    found = built(a=by("id", method="lookup", lookup=Lookup("b", "id", "name")))
    assert found.problems == ()
    function = rule(found).function
    assert function is not None
    with pytest.raises(KeyNotMapped):
        function.shards_of((7,))
    directory = found.directories["a"]
    assert (directory.type, directory.shards, directory.relation) == ("int8", ("s0", "s1"), ("public", "b"))
    directory.directory.learn(7, 1)
    assert function.shards_of((7,)) == 2


def test_tables_that_look_the_same_keys_up_have_one_directory() -> None:
    lookup = Lookup("b", "id", "name")
    found = built(a=by("code", method="lookup", lookup=lookup), b=by("name", method="lookup", lookup=lookup))
    assert found.directories["a"] is found.directories["b"]
    assert found.directories["a"].type == "text"
    one, two = (by(name, method="lookup", lookup=lookup, group=group) for name, group in (("id", "a"), ("name", "b")))
    other = built(a=one, b=two)
    assert other.directories["a"] is not other.directories["b"]


def test_a_directory_that_is_known_is_used_again_while_the_shards_are_the_same() -> None:
    tables = {"a": by("id", method="lookup", lookup=Lookup("b", "id", "name"))}
    settings = ShardingSettings(SHARDS, "s1", (0, 1), tables)
    known = build(settings, CATALOG).directories["a"]
    assert build(settings, CATALOG, [known]).directories["a"] is known
    turned = replace(settings, shards=SHARDS[::-1])
    assert build(turned, CATALOG, [known]).directories["a"] is not known


def test_functions_have_their_key_argument() -> None:
    found = built({"f": FunctionSettings(1, "a")}, a=by("id"))
    assert found.sharding.functions == {"f": KeyArgument(1, "a")}
    assert found.problems == ()


@pytest.mark.parametrize(
    ("tables", "says"),
    [
        ({"gone": by("id", group="gone")}, "the table gone is not there"),
        ({"gone": TableSettings(reference=True, group="gone")}, "the table gone is not there"),
        ({"v": by("id", group="v")}, "v is not a table"),
        ({"a": by("nix")}, "the table a has no column nix"),
        ({"a": by("mood")}, "a cannot be sharded so: mood is an enum, which PostgreSQL hashes by a number"),
        ({"a": by("loose")}, "a cannot be sharded so: loose has a nondeterministic collation"),
        ({"a": by("doc")}, "a cannot be sharded so: equal documents of jsonb"),
        ({"a": by("name", method="modulo")}, "a cannot be sharded so: name is of type text; method modulo takes int2"),
        (
            {"a": by("name", method="range", ranges=(KeyRange("a", "c", "s0"), KeyRange("b", None, "s1")))},
            "the keys of a: the ranges a..c of s0 and b.. of s1 overlap",
        ),
        ({"a": by("id", method="list", lists=(KeyList("s0", ("x",)),))}, "the keys of a: 'x' is no int8"),
        (
            {"a": by("id"), "b": by("name")},
            "b cannot be colocated with a: its key is of type text, and that one's of int8",
        ),
        ({"part": by("id", group="part")}, "part is a partition or child of public.a: only that can have a rule"),
        (
            {"a": by("id", method="lookup", lookup=Lookup("gone", "k", "s"))},
            "the directory gone of a is not there",
        ),
        (
            {"a": by("id", method="lookup", lookup=Lookup("b", "id", "s"))},
            "the directory b of a has no column s",
        ),
        (
            {"a": by("id", method="lookup", lookup=Lookup("b", "code", "name"))},
            "the directory b has keys of type varchar, and a has int8: keys that it lacks cannot be asked for",
        ),
    ],
)
def test_what_does_not_fit_is_said(tables: dict[str, TableSettings], says: str) -> None:
    (problem,) = built(**tables).problems
    assert problem.startswith(says)


@pytest.mark.parametrize("table", [by("nix"), by("mood"), by("doc")])
def test_a_table_whose_rule_cannot_be_kept_is_no_home_table(table: TableSettings) -> None:
    found = rule(built(a=table))
    assert found.kind is Kind.SHARDED
    assert found.function is not None
    with pytest.raises(KeyNotMapped, match="a "):
        found.function.shards_of(("x",))
    assert found.function.shards_between(None, None) == 3


def test_integers_of_any_width_are_colocated_as_are_texts() -> None:
    assert built(a=by("id"), b=by("small")).problems == ()
    assert built(a=by("name"), b=by("code")).problems == ()


@pytest.mark.parametrize(
    ("name", "says"), [("g", "the function g is not there"), ("f", "the function f has no argument")]
)
def test_a_function_that_is_not_so_is_said(name: str, says: str) -> None:
    (problem,) = built({name: FunctionSettings(2, "a")}, a=by("id")).problems
    assert problem.startswith(says)
