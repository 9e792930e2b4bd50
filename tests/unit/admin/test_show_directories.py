"""SHOW DIRECTORIES, of databases that somebody has used."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from trunkline.admin import columns
from trunkline.admin.show_directories import show_directories
from trunkline.config.toml_file import load
from trunkline.proxy.instance import Instance
from trunkline.routing.keys.sharding_builder import build
from trunkline.routing.schema.catalog import Catalog, Column, Relation

CONFIG = """
auth_type = "trust"
[databases.shop]
shards = [{ name = "s0", primary = "postgres://h0/shop" }]
[databases.shop.tables]
accounts = { shard_by = "id", method = "lookup", lookup = { table = "places", key = "id", shard = "shard" } }
bills = { shard_by = "id", colocated_with = "accounts" }
customers = { shard_by = "id" }
[databases.unused]
shards = [{ name = "s0", primary = "postgres://h0/unused" }]
"""


async def test_each_directory_says_how_much_is_known_of_it(instance: Instance, tmp_path: Path) -> None:
    path = tmp_path / "shards.toml"
    path.write_text(CONFIG)
    databases = {**instance.config.databases, **load(path).databases}
    instance.config = instance.pools.config = replace(instance.config, databases=databases)
    assert list(show_directories(instance)) == []
    settings = databases["shop"].sharding
    assert settings is not None
    names = ("accounts", "bills", "customers", "places")
    catalog = Catalog({("public", name): Relation("public", name, columns=(Column("id", "int8"),)) for name in names})
    watch = instance.routers.watch_of("shop")
    watch._built = build(settings, catalog)
    directory = watch.built.directories["accounts"].directory
    directory.learn(7, 0)
    directory.learn_absent(8, "gone")
    [shown] = show_directories(instance)
    assert shown == ("shop", "places", "accounts, bills", 1, 1, 0, 0, 0)
    assert len(shown) == len(columns.DIRECTORIES)
