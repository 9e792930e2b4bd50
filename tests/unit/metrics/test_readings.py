"""What metrics are read from: pools with their shards, databases, and no more than so many."""

from __future__ import annotations

import pytest

from trunkline.errors import ServerUnavailable
from trunkline.metrics import readings
from trunkline.metrics.families import FAMILIES
from trunkline.metrics.readings import Source, by_pool, failovers, is_paused, labels_of, limit_of, of_each, one, pins
from trunkline.pool.replica_watch import ReplicaWatch
from trunkline.pool.session_state import REASONS
from trunkline.proxy.instance import Instance
from trunkline.routing.session.session_effects import State


async def test_a_pool_is_told_by_what_clients_call_it_and_its_shard(instance: Instance) -> None:
    pools = instance.pools
    assert labels_of(pools.pool("app", "ann")) == ("app", "", "ann")
    assert labels_of(pools.pool("shop/s1", "ann")) == ("shop", "s1", "ann")
    assert labels_of(pools.pool("a/b", "ann")) == ("a/b", "", "ann")


async def test_databases_are_those_that_clients_ask_for(instance: Instance, source: Source) -> None:
    instance.pools.pool("found", "ann")
    instance.pools.pool("shop/s1", "ann")
    assert source.databases == ["app", "found", "shop"]


async def test_only_so_many_pools_are_told_and_always_the_same(
    instance: Instance, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readings, "MAX_POOLS", 2)
    for user in ("ann", "bob", "eve"):
        instance.pools.pool("app", user)
    assert [labels[2] for labels, _ in by_pool(lambda pool: 0)(source)] == ["ann", "bob"]


async def test_pins_are_told_by_their_reason_once_there_are_any(instance: Instance, source: Source) -> None:
    pool = instance.pools.pool("app", "ann")
    assert list(pins(source)) == []
    pool.sessions.pin_counts[State.LOCKS] += 2
    assert list(pins(source)) == [(("app", "", "ann", REASONS[State.LOCKS]), 2)]


async def test_a_pause_of_everything_pauses_every_database(instance: Instance) -> None:
    assert not is_paused(instance, "app")
    instance.pools.paused.add("app")
    assert is_paused(instance, "app")
    assert not is_paused(instance, "shop")
    instance.pools.paused.add("")
    assert is_paused(instance, "shop")


async def test_limits_are_those_in_force(source: Source) -> None:
    limits = dict(limit_of(lambda settings: settings.max_db_connections)(source))
    assert limits == {("app",): 30, ("shop",): 30}
    assert dict(limit_of(lambda settings: settings.pool_size)(source))[("app",)] == 3


async def test_one_number_or_one_for_each_word(instance: Instance, source: Source) -> None:
    assert list(one(lambda source: 7)(source)) == [((), 7)]
    assert list(of_each(lambda source: {"a": 1, "b": 2})(source)) == [(("a",), 1), (("b",), 2)]


async def test_servers_of_a_database_with_replicas_are_told_as_show_replicas_has_them(
    instance: Instance, source: Source, watched: ReplicaWatch
) -> None:
    instance.pools.pool("split/replica1", "ann").query_count = 4
    watched.failovers = 2
    for _ in range(5):
        instance.pools.breakers.not_opened("h2:5433", ServerUnavailable("gone"))
    told = {f.name.removeprefix("trunkline_"): dict(f.read(source)) for f in FAMILIES if "port" in f.labels}
    primary, replica = (("split", "", "h1", "5432"), ("split", "", "h2", "5433"))
    assert told == {
        "replica_up": {primary: 1, replica: 1},
        "replica_is_primary": {primary: 1, replica: 0},
        "replica_lag_seconds": {replica: 7},
        "replica_lag_bytes": {replica: 100},
        "replica_breaker_state": {primary: 0, replica: 2},
        "replica_reads": {primary: 0, replica: 4},
    }
    assert list(failovers(source)) == [(("split", ""), 2)]
