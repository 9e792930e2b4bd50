"""SHOW REPLICAS: the servers of databases that have replicas, what each has been found to be, and what it does."""

from __future__ import annotations

from collections.abc import Iterator

from trunkline.admin import columns
from trunkline.admin.commands import show
from trunkline.admin.result import Row
from trunkline.pool.read_counts import listed, reads_at
from trunkline.pool.replica_watch import ReplicaWatch
from trunkline.pool.topology import Member, State
from trunkline.pool.topology_query import shown
from trunkline.proxy.instance import Instance

NOBODY = "nobody has logged in yet, and neither user nor health_check_user is set"


@show("REPLICAS", columns.REPLICAS)
def show_replicas(instance: Instance) -> Iterator[Row]:
    now = instance.pools.now
    for watch in instance.replicas:
        for member in watch.topology.members.values():
            yield _row(watch, member, now)


def _row(watch: ReplicaWatch, member: Member, now: float) -> Row:
    address, last = watch.addresses[member.name], member.last
    lag = watch.lag(member.name)
    as_listed, reads = listed(watch, member.name), reads_at(watch, member.name)
    waits = member.state is State.UNSEEN and watch.target(address, 0) is None
    return (
        watch.database,
        watch.shard,
        address.host,
        address.port,
        member.role,
        member.state,
        last.timeline if last is not None else None,
        shown(last.position) if last is not None else None,
        round(lag.time_s * 1000) if lag is not None else None,
        lag.size_bytes if lag is not None else None,
        round((now - last.at) * 1000) if last is not None else None,
        NOBODY if waits else member.why,
        watch.pools.breakers.of(member.name).state,
        watch.pools.breakers.failures(member.name),
        as_listed.weight,
        as_listed.zone,
        reads.in_flight,
        reads.answered,
    )
