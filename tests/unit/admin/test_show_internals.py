"""SHOW MEM, FDS, DNS_HOSTS, DNS_ZONES, PEERS, PEER_POOLS."""

from __future__ import annotations

from dataclasses import replace

from trunkline.admin.show_internals import (
    show_dns_hosts,
    show_dns_zones,
    show_fds,
    show_mem,
    show_peer_pools,
    show_peers,
)
from trunkline.config.settings import PeerSettings
from trunkline.proxy.instance import Instance
from trunkline.proxy.peering import PeerPool


async def test_memory_is_size_times_number(instance: Instance) -> None:
    rows = {str(name): numbers for name, *numbers in show_mem(instance)}
    assert list(rows) == [
        "user_cache", "db_cache", "pool_cache", "server_cache", "client_cache", "identity_cache", "iobuf_cache"
    ]  # fmt: skip
    for size, used, free, total in list(rows.values())[:-1]:
        assert isinstance(size, int) and isinstance(used, int)
        assert (free, total) == (0, size * used)
    assert rows["pool_cache"][1] == 1 and rows["client_cache"][0] > 100


async def test_peers_and_what_is_on_its_way_to_them(instance: Instance) -> None:
    instance.config = replace(
        instance.config, peers={2: PeerSettings(2, "a"), 1: PeerSettings(1, "/tmp", 6433, pool_size=0)}
    )
    assert list(show_peers(instance)) == [(2, "a", 6432, 20), (1, "/tmp", 6433, 0)]
    instance.clients.cancels.peering.pools[2] = PeerPool(waiting=3, connecting=2, active=1)
    assert list(show_peer_pools(instance)) == [(2, 1, 5, 1, 2)]


async def test_what_is_not_there_has_no_rows(instance: Instance) -> None:
    for show in (show_fds, show_dns_hosts, show_dns_zones, show_peers, show_peer_pools):
        assert list(show(instance)) == []
