"""Servers of databases whose reads are split are parts of their database, with names that no client may ask for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from trunkline.config.address import ServerAddress
from trunkline.config.global_settings import Settings
from trunkline.config.parts import family_of, parts_of, servers_of
from trunkline.config.settings import Config, DatabaseSettings
from trunkline.config.sharding import ShardingSettings, ShardSettings

APP = DatabaseSettings(
    "app",
    hosts=("h1",),
    user="u",
    password="p",
    replicas=(ServerAddress("h2", 5433), ServerAddress("h3", dbname="other", user="reader", password="r")),
    reads="replica",
    pool_size=7,
)
S0, S1 = (replace(APP, name=f"shop/{name}") for name in ("s0", "s1"))
SHOP = replace(
    APP,
    name="shop",
    sharding=ShardingSettings((ShardSettings("s0"), ShardSettings("s1")), "s0", (0, 1)),
    shards=(S0, replace(S1, reads="primary")),
)
CONFIG = Config(Settings(), {"app": APP, "shop": SHOP, "a/b": replace(APP, name="a/b", replicas=())}, {}, {}, "test")


def test_a_server_is_a_database_with_the_settings_of_the_whole() -> None:
    named, first, second = servers_of(APP)
    assert [str(one.addresses[0]) for one in (named, first, second)] == ["h1:5432", "h2:5433", "h3:5432"]
    assert (named.name, named.user, named.answers_reads) == ("app/primary", "u", True)
    assert (first.name, first.user, first.password, first.pool_size) == ("app/replica1", "u", "p", 7)
    assert (second.name, second.dbname, second.user) == ("app/replica2", "other", "reader")
    assert not first.splits_reads


def test_several_that_the_settings_call_primary_are_numbered() -> None:
    found = servers_of(replace(APP, hosts=("h1", "h4"), ports=(5432, 5434)))
    assert {one.name.removeprefix("app/"): str(one.addresses[0]) for one in found} == {
        "primary1": "h1:5432", "primary2": "h4:5434", "replica1": "h2:5433", "replica2": "h3:5432",
    }  # fmt: skip


def test_a_database_whose_reads_are_the_primarys_has_no_parts() -> None:
    assert servers_of(replace(APP, reads="primary")) == ()


def test_parts_are_found_by_their_names_and_known_by_their_family() -> None:
    assert [one.name for one in parts_of(CONFIG, "app")] == ["app/primary", "app/replica1", "app/replica2"]
    assert [one.name for one in parts_of(CONFIG, "shop")] == [
        "shop/s0", "shop/s0/primary", "shop/s0/replica1", "shop/s0/replica2", "shop/s1",
    ]  # fmt: skip
    for name in ("app/primary", "app/replica1", "shop/s0", "shop/s0/replica2"):
        found = CONFIG.shard(name)
        assert found is not None and found.name == name and CONFIG.database(name) == found
    assert CONFIG.shard("app") is None and CONFIG.shard("shop/s1/replica1") is None


@pytest.mark.parametrize(
    ("name", "family"),
    [("app", "app"), ("app/replica2", "app"), ("shop/s0/replica1", "shop"), ("a/b", "a/b"), ("no/where", "no/where")],
)
def test_a_family(name: str, family: str) -> None:
    assert family_of(CONFIG, name) == family
