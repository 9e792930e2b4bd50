"""SHOW REPLICAS: a row for each server, with what has been found out of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from trunkline.admin import columns
from trunkline.admin.show_replicas import NOBODY, show_replicas
from trunkline.config.toml_file import load
from trunkline.errors import ServerUnavailable
from trunkline.pool.topology import Observation, Sight
from trunkline.proxy.instance import Instance

CONFIG = """
auth_type = "trust"
[databases.app]
primary = "postgres://h1/app"
replicas = [{ url = "postgres://h2:5433", weight = 3, zone = "eu-1" }]
reads = "replica"
[databases.alone]
host = "h"
[[databases.shop.shards]]
name = "s0"
primary = "postgres://watcher:w@h3/shop"
replicas = ["postgres://h4"]
"""


@pytest.fixture
async def watched(instance: Instance, tmp_path: Path) -> Instance:
    """Nobody is really asked: what servers say is the test's to say."""
    path = tmp_path / "replicas.toml"
    path.write_text(CONFIG)
    instance.config = instance.pools.config = replace(instance.config, databases=load(path).databases)
    instance.replicas.reconfigure()
    for watch in instance.replicas:
        watch.stop()
    return instance


def named(instance: Instance) -> list[dict[str, Any]]:
    names = [name for name, _ in columns.REPLICAS]
    return [dict(zip(names, row, strict=True)) for row in show_replicas(instance)]


async def test_every_server_of_a_database_with_replicas_has_a_row(watched: Instance) -> None:
    assert [(r["database"], r["shard"], r["host"], r["port"], r["role"], r["state"]) for r in named(watched)] == [
        ("app", "", "h1", 5432, "", "unseen"),
        ("app", "", "h2", 5433, "", "unseen"),
        ("shop", "s0", "h3", 5432, "", "unseen"),
        ("shop", "s0", "h4", 5432, "", "unseen"),
    ]


async def test_it_is_said_when_nobody_can_be_logged_in_as(watched: Instance) -> None:
    assert [row["error"] for row in named(watched)] == [NOBODY, NOBODY, "", ""]
    watched.pools.pool("app", "ann")
    assert [row["error"] for row in named(watched)] == ["", "", "", ""]


async def test_what_was_found_is_shown_with_its_age(watched: Instance) -> None:
    watch = next(iter(watched.replicas))
    now = watched.pools.now
    watch.heard("h1:5432", Sight(Observation(now - 9, False, 2, 7, 1, written=0x1_0000_0010)))
    watch.heard("h1:5432", Sight(Observation(now - 4, False, 2, 7, 1, written=0x1_0000_0100)))
    watch.heard("h2:5433", Sight(Observation(now - 3, True, 2, 7, 2, replayed=0x1_0000_0080), "no answer within 3 s"))
    primary, replica, *_ = named(watched)
    assert (primary["role"], primary["state"], primary["lsn"], primary["error"]) == ("primary", "up", "1/100", "")
    assert (primary["lag_ms"], primary["lag_bytes"]) == (None, None)
    assert 4000 <= primary["seen_ms"] < 34000
    assert (replica["role"], replica["state"], replica["timeline"]) == ("replica", "unreachable", 2)
    assert (replica["lsn"], replica["lag_ms"], replica["lag_bytes"]) == ("1/80", 6000, 0x80)
    assert replica["error"] == "no answer within 3 s"


async def test_what_reads_are_to_a_server_is_shown_of_all_users(watched: Instance) -> None:
    for user in ("ann", "bob"):
        watched.pools.pool("app/replica1", user).query_count += 2
    watched.pools.pool("app", "ann").query_count += 100
    for _ in range(watched.config.settings.breaker_failures):
        watched.pools.breakers.not_opened("h2:5433", ServerUnavailable("cannot connect to the server"))
    shown = [tuple(row.values())[-6:] for row in named(watched)]
    assert shown[:2] == [("closed", 0, 1, "", 0, 0), ("open", 5, 3, "eu-1", 0, 4)]
