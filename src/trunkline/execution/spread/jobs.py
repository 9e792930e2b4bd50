"""Jobs: statements that each shard runs by itself, in no transaction: for SHOW JOBS, and what is tried again. Pure.

They are kept while the process lives. What a process that died has left in the middle is an index that is missing at a
shard, or not valid: SHOW DRIFT has it, and the same statement said again completes it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from trunkline.errors import TrunklineError

KEPT = 100
TRIES = 5
FIRST_PAUSE_S = 0.5
_TRANSIENT = frozenset(("40001", "40P01", "55P03", "57P01", "57P02", "57P03"))
_LOST = ("08", "57P")


class State(StrEnum):
    """Of one shard's part."""

    WAITING = "waiting"  # for the home shard, or for what the shards have
    RUNNING = "running"
    RETRYING = "to be tried again"
    CLEANING = "cleaning up"
    DONE = "done"
    PASSED = "nothing to do"
    FAILED = "failed"
    NOT_BEGUN = "not begun"


OVER = frozenset((State.DONE, State.PASSED, State.FAILED, State.NOT_BEGUN))


def is_transient(error: TrunklineError) -> bool:
    """Whether the same may go through at another time: a lock, a deadlock, a server that went away.

    Who has waited for a server in vain (53300) has waited for as long as `query_wait_timeout` says.
    """
    return error.sqlstate in _TRANSIENT or is_lost(error)


def is_lost(error: TrunklineError) -> bool:
    """Whether what was asked may still be running there, or may have been done."""
    return error.sqlstate.startswith(_LOST)


def pause_s(tries: int) -> float:
    """Before the next try."""
    return FIRST_PAUSE_S * 2.0 ** (tries - 1)


@dataclass(slots=True)
class Part:
    """One shard's."""

    shard: int
    name: str
    since: float
    state: State = State.WAITING
    tries: int = 0
    error: TrunklineError | None = None
    leftover: bool = False  # an index that is not valid is, or may be, still there

    def enter(self, state: State, now: float) -> None:
        self.state, self.since = state, now


@dataclass(slots=True)
class Job:
    """Of one statement; times are in seconds since 1970."""

    id: int
    user: str
    sql: bytes
    parts: list[Part] = field(default_factory=list)

    @property
    def is_over(self) -> bool:
        return all(part.state in OVER for part in self.parts)

    def names(self, *states: State) -> str:
        """The shards whose parts are so."""
        return ", ".join(part.name for part in self.parts if part.state in states)


class Jobs:
    """Those of one database; the oldest that are over are forgotten."""

    def __init__(self) -> None:
        self._kept: deque[Job] = deque()
        self._last = 0

    def __iter__(self) -> Iterator[Job]:
        return iter(list(self._kept))

    def begin(self, user: str, sql: bytes, now: float) -> Job:
        """A new one, whose id is the time in milliseconds: two processes of one instance rarely have the same."""
        self._last = max(self._last + 1, int(now * 1000))
        job = Job(self._last, user, sql)
        over = [one for one in self._kept if one.is_over]
        for one in over[: max(0, len(self._kept) + 1 - KEPT)]:
            self._kept.remove(one)
        self._kept.append(job)
        return job
