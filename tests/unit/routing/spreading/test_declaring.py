"""What a call asks for that declares where a table lies, and why it cannot be so."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.unit.routing.spreading.asking import request
from trunkline.config.sharding import ShardingSettings, ShardSettings, TableSettings
from trunkline.routing.plans.plan import Refusal
from trunkline.routing.schema.catalog import Catalog, Column, ForeignKey, Relation
from trunkline.routing.schema.table_definition import Action, TableDefinition, Unique
from trunkline.routing.spreading import declaring
from trunkline.routing.spreading.declaring import Change, Given, Placing, Wanted, names_in, wanted, why_not

ID, NAME = Column("id", "int8"), Column("name", "text")
RELATIONS = (
    Relation("public", "customers", columns=(ID, NAME)),
    Relation("public", "orders", columns=(replace(ID, name="customer_id"), NAME),
             foreign_keys=(ForeignKey(("customer_id",), ("public", "customers"), ("id",)),)),
    Relation("public", "countries", columns=(NAME,)),
    Relation("sales", "loose", columns=(ID, Column("point", "point"))),
)  # fmt: skip
CATALOG = Catalog({(one.schema, one.name): one for one in RELATIONS})
FILE = ShardingSettings((ShardSettings("a"), ShardSettings("b")), "a", (0, 1), schemas={"tenant": "a"})
CUSTOMERS = replace(FILE, tables={"public.customers": TableSettings(("id",), group="public.customers")})


def planned(sql: str) -> Placing | Refusal:
    asked = request(sql)
    assert declaring.concerns(asked)
    return declaring.plan(asked)


def asked(sql: str, settings: ShardingSettings = FILE, file: ShardingSettings = FILE, *given: str) -> Wanted | Refusal:
    call = planned(f"SELECT {sql}")
    assert isinstance(call, Placing), call
    return wanted(call, call.values(given), settings, file, CATALOG)


def test_arguments_are_those_of_citus() -> None:
    call = planned("SELECT create_distributed_table('t'::regclass, $1, colocate_with => $2, shard_count := NULL) AS x")
    assert isinstance(call, Placing)
    assert (call.change, call.title, call.parameters) == (Change.SHARD, "x", 2)
    assert call.arguments == {
        "table_name": "t", "distribution_column": Given(1), "colocate_with": Given(2), "shard_count": None,
    }  # fmt: skip
    for sql in ("create_reference_table('t', 1)", "create_distributed_table('t')", "undistribute_table(t => 't')"):
        found = planned(f"SELECT {sql}")
        assert isinstance(found, Refusal)
        assert found.sqlstate == "42883"


@pytest.mark.parametrize(
    ("said", "names"),
    [("T", ["t"]), ('S."T"', ["s", "T"]), ('"a""b"', ['a"b']), ('"a', None), ("1", None), ("a.", None), ("", None)],
)
def test_names_are_read_as_regclass_reads_them(said: str, names: list[str] | None) -> None:
    assert names_in(said) == names


def test_a_table_joins_the_group_whose_keys_are_hashed_alike() -> None:
    found = asked("create_distributed_table('orders', 'customer_id')", CUSTOMERS)
    assert isinstance(found, Wanted), found
    assert found.table == TableSettings(("customer_id",), group="public.customers")
    alone = asked("create_distributed_table('sales.loose', 'id', colocate_with => 'none')", CUSTOMERS)
    assert isinstance(alone, Wanted)
    assert alone.table == TableSettings(("id",), group="sales.loose")


def test_what_references_a_table_that_goes_has_to_be_empty() -> None:
    found = asked("create_distributed_table($1, $2)", FILE, FILE, "customers", "id")
    assert isinstance(found, Wanted), found
    assert found.rows_forbidden == (("public", "orders"),)


@pytest.mark.parametrize(
    ("sql", "settings", "file", "code"),
    [
        ("create_distributed_table('none', 'id')", FILE, FILE, "42P01"),
        ("create_distributed_table('customers', 'x')", FILE, FILE, "42703"),
        ("create_distributed_table('customers', 'id', 'range')", FILE, FILE, "0A000"),
        ("create_distributed_table('customers', 'id', 'hash', 'countries')", FILE, FILE, "55000"),
        ("create_distributed_table('customers', 'id')", CUSTOMERS, FILE, "55000"),
        ("create_distributed_table('customers', 'id')", CUSTOMERS, CUSTOMERS, "55000"),
        ("create_distributed_table('sales.loose', 'point')", FILE, FILE, "0A000"),
        ("create_distributed_table('orders', 'customer_id')", FILE, FILE, "0A000"),
        ("create_distributed_table('orders', 'name')", CUSTOMERS, FILE, "0A000"),
        ("create_reference_table('orders')", CUSTOMERS, FILE, "0A000"),
        ("create_reference_table(NULL)", FILE, FILE, "22004"),
        ("undistribute_table('customers')", FILE, FILE, "55000"),
        ("undistribute_table('customers', true)", CUSTOMERS, FILE, "0A000"),
    ],
)
def test_what_cannot_be_is_refused(sql: str, settings: ShardingSettings, file: ShardingSettings, code: str) -> None:
    found = asked(sql, settings, file)
    assert isinstance(found, Refusal), found
    assert found.sqlstate == code


def test_what_no_shard_can_keep_is_refused() -> None:
    found = asked("create_distributed_table('sales.loose', 'id')")
    assert isinstance(found, Wanted)
    assert why_not(found, TableDefinition(unique=[Unique("u", frozenset(("id", "x")))])) is None
    for definition, code in (
        (TableDefinition(unique=[Unique("u", frozenset(("x",)))]), "0A000"),
        (TableDefinition(actions=[Action("f", frozenset(("id",)))]), "0A000"),
        (TableDefinition(dependent=["v"]), "2BP01"),
        (TableDefinition(odd=["it is a partition"]), "0A000"),
    ):
        refusal = why_not(found, definition)
        assert refusal is not None
        assert refusal.sqlstate == code
        assert refusal.hint
