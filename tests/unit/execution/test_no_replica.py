"""The error of a read that no replica may answer says of each of them why."""

from __future__ import annotations

from dataclasses import replace

from tests.unit.execution.test_readers import APP, chosen, reading
from tests.unit.relay import relay
from trunkline.config.replica_kinds import LagLimit
from trunkline.errors import NoReplica
from trunkline.execution.readers import Readers
from trunkline.pool.replica_watch import ReplicaWatches
from trunkline.pool.topology import Sight


async def test_an_error_says_of_each_replica_why_it_does_not_answer() -> None:
    database = replace(APP, replica_fallback="error", max_replica_lag=LagLimit(size_bytes=150))
    async with reading(database) as (made, watches, readers):
        assert chosen(readers, None) == "app/replica2"
        made.pools.pool("app/replica2", "u").shut = True
        (watch,) = watches
        error = readers.why_none(0)
        assert isinstance(error, NoReplica) and error.sqlstate == "57P03" and "h2" not in str(error.detail)
        assert error.detail == (
            "Replica1 is 0.0 s and 200 bytes behind, and max_replica_lag is 150B; "
            "replica2 has failed again and again (its circuit breaker is open)."
        )
        watch.heard("h3:5432", Sight(None, "no answer"))
        assert "replica2 is unknown, unreachable." in str(readers.why_none(0).detail)  # type: ignore[union-attr]


async def test_as_long_as_a_server_has_not_been_seen_there_is_no_error() -> None:
    async with relay(databases={"app": replace(APP, replica_fallback="error")}, health_check_interval=3600.0) as made:
        watches = ReplicaWatches(made.pools)
        watches.reconfigure()
        readers = Readers(made.pools, watches, "app", "u")
        assert readers.choose(0, None) is None and readers.why_none(0) is None
        await watches.tasks.cancel()
        unwatched = Readers(made.pools, ReplicaWatches(made.pools), "app", "u")
        assert "not watched" in str(unwatched.why_none(0).detail)  # type: ignore[union-attr]
