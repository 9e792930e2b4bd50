"""SHOW ROUTES: the templates that were called most, and where they go; SHOW ROUTE_CACHES: how well they are known."""

from __future__ import annotations

from collections.abc import Iterator

from trunkline.admin import columns
from trunkline.admin.commands import show
from trunkline.admin.result import Row
from trunkline.proxy.instance import Instance

SHOWN = 100  # templates of a database


@show("ROUTES", columns.ROUTES)
def show_routes(instance: Instance) -> Iterator[Row]:
    for router in instance.routers:
        most = sorted(router.cache.by_use(), key=lambda entry: entry.calls, reverse=True)
        for entry in most[:SHOWN]:
            yield router.database, entry.template, str(entry.plan.verdict), entry.plan.reason, entry.calls


@show("ROUTE_CACHES", columns.ROUTE_CACHES)
def show_route_caches(instance: Instance) -> Iterator[Row]:
    for router in instance.routers:
        cache = router.cache
        yield router.database, cache.entries, cache.used_bytes, cache.hits, cache.misses, cache.evictions
