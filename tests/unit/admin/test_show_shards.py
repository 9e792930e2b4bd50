"""SHOW SHARDS, SHOW TABLES and SHOW DRIFT."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from trunkline.admin import columns
from trunkline.admin.show_shards import show_drift, show_shards, show_tables
from trunkline.config.toml_file import load
from trunkline.proxy.instance import Instance

CONFIG = """
auth_type = "trust"
[databases.shop]
buckets = 3
[[databases.shop.shards]]
name = "s0"
primary = "postgres://h0:5000/shop"
[[databases.shop.shards]]
name = "s1"
primary = "postgres://h1/other"
[databases.shop.tables]
customers = { shard_by = "id" }
orders = { shard_by = ["customer"], colocated_with = "customers" }
countries = { reference = true }
events = { shard_by = "region", method = "list", lists = { s1 = ["eu"] } }
days = { shard_by = "at", method = "range", ranges = [{ to = 5, shard = "s1" }], default = "s0" }
legacy = { shard_by = "id", method = "modulo" }
[databases.plain]
host = "h"
"""


@pytest.fixture
def sharded(instance: Instance, tmp_path: Path) -> Instance:
    path = tmp_path / "shards.toml"
    path.write_text(CONFIG)
    databases = {**instance.config.databases, **load(path).databases}
    instance.config = instance.pools.config = replace(instance.config, databases=databases)
    return instance


async def test_each_shard_says_where_it_is_and_how_many_buckets_it_has(sharded: Instance) -> None:
    assert list(show_shards(sharded)) == [
        ("shop", "s0", "h0", 5000, "shop", 1, 2, 0, 0, 0, 0),
        ("shop", "s1", "h1", 5432, "other", 0, 1, 0, 0, 0, 0),
    ]


async def test_each_table_says_by_which_rule_it_lies_where(sharded: Instance) -> None:
    assert list(show_tables(sharded)) == [
        ("shop", "customers", "sharded", "id", "hash", "customers", "s0, s1"),
        ("shop", "orders", "sharded", "customer", "hash", "customers", "s0, s1"),
        ("shop", "countries", "reference", "", "", "", "s0, s1"),
        ("shop", "events", "sharded", "region", "list", "events", "s1"),
        ("shop", "days", "sharded", "at", "range", "days", "s0, s1"),
        ("shop", "legacy", "sharded", "id", "modulo", "legacy", "s0, s1"),
    ]


async def test_nothing_is_said_of_a_catalog_that_nobody_has_read(sharded: Instance) -> None:
    assert list(show_drift(sharded)) == []


async def test_there_is_a_value_for_every_column(sharded: Instance) -> None:
    assert {len(row) for row in show_shards(sharded)} == {len(columns.SHARDS)}
    assert {len(row) for row in show_tables(sharded)} == {len(columns.TABLES)}
