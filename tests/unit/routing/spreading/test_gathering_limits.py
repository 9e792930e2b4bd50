"""Functions and policies in statements over gathered rows."""

from __future__ import annotations

import pytest

from tests.unit.routing.spreading.asking import gathered, refused, with_functions, with_relations
from trunkline.routing.schema.catalog import Column, Function, Relation


def test_a_function_that_reads_a_table_is_refused_and_one_that_computes_is_not() -> None:
    reads = Function("public", "f", ("int8",), language="sql", body="SELECT max(id) FROM logs WHERE id < $1")
    computes = Function("public", "f", ("int8",), language="sql", body="SELECT $1 * 2")
    assert "reads logs" in refused("SELECT f(id) FROM orders", with_functions(reads))
    assert gathered("SELECT f(id) FROM orders", with_functions(computes))


def test_a_column_that_may_be_a_call_is_looked_at_as_one() -> None:
    reads = Function("public", "spent", ("orders",), language="sql", body="SELECT count(*) FROM logs")
    assert "reads logs" in refused("SELECT o.spent FROM orders o", with_functions(reads))


@pytest.mark.parametrize(
    "sql, asks",
    [
        ("SELECT now() FROM orders", "now()"),
        ("SELECT 1 FROM orders WHERE day = CURRENT_DATE", "CURRENT_DATE"),
        ("SELECT LOCALTIMESTAMP(3) FROM orders", "LOCALTIMESTAMP_N"),
        ("SELECT 1 FROM orders WHERE day = 'Today'", "'Today'"),
        ("SELECT CURRENT_USER, clock_timestamp() FROM orders", ""),
    ],
)
def test_what_is_asked_of_the_transaction_itself_is_known(sql: str, asks: str) -> None:
    assert gathered(sql).of_transaction == asks


def test_a_policy_without_queries_is_asked_where_the_rows_are() -> None:
    plain = Relation("public", "loose", columns=(Column("name", "text"),), policies=("(name = CURRENT_USER)",))
    assert gathered("SELECT * FROM loose", with_relations(plain))


def test_a_policy_that_asks_a_reference_table_is_right_at_each_shard() -> None:
    policy = "(name IN ( SELECT countries.name FROM countries))"
    plain = Relation("public", "loose", columns=(Column("name", "text"),), policies=(policy,))
    assert gathered("SELECT * FROM loose", with_relations(plain))
