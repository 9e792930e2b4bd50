"""Which indexes a copy of a table gets."""

from __future__ import annotations

from trunkline.execution.spread.gather_fill import indexed
from trunkline.routing.keys.sharding import Kind
from trunkline.routing.schema.catalog import Column, ForeignKey, Relation
from trunkline.routing.spreading.gathering import Gathered

ORDERS = Relation(
    "public",
    "orders",
    columns=(Column("id", "int8"), Column("customer_id", "int8"), Column("product", "int8")),
    keys=(("customer_id", "id"),),
    foreign_keys=(
        ForeignKey(("customer_id",), ("public", "customers"), ("id",)),
        ForeignKey(("product",), ("public", "products"), ("id",)),
    ),
)


def gathered(*columns: str) -> Gathered:
    return Gathered(ORDERS, Kind.SHARDED, tuple(one for one in ORDERS.columns if one.name in columns), (0,), 0b11)


def test_keys_and_what_refers_to_keys_are_indexed_where_their_columns_came() -> None:
    assert indexed(gathered("id", "customer_id", "product")) == [("customer_id", "id"), ("customer_id",), ("product",)]
    assert indexed(gathered("id", "product")) == [("product",)]


def test_a_copy_is_named_in_pg_temp_and_its_source_in_full() -> None:
    table = gathered("id")
    assert (table.copy, table.source, table.column_list) == ('"pg_temp"."orders"', '"public"."orders"', '"id"')
