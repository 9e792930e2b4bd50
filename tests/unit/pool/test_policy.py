"""What a pool decides: tables of situations, and a pool simulated on a clock of its own."""

from __future__ import annotations

import heapq
import itertools
import random
from collections import deque
from dataclasses import dataclass, field, replace
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.pool.policy import (
    FIRST_PAUSE_S,
    Demand,
    Trouble,
    after_failure,
    asked_anew,
    expired,
    lacks_room,
    reachable,
    refuses,
    to_open,
)

QUIET = Demand(
    servers=0,
    logging_in=0,
    idle=0,
    tested=0,
    waiting=0,
    clients=0,
    pool_size=20,
    min_pool_size=0,
    reserve_pool_size=0,
    reserve_due=False,
    room=None,
)
PATIENCE = 15.0

# situation, what differs from QUIET, how many to open
SITUATIONS = [
    ("nobody wants anything", {}, 0),
    ("one waits", {"waiting": 1}, 1),
    ("as many at a time as wait", {"waiting": 7}, 7),
    ("those on their way count", {"waiting": 7, "servers": 5, "logging_in": 5}, 2),
    ("more on their way than wait", {"waiting": 2, "servers": 5, "logging_in": 5}, 0),
    ("those that are being tested count", {"waiting": 7, "servers": 5, "tested": 5}, 2),
    ("up to the pool's size", {"waiting": 50}, 20),
    ("what is left of it", {"waiting": 50, "servers": 18}, 2),
    ("nothing is left", {"waiting": 50, "servers": 20}, 0),
    ("above it, after a reload made it smaller", {"waiting": 50, "servers": 30}, 0),
    ("no limit", {"waiting": 50, "servers": 500, "pool_size": 0}, 50),
    ("the database's limit", {"waiting": 50, "room": 3}, 3),
    ("the database is full", {"waiting": 50, "room": 0}, 0),
    ("the database is over its limit", {"waiting": 50, "room": -2}, 0),
    ("no limit but the database's", {"waiting": 50, "pool_size": 0, "room": 4}, 4),
    ("a reserve that is not due", {"waiting": 5, "servers": 20, "reserve_pool_size": 3}, 0),
    ("a reserve that is due", {"waiting": 5, "servers": 20, "reserve_pool_size": 3, "reserve_due": True}, 3),
    ("a minimum in a pool that nobody uses", {"min_pool_size": 5}, 0),
    ("a minimum in a pool that is used", {"min_pool_size": 5, "clients": 1}, 5),
    ("a minimum that is nearly there", {"min_pool_size": 5, "clients": 1, "servers": 4}, 1),
    ("a minimum above the size", {"min_pool_size": 50, "clients": 1}, 20),
    ("a minimum and no limit", {"min_pool_size": 5, "clients": 1, "pool_size": 0}, 5),
    ("a minimum and more who wait", {"min_pool_size": 5, "clients": 1, "waiting": 9}, 9),
]


@pytest.mark.parametrize(("differs", "count"), [s[1:] for s in SITUATIONS], ids=[s[0] for s in SITUATIONS])
def test_how_many_to_open(differs: dict[str, int], count: int) -> None:
    assert to_open(replace(QUIET, **differs), None, 0.0) == count


IN_TROUBLE = Trouble(since=0.0, tries=3, retry_at=10.0)


@pytest.mark.parametrize(
    ("now", "logging_in", "count"),
    [(9.9, 0, 0), (10.0, 0, 1), (10.0, 1, 0)],
    ids=["not before its time", "one try", "one at a time"],
)
def test_in_trouble_one_try_at_a_time(now: float, logging_in: int, count: int) -> None:
    assert to_open(replace(QUIET, waiting=9, logging_in=logging_in, servers=logging_in), IN_TROUBLE, now) == count


def test_in_trouble_nothing_is_tried_for_nobody() -> None:
    assert to_open(QUIET, IN_TROUBLE, 20.0) == 0


@pytest.mark.parametrize(
    ("differs", "lacks"),
    [
        ({"waiting": 1, "room": 0}, True),
        ({"waiting": 1, "room": -1}, True),
        ({"waiting": 1, "room": 1}, False),
        ({"waiting": 1, "room": None}, False),
        ({"waiting": 1, "room": 0, "servers": 1, "logging_in": 1}, False),
        ({"waiting": 9, "room": 0, "servers": 20}, False),
    ],
    ids=["full", "overfull", "one left", "no limit", "one is under way", "the pool itself is full"],
)
def test_other_pools_give_way_only_where_their_limit_is_all_that_is_missing(
    differs: dict[str, int], lacks: bool
) -> None:
    assert lacks_room(replace(QUIET, **differs), None, 0.0) is lacks


demands = st.builds(
    Demand,
    servers=st.integers(0, 40),
    logging_in=st.integers(0, 10),
    idle=st.integers(0, 10),
    waiting=st.integers(0, 40),
    clients=st.integers(0, 40),
    pool_size=st.integers(1, 30),
    min_pool_size=st.integers(0, 30),
    reserve_pool_size=st.integers(0, 5),
    reserve_due=st.booleans(),
    room=st.none() | st.integers(-5, 40),
)


@given(demands)
def test_no_limit_is_ever_passed(demand: Demand) -> None:
    count = to_open(demand, None, 0.0)
    reserve = demand.reserve_pool_size if demand.reserve_due else 0
    assert count >= 0
    assert count == 0 or demand.servers + count <= demand.pool_size + reserve
    assert demand.room is None or count <= max(demand.room, 0)


# --- failures -------------------------------------------------------------------------------------------------------


def test_pauses_grow_up_to_the_longest() -> None:
    trouble, pauses, now = None, [], 0.0
    for _ in range(12):
        trouble = after_failure(trouble, "08001", now, PATIENCE, 0.5)
        pauses.append(trouble.retry_at - now)
        now = trouble.retry_at
    assert pauses[0] == pytest.approx(FIRST_PAUSE_S)
    assert all(b == pytest.approx(min(2 * a, PATIENCE)) for a, b in itertools.pairwise(pauses))
    assert pauses[-1] == PATIENCE


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True), st.floats(0.1, 1000))
def test_a_pause_is_never_far_from_the_longest(tries: int, jitter: float, longest: float) -> None:
    before = Trouble(0.0, tries, 0.0)
    pause = after_failure(before, "08001", 0.0, longest, jitter).retry_at
    assert 0 < pause <= 1.25 * longest


def test_trouble_remembers_when_it_began_and_how_often_it_was_tried() -> None:
    first = after_failure(None, "08001", 5.0, PATIENCE, 0.0)
    second = after_failure(first, "08001", 6.0, PATIENCE, 0.0)
    assert (first.since, first.tries, second.since, second.tries) == (5.0, 1, 5.0, 2)


def test_a_burst_of_failures_is_one_try() -> None:
    """Twenty opened at once fail at once: that must not make the first pause as long as the twentieth."""
    burst = after_failure(None, "08001", 5.0, PATIENCE, 0.5)
    first = burst.retry_at
    for _ in range(19):
        burst = after_failure(burst, "08001", 5.01, PATIENCE, 0.5)
    assert (burst.tries, burst.retry_at) == (1, first)


def test_a_burst_with_one_refusal_for_good_is_refused_for_good() -> None:
    burst = after_failure(None, "08001", 5.0, PATIENCE, 0.5)
    assert after_failure(burst, "28P01", 5.0, PATIENCE, 0.5).permanent


def test_jitter_spreads_the_tries() -> None:
    pauses = {after_failure(None, "08001", 0.0, PATIENCE, jitter / 10).retry_at for jitter in range(10)}
    assert len(pauses) == 10


@pytest.mark.parametrize("sqlstate", ["28P01", "28000", "3D000", "42501", "0A000", "22023"])
def test_a_refusal_for_good_is_told_at_once(sqlstate: str) -> None:
    trouble = after_failure(None, sqlstate, 0.0, PATIENCE, 0.5)
    assert trouble.permanent
    assert refuses(trouble, servers=0, now=0.0, patience=PATIENCE)
    assert trouble.retry_at >= 1.0


@pytest.mark.parametrize("sqlstate", ["08001", "08006", "53300", "57P03", "XX000"])
def test_a_trouble_that_may_pass_is_waited_for(sqlstate: str) -> None:
    trouble = after_failure(None, sqlstate, 0.0, PATIENCE, 0.5)
    assert not trouble.permanent
    assert not refuses(trouble, servers=0, now=PATIENCE - 0.1, patience=PATIENCE)
    assert refuses(trouble, servers=0, now=PATIENCE, patience=PATIENCE)


def test_nobody_is_refused_while_there_are_servers_or_no_trouble() -> None:
    trouble = Trouble(0.0, 9, 0.0, permanent=True)
    assert not refuses(trouble, servers=1, now=100.0, patience=PATIENCE)
    assert not refuses(None, servers=0, now=100.0, patience=PATIENCE)


@pytest.mark.parametrize(
    ("opened_at", "idle_since", "reason"),
    [
        (0.0, 90.0, "server_lifetime"),
        (50.0, 90.0, None),
        (50.0, 40.0, "server_idle_timeout"),
        (0.0, 0.0, "server_lifetime"),
    ],
)
def test_when_a_free_server_is_closed(opened_at: float, idle_since: float, reason: str | None) -> None:
    assert expired(opened_at, idle_since, now=100.0, lifetime=100.0, idle_timeout=60.0) == reason


def test_limits_of_zero() -> None:
    assert expired(100.0, 100.0, now=100.0, lifetime=0.0, idle_timeout=0.0) == "server_lifetime"
    assert expired(0.0, 0.0, now=1e9, lifetime=1e10, idle_timeout=0.0) is None


# --- a pool, simulated ----------------------------------------------------------------------------------------------


@dataclass
class Simulation:
    """A pool of nothing but numbers: clients come, hold a server, go; the policy opens servers, in `login_s` each."""

    pool_size: int = 20
    login_s: float = 0.05
    hold_s: float = 0.01
    dead: tuple[float, float] = (-1.0, -1.0)
    patience: float = PATIENCE
    now: float = 0.0
    idle: int = 0
    busy: int = 0
    opening: int = 0
    trouble: Trouble | None = None
    line: deque[tuple[int, float]] = field(default_factory=deque)  # client, since when
    served: list[tuple[int, float]] = field(default_factory=list)  # client, how long it waited
    refused: list[tuple[int, float]] = field(default_factory=list)
    tries: list[float] = field(default_factory=list)
    most_opening: int = 0
    events: list[tuple[float, int, str, int]] = field(default_factory=list)
    random: random.Random = field(default_factory=lambda: random.Random(7))

    def at(self, when: float, what: str, client: int = 0) -> None:
        heapq.heappush(self.events, (when, len(self.tries) + len(self.events), what, client))

    def run(self, until: float) -> Simulation:
        while self.events and self.events[0][0] <= until:
            self.now, _, what, client = heapq.heappop(self.events)
            getattr(self, what)(client)
            self.decide()
        return self

    def come(self, client: int) -> None:
        self.line.append((client, self.now))

    def give(self) -> None:
        client, since = self.line.popleft()
        self.idle -= 1
        self.busy += 1
        self.served.append((client, self.now - since))
        self.at(self.now + self.hold_s, "leave", client)

    def leave(self, client: int) -> None:
        self.busy -= 1
        self.idle += 1

    def opened(self, client: int) -> None:
        self.opening -= 1
        if self.dead[0] <= self.now < self.dead[1]:
            self.trouble = after_failure(self.trouble, "08001", self.now, self.patience, self.random.random())
            self.at(self.trouble.retry_at, "wake")
        else:
            self.trouble = None
            self.idle += 1

    def wake(self, client: int) -> None:
        """A pause is over."""

    def decide(self) -> None:
        while self.line and self.idle:
            self.give()
        if refuses(self.trouble, self.idle + self.busy, self.now, self.patience):
            self.refused += [(client, self.now - since) for client, since in self.line]
            self.line.clear()
        for _ in range(to_open(self.demand(), self.trouble, self.now)):
            self.opening += 1
            self.tries.append(self.now)
            self.at(self.now + self.login_s, "opened")
        self.most_opening = max(self.most_opening, self.opening)

    def demand(self) -> Demand:
        servers = self.idle + self.busy + self.opening
        return replace(
            QUIET, servers=servers, logging_in=self.opening, waiting=len(self.line), pool_size=self.pool_size
        )


def test_a_pool_grows_in_parallel() -> None:
    pool = Simulation(pool_size=20, hold_s=10.0)
    for client in range(20):
        pool.at(0.0, "come", client)
    pool.run(until=1.0)
    assert [wait for _, wait in pool.served] == [pytest.approx(pool.login_s)] * 20, "one login's time for all of them"
    assert pool.most_opening == 20


def test_nobody_starves_and_nobody_is_overtaken() -> None:
    pool, arrivals = Simulation(pool_size=5, hold_s=0.01), random.Random(1)
    moments = sorted(arrivals.uniform(0, 5) for _ in range(2000))
    for client, moment in enumerate(moments):
        pool.at(moment, "come", client)
    pool.run(until=60.0)
    assert [client for client, _ in pool.served] == list(range(2000))
    assert pool.busy == 0
    assert pool.idle <= 5


def test_a_short_outage_is_waited_out_without_an_error() -> None:
    pool = Simulation(dead=(0.0, 3.0))
    for client in range(100):
        pool.at(client * 0.02, "come", client)
    pool.run(until=30.0)
    assert len(pool.served) == 100
    assert not pool.refused


def test_an_outage_is_tried_seldom() -> None:
    pool = Simulation(dead=(0.0, 1e9), patience=1e9)
    for client in range(100):
        pool.at(0.0, "come", client)
    pool.run(until=60.0)
    first_burst = sum(moment == 0.0 for moment in pool.tries)
    assert first_burst == pool.pool_size
    assert len(pool.tries) - first_burst < 20, "pauses that double need few tries for a minute"


def test_when_the_server_stays_dead_all_who_wait_are_refused_at_once() -> None:
    pool = Simulation(dead=(0.0, 1e9), patience=5.0)
    for client in range(50):
        pool.at(client * 0.01, "come", client)
    pool.at(20.0, "come", 99)
    pool.run(until=60.0)
    assert not pool.served
    waits = [wait for client, wait in pool.refused if client < 50]
    assert len(waits) == 50
    assert max(waits) < 5.0 + 1.25 * 5.0 + 1.0, "no longer than the patience and one pause"
    assert pool.refused[-1] == (99, 0.0), "a newcomer does not wait for what is known to be dead"


def test_after_an_outage_the_pool_grows_in_parallel_again() -> None:
    pool = Simulation(dead=(0.0, 2.0), hold_s=10.0)
    for client in range(20):
        pool.at(1.0, "come", client)
    pool.run(until=1.9)
    pool.most_opening = 0
    pool.run(until=9.0)
    assert len(pool.served) == 20
    assert pool.most_opening > 10


def test_a_login_that_is_the_clients_own_is_tried_for_each_who_comes_and_a_forced_one_is_not() -> None:
    refused = Trouble(since=0.0, tries=1, retry_at=9.0, permanent=True)
    assert asked_anew(refused, 1.0, forced=False) == Trouble(0.0, 1, 1.0, permanent=True)
    assert asked_anew(refused, 1.0, forced=True) == refused


@pytest.mark.parametrize(
    ("troubled", "wanted", "asked"),
    [("---", 1, 1), ("-x-", 1, 0), ("xx-", 0, 2), ("xxx", 1, 1), ("x", 0, 0)],
)
def test_where_any_pool_will_do_one_without_trouble_is_asked(troubled: str, wanted: int, asked: int) -> None:
    trouble = after_failure(None, "08006", 0.0, 15.0, 0.5)
    pools = [SimpleNamespace(trouble=trouble if one == "x" else None) for one in troubled]
    assert reachable(pools, wanted) == asked
