"""A circuit breaker: whether a server is worth asking, by how it has failed lately. Pure; the time comes in as `now`.

Rules:
1. A failure is a server that was wanting: no connection to it, no login for a reason of its own, a connection lost
   while something was asked, no answer to a health check. A refusal that it made in its right mind is an answer.
2. Only who has been left alone for a while is tried again, and by nobody but whoever makes the probe.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from trunkline.config.global_settings import Settings
from trunkline.errors import ServerRefused, TrunklineError
from trunkline.pool.policy import PERMANENT_CLASSES

KEPT = 1000  # failures, if as many are asked for


class State(StrEnum):
    """As shown."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


class Event(StrEnum):
    """What happens to a server, or time goes by."""

    FAILURE = "failure"
    ANSWER = "answer"
    TIME = "time"


@dataclass(frozen=True, slots=True)
class Breaker:
    """One server's."""

    state: State = State.CLOSED
    failures: tuple[float, ...] = ()  # when, the oldest first; those within the window when the last one came
    since: float = 0.0  # when the state began

    def recent(self, settings: Settings, now: float) -> tuple[float, ...]:
        return tuple(at for at in self.failures if now - at < settings.breaker_window)


def after(breaker: Breaker, event: Event, settings: Settings, now: float) -> Breaker:
    """The breaker once this has happened; what is not in the table changes nothing."""
    change = _CHANGES.get((breaker.state, event))
    return change(breaker, settings, now) if change is not None else breaker


def event_of(error: TrunklineError) -> Event:
    """What a connection that could not be opened says of its server."""
    in_its_right_mind = isinstance(error, ServerRefused) and error.sqlstate[:2] in PERMANENT_CLASSES
    return Event.ANSWER if in_its_right_mind else Event.FAILURE


def _count(breaker: Breaker, settings: Settings, now: float) -> Breaker:
    failures = (*breaker.recent(settings, now), now)[-KEPT:]
    if 0 < settings.breaker_failures <= len(failures):
        return Breaker(State.OPEN, failures, now)
    return replace(breaker, failures=failures)


def _note(breaker: Breaker, settings: Settings, now: float) -> Breaker:
    return replace(breaker, failures=(*breaker.recent(settings, now), now)[-KEPT:])


def _wait(breaker: Breaker, settings: Settings, now: float) -> Breaker:
    over = now - breaker.since >= settings.breaker_timeout
    return Breaker(State.HALF_OPEN, breaker.failures, now) if over else breaker


def _open_again(breaker: Breaker, settings: Settings, now: float) -> Breaker:
    return Breaker(State.OPEN, (*breaker.recent(settings, now), now)[-KEPT:], now)


def _close(breaker: Breaker, settings: Settings, now: float) -> Breaker:
    return Breaker(State.CLOSED, (), now)


Change = Callable[[Breaker, Settings, float], Breaker]

_CHANGES: Mapping[tuple[State, Event], Change] = {
    (State.CLOSED, Event.FAILURE): _count,
    (State.OPEN, Event.FAILURE): _note,
    (State.OPEN, Event.TIME): _wait,
    (State.HALF_OPEN, Event.FAILURE): _open_again,
    (State.HALF_OPEN, Event.ANSWER): _close,
}
