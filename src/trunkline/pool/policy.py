"""When a pool opens, waits, refuses and closes: pure decisions on numbers, with the time coming in as `now`.

Rules:
1. Servers are opened as many at a time as clients wait for, up to the limits: a pool grows in parallel.
2. After a failure there is one try at a time, with growing pauses and jitter. Clients go on waiting while the trouble
   is young (a restart); once it has lasted server_login_retry, all who wait are refused at once, and so are newcomers
   until a try succeeds.
3. A refusal that a server has made for good (wrong password, no such database) is told at once, to those who wait;
   who comes next has the server asked again, for by then the role or the database may be there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from trunkline.errors import ServerRefused, ServerUnavailable, TrunklineError

FIRST_PAUSE_S = 0.05
# authentication, catalog, rights, features, bad values, a database that takes no connections
PERMANENT_CLASSES = ("28", "3D", "42", "0A", "22", "55")


@dataclass(frozen=True, slots=True)
class Demand:
    """What a pool has and what its clients want; limits of 0 are none."""

    servers: int
    logging_in: int
    idle: int
    tested: int
    waiting: int
    clients: int
    pool_size: int
    min_pool_size: int
    reserve_pool_size: int
    reserve_due: bool
    room: int | None  # left by the limits of the database and the user; None is no limit


@dataclass(frozen=True, slots=True)
class Trouble:
    """A pool that cannot open servers: since when, how often tried, not before when again."""

    since: float
    tries: int
    retry_at: float
    permanent: bool = False


def to_open(demand: Demand, trouble: Trouble | None, now: float) -> int:
    """How many servers to begin to open now."""
    limit = demand.pool_size + (demand.reserve_pool_size if demand.reserve_due else 0)
    wanted = demand.waiting - demand.logging_in - demand.tested
    if demand.clients or demand.waiting:
        wanted = max(wanted, demand.min_pool_size - demand.servers)
    if demand.pool_size:
        wanted = min(wanted, limit - demand.servers)
    if demand.room is not None:
        wanted = min(wanted, demand.room)
    if trouble is not None:
        wanted = min(wanted, 0 if demand.logging_in or now < trouble.retry_at else 1)
    return max(wanted, 0)


def lacks_room(demand: Demand, trouble: Trouble | None, now: float) -> bool:
    """Whether a limit shared with other pools, and nothing else, keeps a server from being opened now."""
    return not to_open(demand, trouble, now) and to_open(replace(demand, room=None), trouble, now) > 0


def after_failure(trouble: Trouble | None, sqlstate: str, now: float, longest_pause: float, jitter: float) -> Trouble:
    """The trouble after one more failed try; `jitter` is in [0, 1)."""
    permanent = sqlstate[:2] in PERMANENT_CLASSES
    if trouble is not None and now < trouble.retry_at:  # begun before the trouble was known: one burst is one try
        return trouble if trouble.permanent or not permanent else replace(trouble, permanent=True)
    tries = trouble.tries + 1 if trouble is not None else 1
    pause = max(1.0, longest_pause / 4) if permanent else FIRST_PAUSE_S * 2 ** min(tries - 1, 16)
    pause = min(pause, longest_pause) * (0.75 + 0.5 * jitter)
    since = trouble.since if trouble is not None else now
    return Trouble(since, tries, now + pause, permanent)


def asked_anew(trouble: Trouble | None, now: float, *, forced: bool) -> Trouble | None:
    """The trouble when one more has come who wants a server: a client's own login is tried again at once, as a direct
    connection would; one that was `forced` on all of them is not, or each would knock with the same wrong password."""
    if trouble is None or not trouble.permanent or forced:
        return trouble
    return replace(trouble, retry_at=min(trouble.retry_at, now))


def refuses(trouble: Trouble | None, servers: int, now: float, patience: float) -> bool:
    """Whether who waits is refused now rather than left in line."""
    if trouble is None or servers:
        return False
    return trouble.permanent or now - trouble.since >= patience


def told(error: TrunklineError, forced: bool) -> TrunklineError:
    """What clients hear of a login that failed: as a direct connection would, unless its user was `forced` on them."""
    if not isinstance(error, ServerRefused) or not error.sqlstate.startswith("28"):
        return error
    if forced:
        return ServerUnavailable("the server refused our login", hint="The log says why.")
    if error.authenticated or error.sqlstate == "28P01":
        return error
    return ServerRefused(  # its words (pg_hba.conf) name our host, not the client's
        error.sqlstate, "the server refused this login", hint="The log says why.", authenticated=False
    )


def expired(opened_at: float, idle_since: float, now: float, lifetime: float, idle_timeout: float) -> str | None:
    """Why a free server is closed, or None. A lifetime of 0 is one use; an idle timeout of 0 is never."""
    if now - opened_at >= lifetime:
        return "server_lifetime"
    if idle_timeout and now - idle_since >= idle_timeout:
        return "server_idle_timeout"
    return None


class Troubled(Protocol):
    """What may have its trouble: a pool."""

    @property
    def trouble(self) -> Trouble | None: ...


def reachable(pools: Sequence[Troubled], wanted: int) -> int:
    """The number of the pool to ask where any will do: the wanted one, unless only another has no trouble."""
    if pools[wanted].trouble is None:
        return wanted
    return next((number for number, pool in enumerate(pools) if pool.trouble is None), wanted)
