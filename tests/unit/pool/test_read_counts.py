"""What reads are to a server counts over all users, and only of the database that is asked about."""

from __future__ import annotations

from dataclasses import replace

from tests.unit.pool.test_breakers import APP, NAME
from tests.unit.relay import relay
from trunkline.pool.read_counts import Reads, listed, reads_at
from trunkline.pool.replica_watch import ReplicaWatches

WEIGHTED = replace(APP, replicas=tuple(replace(one, weight=3, zone="eu-1") for one in APP.replicas))


async def test_reads_of_all_users_of_one_database() -> None:
    databases = {"app": WEIGHTED, "web": replace(APP, name="web")}
    async with relay(databases=databases, health_check_interval=3600.0) as made:
        watches = ReplicaWatches(made.pools)
        watches.reconfigure()
        for database, user, count in (("app/replica1", "u", 2), ("app/replica1", "v", 3), ("web/replica1", "u", 7)):
            made.pools.pool(database, user).query_count = count
        link, _ = made.client()
        pool = made.pools.pool("app/replica1", "v")
        pool.place_client(link, pool.waiting)
        app, web = (watches.of(name, "") for name in ("app", "web"))
        assert app is not None and web is not None
        assert (reads_at(app, NAME), reads_at(web, NAME)) == (Reads(1, 5), Reads(0, 7))
        assert (reads_at(app, "h1:5432"), listed(app, NAME).weight, listed(web, NAME).zone) == (Reads(0, 0), 3, "")
        pool.place_client(link, made.pool.clients)
        await watches.tasks.cancel()
