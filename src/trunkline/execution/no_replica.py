"""Why no replica may answer a read: the error of a database whose reads are not to fall back to the primary."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from trunkline.config.parts import servers_of
from trunkline.config.settings import DatabaseSettings
from trunkline.errors import NoReplica, TrunklineError
from trunkline.pool.pool import Pool
from trunkline.pool.replica_watch import ReplicaWatch
from trunkline.pool.topology import Member, Role, State
from trunkline.pool.topology_lag import is_beyond

HINT = 'SHOW REPLICAS says more; replica_fallback = "primary" would have the primary answer.'


def none_will_do(
    watch: ReplicaWatch | None, settings: DatabaseSettings, pools: Mapping[str, Pool | None]
) -> TrunklineError | None:
    """The error; None as long as somebody has not been looked at yet, who may be one that will do."""
    if watch is None:
        return NoReplica("no replica may answer this", detail="The servers are not watched.", hint=HINT)
    if any(member.state is State.UNSEEN for member in watch.topology.members.values()):
        return None
    detail = "; ".join(_said(watch, settings, pools)) or "there is no replica"
    return NoReplica("no replica may answer this", detail=f"{detail[0].upper()}{detail[1:]}.", hint=HINT)


def _said(watch: ReplicaWatch, settings: DatabaseSettings, pools: Mapping[str, Pool | None]) -> Iterator[str]:
    """Of each server, by the name of its part: what its address is, is no business of the client's."""
    names = {str(one): part.name for one, part in zip(settings.servers, servers_of(settings), strict=False)}
    for name, member in watch.topology.members.items():
        if name in names and not (member.role is Role.PRIMARY and member.state is State.UP):
            yield f"{names[name].rpartition('/')[2]} {_why(watch, settings, member, pools.get(name))}"


def _why(watch: ReplicaWatch, settings: DatabaseSettings, member: Member, pool: Pool | None) -> str:
    if member.name in settings.unread:
        return "is not to be read from, by what Patroni says"
    limit, lag = settings.max_replica_lag, watch.lag(member.name)
    if member.state is not State.UP:
        return f"is {member.role or 'unknown'}, {member.state}"
    if is_beyond(lag, limit):
        behind = (
            f"{lag.time_s:.1f} s and {lag.size_bytes} bytes behind" if lag is not None else "behind, unknown how far"
        )
        return f"is {behind}, and max_replica_lag is {limit}"
    if pool is not None and pool.shut:
        return "has failed again and again (its circuit breaker is open)"
    if pool is not None and pool.paused:
        return "is paused"
    return "cannot be logged in to"
