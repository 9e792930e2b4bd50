"""Tables by their names: schemas, search paths, partitions, and what the catalog does not know."""

from __future__ import annotations

from tests.unit.routing.golden_shop import CATALOG, SHARDING
from trunkline.routing.keys.sharding import Kind
from trunkline.routing.planning.analysis import Analysis
from trunkline.routing.planning.commands import bind_statement
from trunkline.routing.planning.queries import bind_select
from trunkline.routing.planning.writes import bind_write


def analysis(*search_path: str) -> Analysis:
    return Analysis(b"", CATALOG, SHARDING, search_path, bind_select, bind_write, bind_statement)


def test_the_search_path_decides() -> None:
    assert analysis("public").find(None, "orders").rule.kind is Kind.SHARDED
    assert analysis("sales", "public").find(None, "orders").rule.kind is Kind.HOME
    assert analysis("acme").find(None, "invoices").shard == 1


def test_a_partition_has_its_parents_rule() -> None:
    assert analysis("public").find(None, "readings_2024").rule.columns == ("device",)


def test_what_the_catalog_does_not_know_is_what_the_configuration_says() -> None:
    found = analysis("public").find(None, "new_sharded")
    assert found.rule.kind is Kind.SHARDED
    assert found.columns == {"customer_id": "int8"}
    assert analysis("public").find(None, "nothing").rule.kind is Kind.HOME


def test_an_operator_may_be_hidden_by_a_schema_before_pg_catalog() -> None:
    assert analysis("public").trusts_names
    assert analysis("pg_catalog", "public").trusts_names
    assert not analysis("public", "pg_catalog").trusts_names
