"""How far a replica is behind: in bytes, and in time by the primary's own past. Pure.

The primary's position is noted at each of its checks. What a replica has replayed was the primary's state at a moment
that stands in these notes, so its lag needs no clock but ours, grows while its replay stands still or its connection
is cut, and is 0 when the primary is idle. Only for a replica that is behind all notes its own word is taken: the time
since the last commit that it has replayed.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from trunkline.config.replica_kinds import LagLimit
from trunkline.pool.topology import Observation

KEPT = 3600  # notes: an hour at one a second


@dataclass(frozen=True, slots=True)
class Lag:
    """Behind the primary at the moment of the replica's last check; 0 is everything that was written at the
    primary's check before."""

    size_bytes: int
    time_s: float


def is_beyond(lag: Lag | None, limit: LagLimit | None) -> bool:
    """Whether a replica is further behind than is allowed, as one counts of which that cannot be told."""
    if limit is None:
        return False
    if lag is None:
        return True
    if limit.size_bytes is not None:
        return lag.size_bytes > limit.size_bytes
    return limit.time_s is not None and lag.time_s > limit.time_s


class Positions:
    """Where the primary of one timeline was, and when."""

    def __init__(self) -> None:
        self._notes: deque[tuple[float, float, int]] = deque(maxlen=KEPT)  # seen there first, and last

    def note(self, at: float, position: int) -> None:
        since = at
        if self._notes and self._notes[-1][2] == position:  # it is still there
            since = self._notes.pop()[0]
        self._notes.append((since, at, position))

    def clear(self) -> None:
        """Another primary, whose past is another one."""
        self._notes.clear()

    def lag(self, replica: Observation) -> Lag | None:
        """How far behind a replica was when it answered; None if that cannot be told."""
        if replica.replayed is None or not self._notes:
            return None
        newest = next((note for note in reversed(self._notes) if note[0] <= replica.at), self._notes[0])
        size = max(0, newest[2] - replica.replayed)
        return Lag(size, self._time(replica, replica.replayed) if size else 0.0)

    def _time(self, replica: Observation, replayed: int) -> float:
        passed = next((at for _, at, position in reversed(self._notes) if position <= replayed), None)
        if passed is not None:
            return max(0.0, replica.at - passed)
        return max(replica.at - self._notes[0][0], replica.replay_age_s or 0.0)
