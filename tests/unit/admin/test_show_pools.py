"""SHOW POOLS, DATABASES, USERS, LISTS from the objects of an instance."""

from __future__ import annotations

from typing import Any

from trunkline.admin import columns
from trunkline.admin.result import Row
from trunkline.admin.show_pools import show_databases, show_lists, show_pools, show_users
from trunkline.proxy.instance import Instance


def named(row: Row, table: columns.Columns) -> dict[str, Any]:
    return {name: value for (name, _), value in zip(table, row, strict=True)}


async def test_every_pool_has_a_row_and_so_has_the_console(instance: Instance) -> None:
    instance.pools.pool("other", "ann")
    instance.pools.pool("app", "ann")
    rows = [named(row, columns.POOLS) for row in show_pools(instance)]
    assert [(row["database"], row["user"]) for row in rows] == [
        ("app", "forced"),
        ("other", "ann"),
        ("pgbouncer", "pgbouncer"),
    ]
    assert [row["pool_mode"] for row in rows] == ["transaction", "statement", "statement"]
    assert [row["load_balance_hosts"] for row in rows] == ["round-robin", None, None]
    assert all(isinstance(value, int) for row in rows for value in list(row.values())[2:15])


async def test_databases_are_those_of_the_configuration_and_those_found(instance: Instance) -> None:
    instance.pools.pool("other", "ann")
    await instance.pause("other")
    rows = {row["name"]: row for row in (named(row, columns.DATABASES) for row in show_databases(instance))}
    assert list(rows) == ["app", "other", "shop", "pgbouncer"]
    app, other, shop = rows["app"], rows["other"], rows["shop"]
    assert (app["host"], app["port"], app["database"], app["force_user"]) == ("h1,h2", 5432, "real", "forced")
    assert (app["pool_size"], app["pool_mode"], app["load_balance_hosts"]) == (3, None, "round-robin")
    assert (other["host"], other["database"], other["force_user"], other["paused"]) == ("wild", "other", None, 1)
    assert (shop["pool_size"], shop["pool_mode"], shop["disabled"], shop["paused"]) == (20, "session", 1, 0)


async def test_a_pause_of_everything_pauses_every_database(instance: Instance) -> None:
    await instance.pause()
    rows = [named(row, columns.DATABASES) for row in show_databases(instance)]
    assert {row["name"] for row in rows if row["paused"]} == {"app", "shop"}


async def test_users_are_those_of_the_configuration_and_those_of_pools(instance: Instance) -> None:
    instance.pools.pool("app", "whoever")
    rows = {row["name"]: row for row in (named(row, columns.USERS) for row in show_users(instance))}
    assert list(rows) == ["ann", "bob", "forced"]
    ann, bob = rows["ann"], rows["bob"]
    assert (ann["pool_size"], ann["pool_mode"], ann["max_user_connections"]) == ("9", "statement", 2)
    assert (bob["pool_size"], bob["pool_mode"], bob["max_user_connections"]) == ("", None, 7)


async def test_lists_have_pgbouncers_rows_and_no_others(instance: Instance) -> None:
    instance.pools.pool("app", "ann")
    counts = dict(show_lists(instance))
    assert " ".join(counts) == (
        "databases users peers pools peer_pools free_clients used_clients login_clients free_servers used_servers "
        "dns_names dns_zones dns_queries dns_pending"
    )
    assert (counts["databases"], counts["users"], counts["pools"]) == (3, 3, 2)
