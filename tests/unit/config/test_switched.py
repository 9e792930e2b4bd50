"""What a switch makes of the configuration, and until when."""

from __future__ import annotations

from dataclasses import replace

from trunkline.config.address import ServerAddress
from trunkline.config.global_settings import Settings
from trunkline.config.settings import Config, DatabaseSettings
from trunkline.config.sharding import ShardingSettings, ShardSettings
from trunkline.config.switched import Switched, places, still_holding, switchable, with_switches

NEW, OLD, THIRD = ServerAddress("new"), ServerAddress("old"), ServerAddress("third")
APP = DatabaseSettings("app", hosts=("old",), user="u", password="p", replicas=(ServerAddress("new"), THIRD))
SHARDS = tuple(replace(APP, name=f"shop/s{n}", hosts=(f"h{n}",), replicas=()) for n in range(2))
SHARDING = ShardingSettings((ShardSettings("s0"), ShardSettings("s1")), "s1", (0, 1), {})
SHOP = replace(SHARDS[1], name="shop", sharding=SHARDING, shards=SHARDS)
PATTERN = replace(SHOP, name="t_*", shard_by="database", shards=tuple(replace(one, name="t_*") for one in SHARDS))


def config(*databases: DatabaseSettings) -> Config:
    return Config(Settings(), {one.name: one for one in databases}, {}, {}, "test")


def switched(
    database: DatabaseSettings, target: ServerAddress, former: ServerAddress | None = None
) -> DatabaseSettings:
    return with_switches(config(database), {database.name: Switched((("old", 5432),), target, former)}).databases["app"]


def test_what_has_a_primary_of_its_own_and_a_name_for_it_can_be_switched() -> None:
    assert set(switchable(config(APP, SHOP, PATTERN))) == {"app", "shop/s0", "shop/s1"}


def test_a_former_primary_takes_the_place_of_the_replica_that_replaces_it() -> None:
    found = switched(APP, NEW, OLD)
    assert (places(found), found.replicas) == ((("new", 5432),), (OLD, THIRD))
    assert switched(replace(APP, replicas=(THIRD,)), NEW, OLD).replicas == (THIRD, OLD)
    assert switched(replace(APP, replicas=(THIRD, OLD)), NEW, OLD).replicas == (THIRD, OLD)
    assert switched(replace(APP, replicas=()), NEW, OLD).replicas == ()


def test_the_replicas_of_another_cluster_are_none_of_the_new_one() -> None:
    assert switched(APP, NEW).replicas == ()


def test_all_hosts_of_a_database_are_replaced_and_its_user_stays() -> None:
    several = replace(APP, hosts=("a", "b"), ports=(1, 2))
    found = switched(several, ServerAddress("new", 7, dbname="other", user="admin", password="x"))
    assert (places(found), found.ports, found.dbname) == ((("new", 7),), (), "other")
    assert (found.user, found.password) == ("u", "p")
    assert switched(APP, ServerAddress("new", user="u", password="x")).password == "x"


def test_a_shard_is_switched_alone_and_the_home_shards_address_is_the_databases() -> None:
    found = with_switches(config(SHOP), {"shop/s1": Switched((("h1", 5432),), NEW)}).databases["shop"]
    assert [one.hosts for one in found.shards] == [("h0",), ("new",)]
    assert (found.hosts, found.name, found.sharding) == (("new",), "shop", SHARDING)


def test_a_switch_holds_as_long_as_the_primary_of_then_is_named() -> None:
    made = {"app": Switched((("old", 5432),), NEW)}
    assert still_holding(config(replace(APP, pool_size=3)), made) == made
    assert still_holding(config(replace(APP, hosts=("new",))), made) == {}
    assert still_holding(config(SHOP), made) == {}
