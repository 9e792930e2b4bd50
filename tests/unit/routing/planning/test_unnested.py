"""Rows that are given as arrays go where the elements of one array say, if that is certain."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.unit.routing.golden_shop import CATALOG, SHARDING
from trunkline.routing.planning.planner import plan
from trunkline.routing.plans.plan import Fixed, InArray, Literal, Parameter, RoutePlan, Verdict
from trunkline.routing.schema.catalog import Catalog, Function

RELATIONS = {
    name: replace(one, columns=tuple(replace(column, not_null=True) for column in one.columns))
    for name, one in CATALOG.relations.items()
}


def planned(sql: str, catalog: Catalog | None = None, path: tuple[str, ...] = ("public",)) -> RoutePlan:
    return plan(sql.encode(), catalog or Catalog(RELATIONS, CATALOG.functions), SHARDING, path)


@pytest.mark.parametrize(
    ("sql", "array"),
    [
        ("INSERT INTO orders (customer_id, id) SELECT * FROM unnest($1::int8[], $2::int8[])", Parameter(1, "int8[]")),
        (
            "INSERT INTO orders (id, customer_id) SELECT * FROM pg_catalog.unnest($1::int4[], $2::int4[]) u",
            Parameter(2, "int4[]"),
        ),
        ("INSERT INTO items SELECT * FROM UNNEST(($1)::int8[], ($2)::integer[])", Parameter(2, "int4[]")),
        (
            "INSERT INTO orders (status, customer_id) SELECT * FROM UNNEST(('{a}')::text[], ('{5}'::int2[])::bigint[])"
            " ON CONFLICT DO NOTHING RETURNING id",
            Literal(80, "int2[]"),
        ),
        (
            "INSERT INTO docs (id, body, tenant) SELECT * FROM unnest($1::json[], $2::text[], $3::uuid[])",
            Parameter(3, "uuid[]"),
        ),
    ],
)
def test_the_keys_are_the_elements_of_the_array_in_their_place(sql: str, array: Literal | Parameter) -> None:
    found = planned(sql)
    assert found.verdict is Verdict.ROUTED
    assert isinstance(found.where, InArray) and found.where.array == array
    assert found.unless_single is not None and "given as arrays" in found.unless_single.reason


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO orders (customer_id) SELECT * FROM unnest($1::numeric[])",
        "INSERT INTO orders (customer_id) SELECT * FROM unnest($1)",
        "INSERT INTO orders (customer_id) SELECT * FROM unnest(ARRAY[1, 2])",
        "INSERT INTO orders (customer_id) SELECT * FROM unnest($1::text::int8[])",
        "INSERT INTO orders (customer_id) SELECT * FROM unnest($1::int8)",
        "INSERT INTO orders (customer_id) SELECT * FROM generate_series(1, 2)",
        "INSERT INTO orders (customer_id) SELECT * FROM other.unnest($1::int8[])",
        "INSERT INTO orders (customer_id) SELECT u + 1 FROM unnest($1::int8[]) u",
        "INSERT INTO orders (customer_id) SELECT * FROM unnest($1::int8[]), unnest($2::int8[])",
        "INSERT INTO orders (customer_id, id) SELECT * FROM unnest($1::int8[]) WITH ORDINALITY",
        "INSERT INTO orders (customer_id, id) SELECT * FROM ROWS FROM (unnest($1::int8[]), unnest($2::int8[]))",
        "INSERT INTO orders (customer_id) SELECT * FROM unnest($1::int8[]) LIMIT 1",
        "INSERT INTO orders (customer_id) SELECT DISTINCT * FROM unnest($1::int8[])",
        "INSERT INTO orders (customer_id) SELECT * FROM unnest($1::int8[]) u WHERE u > 1",
        "INSERT INTO orders (customer_id) SELECT * FROM unnest($1::int8[]) UNION SELECT 1",
        "INSERT INTO orders (id, status, customer_id) SELECT * FROM unnest($1::items[], $2::int8[])",
        "INSERT INTO orders (id) SELECT * FROM unnest($1::int8[])",
        "INSERT INTO metrics (org, project) SELECT * FROM unnest($1::text[], $2::int4[])",
    ],
)
def test_rows_whose_keys_are_not_certain_are_read_before_they_are_inserted(sql: str) -> None:
    found = planned(sql)
    assert (found.verdict, found.where, found.moves) == (Verdict.ROUTED, Fixed(SHARDING.every), True)


def test_a_key_that_may_be_null_is_not_certain_since_short_arrays_are_filled_up_with_null() -> None:
    sql = "INSERT INTO orders (customer_id, id) SELECT * FROM unnest($1::int8[], $2::int8[])"
    assert planned(sql, CATALOG).moves


def test_a_function_of_that_name_or_a_type_before_postgresqls_own_is_not_certain() -> None:
    sql = "INSERT INTO orders (customer_id) SELECT * FROM unnest($1::int8[])"
    functions = {**CATALOG.functions, ("pg_catalog", "unnest"): (Function("pg_catalog", "unnest", ("anyarray",)),)}
    assert isinstance(planned(sql, Catalog(RELATIONS, functions)).where, InArray)
    functions["public", "unnest"] = (Function("public", "unnest", ("int8[]",), language="sql", body="SELECT 1"),)
    for found in (planned(sql, Catalog(RELATIONS, functions)), planned(sql, path=("public", "pg_catalog"))):
        assert (found.where, found.moves) == (Fixed(SHARDING.every), True)


def test_other_tables_are_planned_as_before() -> None:
    found = planned("INSERT INTO logs SELECT * FROM unnest($1::int8[], $2::text[])")
    assert found.verdict is Verdict.HOME
