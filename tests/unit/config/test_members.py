"""What was found elsewhere, laid over what the file says."""

from __future__ import annotations

from dataclasses import replace

from tests.unit.config.test_switched import APP, SHARDS, SHOP, config
from trunkline.config.address import ServerAddress
from trunkline.config.members import Members, with_members

FOUND = Members((("old", 5432), ("third", 5432), ("fourth", 7)), frozenset({("old", 5432), ("fourth", 7)}))
OWN = (ServerAddress("new", weight=3), ServerAddress("third", zone="eu"))
FILE = replace(APP, replicas=OWN, patroni=("http://p",))


def test_members_come_behind_the_replicas_of_the_settings_each_once() -> None:
    found = with_members(config(FILE), {"app": FOUND}).databases["app"]
    assert found.replicas == (*OWN, ServerAddress("fourth", 7))
    assert found.unread == ("fourth:7", "old:5432")


def test_a_database_whose_patroni_is_not_asked_any_more_has_none() -> None:
    assert with_members(config(replace(FILE, patroni=())), {"app": FOUND}) == config(replace(FILE, patroni=()))
    assert with_members(config(FILE), {}) == config(FILE)


def test_each_shard_has_its_own() -> None:
    asked = tuple(replace(one, patroni=("http://p",)) for one in SHARDS)
    shop = replace(SHOP, shards=asked)
    found = with_members(config(shop), {"shop/s0": FOUND, "shop/s9": FOUND}).databases["shop"]
    assert [len(one.replicas) for one in found.shards] == [3, 0]
