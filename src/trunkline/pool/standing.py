"""Where the primary of a watched database is, as its pools have to know it. Pure.

1. Who is believed to be the primary is where statements go.
2. Until anybody ever was, it is who the settings call primary, if that is not known to be something else; but while
   servers are being asked for the first time, statements wait for what they say: the settings may be older than the
   last failover.
3. Once somebody was believed, nobody else will do: without a primary, statements wait for the next one.
4. Connections to a server that is known not to be the primary are worth nothing: what they still commit, nobody else
   would ever see.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from trunkline.pool.topology import Member, Role, State, Topology

_REFUSED = (State.OLD_TIMELINE, State.SPLIT_BRAIN, State.OTHER_SYSTEM)
_NOT_KNOWN = (State.UNSEEN, State.UNREACHABLE)


@dataclass(frozen=True, slots=True)
class Standing:
    """By the names that the topology has for its members."""

    at: tuple[str, ...] = ()  # where to connect to; without any, statements wait
    deposed: frozenset[str] = frozenset()
    disputed: str = ""  # why no primary will be known before somebody has put that right


def standing_of(topology: Topology, named: Collection[str], *, asking: bool) -> Standing:
    """`named` are those that the settings call primary; `asking`: those who are unseen are about to be asked."""
    primary = topology.primary
    deposed = frozenset(name for name, member in topology.members.items() if _is_deposed(member, primary))
    if primary is not None:
        return Standing((primary.name,), deposed)
    rivals = [one for one in topology.members.values() if one.role is Role.PRIMARY and one.state is State.SPLIT_BRAIN]
    if rivals:
        return Standing((), deposed, rivals[0].why)
    if topology.memory.holder or (asking and any(one.state is State.UNSEEN for one in topology.members.values())):
        return Standing((), deposed)
    possible = (name for name, one in topology.members.items() if name in named and one.state in _NOT_KNOWN)
    return Standing(tuple(possible), deposed)


def _is_deposed(member: Member, primary: Member | None) -> bool:
    if member.state in _REFUSED or (member.state is State.UP and member.role is Role.REPLICA):
        return True
    if primary is None or primary.last is None or member is primary:
        return False
    is_primary_too = member.last is not None and member.last.started == primary.last.started  # by another address
    return member.state in (State.UNREACHABLE, State.SAME_SERVER) and not is_primary_too
