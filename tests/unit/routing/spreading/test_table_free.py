"""Which functions are proved to read no table."""

from __future__ import annotations

import pytest

from trunkline.routing.schema.catalog import Catalog, Function
from trunkline.routing.spreading.table_free import why_not_free_call

SQL = {
    "plain": "SELECT $1 + 1",
    "reads": "SELECT count(*) FROM t",
    "calls_reading": "SELECT reads($1)",
    "writes": "UPDATE t SET a = 1; SELECT 1",
    "counts": "SELECT nextval('s')",
    "calls_itself": "SELECT calls_itself($1 - 1)",
}
PLPGSQL = {
    "loops": "DECLARE n int := 0; BEGIN FOR i IN 1..x LOOP n := n + i; END LOOP; RETURN n; END",
    "looks": "BEGIN RETURN (SELECT max(a) FROM t); END",
    "runs": "BEGIN EXECUTE 'SELECT 1'; RETURN 1; END",
}
AGGREGATES = {"fine": "public.plain pg_catalog.int4pl", "sly": "public.reads"}


def catalog() -> Catalog:
    found = {}
    for language, bodies in (
        ("sql", SQL),
        ("plpgsql", PLPGSQL),
        ("plpython3u", {"other": "return 1"}),
        ("c", {"c": ""}),
    ):
        for name, body in bodies.items():
            found["public", name] = (Function("public", name, ("int4",), language=language, body=body),)
    for name, body in AGGREGATES.items():
        found["public", name] = (Function("public", name, ("int4",), kind="a", body=body),)
    return Catalog(functions=found)


CATALOG = catalog()


def why(name: str) -> str | None:
    found = why_not_free_call(CATALOG, ("public",), (None, name), 1)
    return found.reason if found is not None else None


@pytest.mark.parametrize("name", ["plain", "loops", "c", "fine", "abs", "no_such_function"])
def test_what_only_computes_is_free(name: str) -> None:
    assert why(name) is None


@pytest.mark.parametrize(
    "name, reason",
    [
        ("reads", "reads t"),
        ("calls_reading", "reads t"),
        ("writes", "no SELECT"),
        ("counts", "nextval()"),
        ("calls_itself", "too deep"),
        ("looks", "reads t"),
        ("runs", "not in its text"),
        ("other", "not in its text"),
        ("sly", "reads t"),
        ("dblink", "one of"),
        ("table_to_xml", "one shard"),
    ],
)
def test_what_may_read_a_table_is_named(name: str, reason: str) -> None:
    assert reason in (why(name) or "")
