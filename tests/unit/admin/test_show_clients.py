"""SHOW CLIENTS and SHOW SERVERS for what needs no server; leases are seen in the integration tests."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.integration.waiting import wait_until
from trunkline.admin import columns
from trunkline.admin.result import Row
from trunkline.admin.show_clients import show_clients, show_servers
from trunkline.admin.show_pools import show_pools
from trunkline.config.address import ServerAddress
from trunkline.pool.server import ServerLink
from trunkline.protocol.params import Params
from trunkline.proxy.client import ClientLink
from trunkline.proxy.identity import Identity, Peer
from trunkline.proxy.instance import Instance


def named(row: Row) -> dict[str, Any]:
    return {name: value for (name, _), value in zip(columns.SOCKETS, row, strict=True)}


def client(instance: Instance, kind: str, peer: Peer) -> ClientLink:
    link = ClientLink(instance.engine)
    link.session = identity = Identity(instance.clients, peer)
    identity.user, identity.database = "ann", "app"
    instance.clients.register(link, identity, kind, 4)
    return link


async def test_a_client_without_a_server_is_idle(instance: Instance) -> None:
    link = client(instance, "client", Peer(("10.0.0.9", 5000), ("10.0.0.1", 6432)))
    link.params = Params.of({b"application_name": b"shop"}, {})
    (row,) = map(named, show_clients(instance))
    assert (row["type"], row["user"], row["database"], row["state"]) == ("C", "ann", "app", "idle")
    assert (row["addr"], row["port"], row["local_addr"], row["local_port"]) == ("10.0.0.9", 5000, "10.0.0.1", 6432)
    assert (row["ptr"], row["link"], row["id"]) == (f"0x{link.id:x}", "", link.id)
    assert (row["application_name"], row["replication"], row["tls"]) == ("shop", "none", "")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", row["connect_time"])


async def test_a_waiting_client_shows_how_long(instance: Instance) -> None:
    link = client(instance, "client", Peer("", ""))
    pool = instance.pools.pool("app", "ann")
    pool.pause()
    pool.wait(link)
    await wait_until(lambda: instance.pools.now > link.waiting_since)
    (row,) = map(named, show_clients(instance))
    assert (row["state"], row["addr"]) == ("waiting", "unix")
    assert row["wait"] * 1_000_000 + row["wait_us"] > 0
    (pool_row, _) = (dict(zip([name for name, _ in columns.POOLS], row, strict=True)) for row in show_pools(instance))
    assert (pool_row["cl_waiting"], pool_row["cl_active"]) == (1, 0)
    assert pool_row["maxwait"] * 1_000_000 + pool_row["maxwait_us"] > 0
    pool.stop_waiting(link)


@pytest.mark.parametrize(
    ("kind", "database", "replication"), [("console", "pgbouncer", "none"), ("replication", "app", "physical")]
)
async def test_the_console_and_replication_are_clients_too(
    instance: Instance, kind: str, database: str, replication: str
) -> None:
    client(instance, kind, Peer("", ""))
    (row,) = map(named, show_clients(instance))
    assert (row["database"], row["replication"]) == (database, replication)


async def test_a_server_is_in_the_state_of_its_place(instance: Instance) -> None:
    pool = instance.pools.pool("app", "ann")
    states = {}
    for place in (pool.idle, pool.tested, pool.logging_in, pool.canceled, pool.active):
        server = ServerLink(instance.engine, pool, ServerAddress("h1", 5433))
        pool.place_server(server, place)
        states[server.id] = place.name
    rows = [named(row) for row in show_servers(instance)]
    assert sorted(row["state"] for row in rows) == ["active", "being_canceled", "idle", "new", "tested"]
    assert {(row["user"], row["database"], row["addr"], row["port"]) for row in rows} == {("forced", "app", "h1", 5433)}
