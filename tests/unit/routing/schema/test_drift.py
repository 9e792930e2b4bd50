"""What is said where shards are not alike, and where a foreign key leaves its shard."""

from dataclasses import replace

import pytest

from trunkline.config.sharding import ShardingSettings, ShardSettings, TableSettings
from trunkline.routing.schema.catalog import Catalog, Column, ForeignKey, Function, Index, Relation, Trigger
from trunkline.routing.schema.drift import Difference, crossing_foreign_keys, differences

SETTINGS = ShardingSettings(
    (ShardSettings("s0"), ShardSettings("s1"), ShardSettings("s2")),
    "s0",
    (0, 1, 2),
    {
        "orders": TableSettings(("customer",), group="customers"),
        "customers": TableSettings(("id",), group="customers"),
        "sales.days": TableSettings(("at",), group="sales.days"),
        "countries": TableSettings(reference=True, group="countries"),
    },
    {"acme": "s1", "beta": "s2", "gamma": "s0"},
)
ORDERS = Relation(
    "public",
    "orders",
    columns=(Column("id", "int8", not_null=True), Column("customer", "int8"), Column("note", "varchar", modifier=12)),
    keys=(("id",),),
)
CUSTOMERS = Relation("public", "customers", columns=(Column("id", "int8"),))
F = Function("public", "f", ("int8",), language="sql", body="SELECT 1")


def catalog(*relations: Relation, functions: tuple[Function, ...] = (F,), **server: str) -> Catalog:
    kept = {"encoding": "UTF8", "collation": "C", **server}
    return Catalog({(one.schema, one.name): one for one in relations}, {("public", "f"): functions}, server=kept)


HOME = catalog(ORDERS, CUSTOMERS)


def said(other: Catalog, home: Catalog = HOME) -> list[tuple[str, str, str]]:
    found = differences(SETTINGS, {"s0": home, "s1": other})
    assert {one.shard for one in found} <= {"s1"}
    return [(one.kind, one.name, one.what) for one in found]


def test_shards_that_are_alike_differ_in_nothing() -> None:
    assert differences(SETTINGS, {"s0": HOME, "s1": HOME, "s2": replace(HOME, version=4)}) == ()


def test_a_shard_that_could_not_be_read_is_not_judged() -> None:
    assert differences(SETTINGS, {"s0": HOME}) == differences(SETTINGS, {"s1": catalog()}) == ()


def test_each_difference_is_said_of_its_shard() -> None:
    found = differences(SETTINGS, {"s0": HOME, "s2": catalog(CUSTOMERS), "s1": HOME})
    assert found == (Difference("s2", "table", "public.orders", "is missing"),)


def test_indexes_are_told_by_their_names_and_half_built_ones_of_every_shard() -> None:
    one, two, other = Index("by_id", "... (id)"), Index("once", "... (note)"), Index("by_id", "... (note)")
    mine = replace(CUSTOMERS, indexes=(one, replace(two, valid=False)))
    its = replace(CUSTOMERS, indexes=(other, Index("own", "...")))
    found = differences(SETTINGS, {"s0": catalog(ORDERS, mine), "s1": catalog(ORDERS, its)})
    assert [(one.shard, one.name, one.what) for one in found] == [
        ("s0", "public.customers", "has an index once that is not valid"),
        ("s1", "public.customers", "has no index once"),
        ("s1", "public.customers", "has an index own that is not at home"),
        ("s1", "public.customers", "has another index by_id: ... (note)"),
    ]


def _columns(**changes: object) -> Relation:
    return replace(ORDERS, columns=(*ORDERS.columns[:2], replace(ORDERS.columns[2], **changes)))


@pytest.mark.parametrize(
    ("other", "what"),
    [
        (replace(ORDERS, kind="p"), "is a partitioned table, at home a table"),
        (replace(ORDERS, columns=ORDERS.columns[:2]), "has no column note"),
        (replace(ORDERS, columns=(*ORDERS.columns, Column("x", "int4"))), "has a column x that is not at home"),
        (
            replace(ORDERS, columns=ORDERS.columns[::-1]),
            "has its columns in another order: note, customer, id",
        ),
        (_columns(type="text", modifier=-1), "column note is of type text, at home varchar (modifier 12)"),
        (_columns(modifier=13), "column note is of type varchar (modifier 13), at home varchar (modifier 12)"),
        (_columns(default="'x'"), "column note has the default 'x', at home NULL"),
        (_columns(not_null=True), "column note is NOT NULL"),
        (_columns(deterministic=False), "column note has another collation"),
        (_columns(generated=True), "column note is generated"),
        (replace(ORDERS, keys=(("id", "customer"),)), "has the keys (id, customer), at home (id)"),
        (replace(ORDERS, triggers=(Trigger("t", ("public", "f")),)), "has other triggers"),
        (replace(ORDERS, policies=("true",)), "has other policies"),
        (replace(ORDERS, rules=("x",)), "has other rules"),
        (
            replace(ORDERS, foreign_keys=(ForeignKey(("customer",), ("public", "customers"), ("id",)),)),
            "has other foreign keys",
        ),
        (replace(ORDERS, parent=("public", "all")), "is a partition of public.all, at home of nothing"),
    ],
)
def test_what_is_otherwise_is_named(other: Relation, what: str) -> None:
    assert [line[2] for line in said(catalog(other, CUSTOMERS))] == [what]


def test_functions_and_the_server_are_compared() -> None:
    other = catalog(
        ORDERS, CUSTOMERS, functions=(replace(F, body="SELECT 2"), replace(F, arguments=())), collation="en_US"
    )
    assert said(other) == [
        ("server", "collation", "is en_US, at home C"),
        ("function", "public.f()", "is not at home"),
        ("function", "public.f(int8)", "has another body"),
    ]
    volatile = catalog(ORDERS, CUSTOMERS, functions=(replace(F, volatility="s"),))
    assert said(volatile) == [("function", "public.f(int8)", "has other properties")]


def test_a_partition_has_to_be_everywhere_and_a_home_table_not() -> None:
    days, part = Relation("sales", "days", "p"), Relation("sales", "days_1", parent=("sales", "days"))
    deep = Relation("sales", "days_1a", parent=("sales", "days_1"))
    alone = Relation("public", "settings")
    mine = catalog(ORDERS, CUSTOMERS, days, part, deep, alone)
    assert said(catalog(ORDERS, CUSTOMERS, days, part), mine) == [("table", "sales.days_1a", "is missing")]
    assert said(mine, catalog(ORDERS, CUSTOMERS, days, part)) == [("table", "sales.days_1a", "is not at home")]


def test_views_are_compared_where_both_have_them_and_schemas_of_tenants_not_at_all() -> None:
    view = Relation("public", "v", "v", definition="SELECT 1")
    tenant = Relation("acme", "v", "v", definition="SELECT 1")
    assert said(catalog(ORDERS, CUSTOMERS, view), catalog(ORDERS, CUSTOMERS)) == []
    other = (replace(one, definition="SELECT 2") for one in (view, tenant))
    assert said(catalog(ORDERS, CUSTOMERS, *other), catalog(ORDERS, CUSTOMERS, view, tenant)) == [
        ("view", "public.v", "has another definition")
    ]


def referring(
    source: tuple[str, str], columns: tuple[str, ...], target: tuple[str, str], there: tuple[str, ...]
) -> tuple[str, ...]:
    relation = Relation(*source, foreign_keys=(ForeignKey(columns, target, there),))
    return crossing_foreign_keys(SETTINGS, catalog(Relation(*target), relation))


A, ORDER, CUSTOMER = ("public", "a"), ("public", "orders"), ("public", "customers")
COUNTRY, DAY = ("public", "countries"), ("sales", "days")


@pytest.mark.parametrize(
    ("source", "columns", "target", "there"),
    [
        (ORDER, ("customer",), CUSTOMER, ("id",)),
        (ORDER, ("x", "customer"), CUSTOMER, ("y", "id")),
        (ORDER, ("country",), COUNTRY, ("id",)),
        (COUNTRY, ("x",), COUNTRY, ("id",)),
        (A, ("x",), ("public", "b"), ("id",)),
        (A, ("x",), ("gamma", "b"), ("id",)),
        (("acme", "a"), ("x",), ("acme", "b"), ("id",)),
        (("acme", "a"), ("x",), COUNTRY, ("id",)),
    ],
)
def test_a_foreign_key_that_stays_on_its_shard_is_well(source, columns, target, there) -> None:
    assert referring(source, columns, target, there) == ()


@pytest.mark.parametrize(
    ("source", "columns", "target", "there", "reason"),
    [
        (
            ORDER,
            ("x",),
            CUSTOMER,
            ("id",),
            "public.orders (x) references public.customers: it does not hold the keys of both (customer and id)",
        ),
        (DAY, ("at",), CUSTOMER, ("id",), "sales.days (at) references public.customers: the two are not colocated"),
        (A, ("x",), CUSTOMER, ("id",), "public.a (x) references public.customers: the two are not colocated"),
        (ORDER, ("x",), A, ("id",), "public.orders (x) references public.a: the two are not colocated"),
        (
            COUNTRY,
            ("x",),
            A,
            ("id",),
            "public.countries (x) references public.a: a reference table is on every shard, and what it references "
            "is not",
        ),
        (
            ("acme", "a"),
            ("x",),
            ("beta", "b"),
            ("id",),
            "acme.a (x) references beta.b: the two are on different shards",
        ),
    ],
)
def test_a_foreign_key_that_leaves_its_shard_is_said(source, columns, target, there, reason: str) -> None:
    assert referring(source, columns, target, there) == (reason,)


def test_a_partitions_foreign_key_is_judged_by_its_parents_rule() -> None:
    part = Relation("public", "orders_1", parent=ORDER, foreign_keys=(ForeignKey(("customer",), CUSTOMER, ("id",)),))
    assert crossing_foreign_keys(SETTINGS, catalog(ORDERS, CUSTOMERS, part)) == ()
