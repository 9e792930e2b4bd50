"""SHOW ROUTES, ROUTE_COUNTS and ROUTE_CACHES, before anybody has asked anything."""

from __future__ import annotations

from trunkline.admin.show_routes import show_route_caches, show_route_counts, show_routes
from trunkline.proxy.instance import Instance


async def test_without_shards_there_are_no_routes(instance: Instance) -> None:
    assert list(show_routes(instance)) == []
    assert list(show_route_counts(instance)) == []
    assert list(show_route_caches(instance)) == []
