"""What was declared, beside what the configuration file says."""

from __future__ import annotations

from trunkline.config.sharding import ShardingSettings, ShardSettings, TableSettings
from trunkline.routing.schema.declared import Declared, merged, read, written

SETTINGS = ShardingSettings(
    (ShardSettings("a"), ShardSettings("b")), "a", (0, 1),
    {"customers": TableSettings(("id",), group="customers")},
)  # fmt: skip


def test_rows_are_tables_in_their_order() -> None:
    rows = [("4", "public.b", '["x"]', "public.b"), ("4", "s.a", "[]", "s.a")]
    found = read(rows)
    assert found.epoch == 4
    assert list(found.tables) == ["public.b", "s.a"]
    assert found.tables["public.b"].shard_by == ("x",)
    assert found.tables["s.a"].reference
    assert read([("7", None, None, None)]) == Declared(7)


def test_the_file_goes_before_and_is_joined_by_its_own_names() -> None:
    declared = Declared(
        1,
        {
            "public.customers": TableSettings(("other",), group="public.customers"),
            "public.orders": TableSettings(("customer_id",), group="customers"),
        },
    )
    found, problems = merged(SETTINGS, declared)
    assert found.tables["customers"].shard_by == ("id",)
    assert found.tables["public.orders"].group == "customers"
    assert len(problems) == 1
    assert "public.customers" in problems[0]
    assert written(found, "public.orders") is found.tables["public.orders"]
    assert written(found, "public.customers") is found.tables["customers"]
    assert written(found, "other.customers") is None


def test_a_group_outlives_its_first_table() -> None:
    tables = {name: TableSettings(("id",), group="public.gone") for name in ("public.one", "public.two")}
    found, _ = merged(SETTINGS, Declared(1, tables))
    assert {found.tables[name].group for name in tables} == {"public.one"}
