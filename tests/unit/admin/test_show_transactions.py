"""SHOW TRANSACTIONS and RESOLVE: what is told of a transaction over several shards."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from trunkline.admin.commands import Request
from trunkline.admin.show_transactions import resolve, show_transactions
from trunkline.config.toml_file import load
from trunkline.errors import AdminSyntaxError
from trunkline.execution.spread.names import Name
from trunkline.execution.spread.recovery import Case, Doubt
from trunkline.proxy.instance import Instance

CONFIG = """
auth_type = "trust"
[[databases.shop.shards]]
name = "s0"
primary = "postgres://h0/shop"
[[databases.shop.shards]]
name = "s1"
primary = "postgres://h1/shop"
"""


@pytest.fixture
def sharded(instance: Instance, tmp_path: Path) -> Instance:
    path = tmp_path / "shards.toml"
    path.write_text(CONFIG)
    instance.config = instance.pools.config = replace(instance.config, databases=load(path).databases)
    return instance


async def test_what_is_in_doubt_is_told_with_its_shard_and_why(sharded: Instance) -> None:
    name = Name("0" * 12, "0" * 8, 1, 1, 3, 0)
    coordination = sharded.routers.coordinations.of("shop")
    coordination.recovery.doubts = (Doubt(name.at(1), name, 1, "alice", 61.5, Case.FOREIGN),)
    row = ("shop", name.at(1), "in doubt", "s1", "alice", 61, Case.FOREIGN.value)
    assert list(show_transactions(sharded)) == [row]


@pytest.mark.parametrize("words", [(), ("name",), ("name", "PERHAPS"), ("nothing", "COMMIT")])
async def test_resolve_needs_a_name_that_is_there_and_a_word(sharded: Instance, words: tuple[str, ...]) -> None:
    identity = object()
    with pytest.raises(AdminSyntaxError):
        await resolve(Request(sharded, identity, words=words))  # type: ignore[arg-type]
