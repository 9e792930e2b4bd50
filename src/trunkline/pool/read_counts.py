"""What the reads of a database's clients are to each of its servers: for SHOW REPLICAS and metrics, when they ask."""

from __future__ import annotations

from dataclasses import dataclass

from trunkline.config.address import ServerAddress
from trunkline.pool.replica_watch import ReplicaWatch


@dataclass(frozen=True, slots=True)
class Reads:
    """Of one server, over all users: those that it answers or that wait for it now, and those that it has answered."""

    in_flight: int
    answered: int


def reads_at(watch: ReplicaWatch, name: str) -> Reads:
    pools = [pool for pool in watch.pools if pool.reads_from == name]
    ours = [pool for pool in pools if pool.database.startswith(f"{watch.settings.name}/")]
    return Reads(sum(len(p.active) + len(p.waiting) for p in ours), sum(p.query_count for p in ours))


def listed(watch: ReplicaWatch, name: str) -> ServerAddress:
    """As the settings have it, with weight and zone: among the replicas, if it is listed there too."""
    return {str(one): one for one in (*watch.settings.addresses, *watch.settings.replicas)}[name]
