"""The demo's configuration is right in itself, and rows are made where it says that they lie."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

import pytest

from trunkline.config.settings import Config
from trunkline.config.sharding import ShardingSettings
from trunkline.config.target import read_target
from trunkline.demo.databases import (
    ACCOUNTS_OF_BRANCH,
    BRANCHES,
    SHARDS,
    TENANTS,
    TPCB_OF_BRANCH,
    bench_rows,
    configuration,
    shop_rows,
    tenants_of,
)

SERVERS = [("127.0.0.1:1", "127.0.0.1:2"), ("127.0.0.1:3", "127.0.0.1:4")]


@pytest.fixture
def config(tmp_path: Path) -> Config:
    path = tmp_path / "trunkline.toml"
    path.write_text(f'auth_type = "trust"\n{configuration(SERVERS)}')
    return read_target(str(path), {})


def sharding_of(config: Config, name: str) -> ShardingSettings:
    sharding = config.databases[name].sharding
    assert sharding is not None
    return sharding


def test_the_plain_database_and_its_replica_are_on_the_first_shards_servers(config: Config) -> None:
    assert (config.databases["app"].port, config.databases["app_replica"].port) == (1, 2)
    assert config.databases["app"].sharding is None


@pytest.mark.parametrize("name", ["bench", "shop"])
def test_each_shard_has_its_primary_and_its_replica(config: Config, name: str) -> None:
    assert sharding_of(config, name).shard_names() == SHARDS
    assert [shard.addresses[0].port for shard in config.shards_of(name)] == [1, 3]
    assert [shard.replicas[0].port for shard in config.shards_of(name)] == [2, 4]


def test_ranges_end_where_a_branch_ends(config: Config) -> None:
    ends = {name: table.ranges[0].high for name, table in sharding_of(config, "bench").tables.items()}
    assert ends == {
        "pgbench_branches": str(BRANCHES // 2 + 1),
        "pgbench_tellers": str(BRANCHES // 2 * 10 + 1),
        "pgbench_accounts": str(BRANCHES // 2 * ACCOUNTS_OF_BRANCH + 1),
        "pgbench_history": str(BRANCHES // 2 + 1),
    }


def test_each_shard_has_its_own_branches() -> None:
    first, second = bench_rows(0, "demo"), bench_rows(1, "demo")
    assert "generate_series(1, 2) b" in first
    assert "generate_series(3, 4) b" in second


def test_the_transaction_takes_account_and_teller_of_its_branch() -> None:
    assert "random((:bid - 1) * 100000 + 1, :bid * 100000)" in TPCB_OF_BRANCH
    assert "random((:bid - 1) * 10 + 1, :bid * 10)" in TPCB_OF_BRANCH


def test_every_tenant_is_on_one_shard_and_none_is_empty(config: Config) -> None:
    bucket_map = sharding_of(config, "shop").bucket_map
    found = [tenants_of(shard, bucket_map) for shard in range(len(SHARDS))]
    assert all(found)
    assert sorted(chain.from_iterable(found)) == list(range(1, TENANTS + 1))


def test_only_the_home_shard_has_the_home_table(config: Config) -> None:
    sharding = sharding_of(config, "shop")
    assert ["signups" in shop_rows(shard, "demo", sharding) for shard in range(len(SHARDS))] == [True, False]
    assert "signups" not in sharding.tables
    assert sharding.tables["countries"].reference
