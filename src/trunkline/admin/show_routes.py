"""SHOW ROUTES: the templates that ran most, where, and how long; SHOW ROUTE_COUNTS: what became of all statements.

SHOW ROUTE_CACHES: how well the templates are known. Times are microseconds, as in SHOW STATS.
"""

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
            plan, shards = entry.plan, ", ".join(router.sharding.names_of(entry.shards))
            yield (
                router.database,
                entry.template,
                str(plan.verdict),
                plan.reason,
                shards,
                entry.calls,
                int(entry.time_s * 1e6),
            )


@show("ROUTE_COUNTS", columns.ROUTE_COUNTS)
def show_route_counts(instance: Instance) -> Iterator[Row]:
    for router in instance.routers:
        for outcome, shard, statements in router.counts():
            yield router.database, outcome, shard, statements


@show("ROUTE_CACHES", columns.ROUTE_CACHES)
def show_route_caches(instance: Instance) -> Iterator[Row]:
    for router in instance.routers:
        cache = router.cache
        yield router.database, cache.entries, cache.used_bytes, cache.hits, cache.misses, cache.evictions
