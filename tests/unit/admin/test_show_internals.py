"""SHOW MEM, FDS, DNS_HOSTS, DNS_ZONES, PEERS, PEER_POOLS."""

from __future__ import annotations

from trunkline.admin.show_internals import (
    show_dns_hosts,
    show_dns_zones,
    show_fds,
    show_mem,
    show_peer_pools,
    show_peers,
)
from trunkline.proxy.instance import Instance


async def test_memory_is_size_times_number(instance: Instance) -> None:
    rows = {str(name): numbers for name, *numbers in show_mem(instance)}
    assert list(rows) == [
        "user_cache", "db_cache", "pool_cache", "server_cache", "client_cache", "identity_cache", "iobuf_cache"
    ]  # fmt: skip
    for size, used, free, total in list(rows.values())[:-1]:
        assert isinstance(size, int) and isinstance(used, int)
        assert (free, total) == (0, size * used)
    assert rows["pool_cache"][1] == 1 and rows["client_cache"][0] > 100


async def test_what_is_not_there_has_no_rows(instance: Instance) -> None:
    for show in (show_fds, show_dns_hosts, show_dns_zones, show_peers, show_peer_pools):
        assert list(show(instance)) == []
