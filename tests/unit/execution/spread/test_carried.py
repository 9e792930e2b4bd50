"""Which columns add up to the number that tells whether rows are those that were read."""

from __future__ import annotations

from trunkline.execution.spread.carried import sum_of
from trunkline.routing.keys.sharding import Kind
from trunkline.routing.schema.catalog import Column, Relation
from trunkline.routing.spreading.gathering import Gathered


def test_the_sum_depends_on_each_value_and_on_no_setting() -> None:
    columns = (Column("a", "int8"), Column("b c", "timestamptz"))
    table = Gathered(Relation("public", "t", columns=columns), Kind.SHARDED, columns, (), 0b11)
    row = 'pg_catalog.record_send(ROW("a", "b c"))'
    assert sum_of(table) == f"pg_catalog.hashtextextended(pg_catalog.encode({row}, 'hex'), 0)"
