"""Servers that fail again and again are left alone, by all pools that read there, until a connection is had again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.unit.relay import ADDRESS, Relay, error, relay
from trunkline.config.address import ServerAddress
from trunkline.config.settings import DatabaseSettings
from trunkline.errors import ServerRefused, ServerUnavailable
from trunkline.pool.breaker import State
from trunkline.pool.breakers import Breakers
from trunkline.pool.pool import Pool
from trunkline.pool.replica_watch import ReplicaWatches
from trunkline.pool.topology import Observation, Sight

NAME = str(ADDRESS)
APP = DatabaseSettings(
    "app", hosts=("h1",), replicas=(ADDRESS, ServerAddress("h3")), reads="replica", health_check_user="watcher"
)
GONE = ServerUnavailable("cannot connect to the server")
SILENT = Sight(None, "no answer within 3 s", silent=True)
REFUSED = Sight(None, "the database system is shutting down")
ALIVE = Sight(Observation(0.0, True, 1, 7, 2, None, 1, 1))


@asynccontextmanager
async def server(**settings: float) -> AsyncIterator[tuple[Relay, Breakers, Pool]]:
    """A replica, and the pool that reads there."""
    chosen = {"health_check_interval": 3600.0, "breaker_failures": 3, **settings}
    async with relay(databases={"app": APP}, **chosen) as made:
        watches = ReplicaWatches(made.pools)
        watches.reconfigure()
        yield made, made.pools.breakers, made.pools.pool("app/replica1", "u")
        await watches.tasks.cancel()


def fail(breakers: Breakers, times: int = 3) -> None:
    for _ in range(times):
        breakers.not_opened(NAME, GONE)


async def test_all_pools_that_read_there_are_shut_and_no_others(caplog: pytest.LogCaptureFixture) -> None:
    async with server() as (made, breakers, pool):
        other = made.pools.pool("app/replica2", "u")
        fail(breakers, 2)
        assert not pool.shut
        with caplog.at_level(logging.INFO, "trunkline.pool"):
            fail(breakers, 1)
        assert (pool.shut, other.shut, made.pool.shut) == (True, False, False)
        assert made.pools.pool("app/replica1", "v").shut
        assert [record.getMessage() for record in caplog.records] == [
            f"{NAME}: circuit breaker is open: 3 failures in 10 s, the last: cannot connect to the server"
        ]


async def test_who_is_in_line_there_is_refused_at_once() -> None:
    async with server() as (made, breakers, pool):
        made.opener.gate = asyncio.Event()
        link, _ = made.client()
        pool.wait(link)
        await made.settle()
        assert len(pool.waiting) == 1
        fail(breakers)
        await made.settle()
        assert len(pool.waiting) == 0


async def test_a_health_check_without_an_answer_sends_them_elsewhere_too() -> None:
    async with server() as (made, breakers, pool):
        made.opener.gate = asyncio.Event()
        link, _ = made.client()
        pool.wait(link)
        breakers.checked(NAME, SILENT)
        await made.settle()
        assert (len(pool.waiting), breakers.failures(NAME), pool.shut) == (0, 1, False)


@pytest.mark.parametrize(
    ("sights", "lost"),
    [
        ((SILENT,), False),
        ((SILENT, SILENT), True),
        ((SILENT, ALIVE, SILENT), False),
        ((REFUSED, REFUSED), False),  # who shuts down lets others finish
    ],
)
async def test_what_was_asked_of_a_server_that_has_fallen_silent_is_given_up(
    sights: tuple[Sight, ...], lost: bool
) -> None:
    async with server() as (made, breakers, pool):
        busy, _ = made.opener.connect(pool)
        pool.profiles.rebase(busy.params)
        pool.settle(busy)
        client, _ = made.client()
        pool.place_client(client, pool.clients)
        assert pool.request(client) is busy
        busy.ask(b"select 1", lambda _: None)
        for sight in sights:
            made.engine.dispatch()
            breakers.checked(NAME, sight)
        assert busy.opened is not lost


async def test_one_probe_at_a_time_is_made_and_closes_it() -> None:
    async with server(breaker_timeout=0.0) as (made, breakers, pool):
        fail(breakers)
        made.opener.gate = asyncio.Event()
        for _ in range(3):
            breakers.tick(made.pools.now)
            await made.settle()
        probes = [target for target in made.opener.calls if target.credentials.user == "u"]
        assert (breakers.of(NAME).state, len(probes), pool.shut) == (State.HALF_OPEN, 1, True)
        breakers.checked(NAME, ALIVE)
        assert pool.shut, "a connection that is kept open says little of new ones"
        made.opener.gate.set()
        await made.settle()
        assert (breakers.of(NAME).state, len(pool.idle), pool.shut) == (State.CLOSED, 1, False)
        breakers.tick(made.pools.now)
        assert breakers.failures(NAME) == 0


async def test_a_probe_that_fails_opens_it_again() -> None:
    async with server(breaker_timeout=0.0) as (made, breakers, pool):
        fail(breakers)
        made.opener.refusal = GONE
        breakers.tick(made.pools.now)
        await made.settle()
        assert (breakers.of(NAME).state, pool.shut) == (State.OPEN, True)
        made.opener.refusal = ServerRefused("28P01", "password authentication failed")
        breakers.tick(made.pools.now)
        await made.settle()
        assert (breakers.of(NAME).state, pool.shut) == (State.CLOSED, False)


async def test_where_no_pool_may_open_a_connection_a_health_check_is_the_probe() -> None:
    async with server(breaker_timeout=0.0) as (made, breakers, pool):
        fail(breakers)
        pool.pause()
        breakers.tick(made.pools.now)
        assert breakers.of(NAME).state is State.HALF_OPEN
        breakers.checked(NAME, ALIVE)
        assert (breakers.of(NAME).state, pool.servers) == (State.CLOSED, 0)


@pytest.mark.parametrize(
    ("said", "counts"),
    [(b"", 1), (error("57P01", "terminating", "FATAL"), 0), (b"N" + error("57P02", "crash", "WARNING")[1:], 1)],
)
async def test_a_connection_that_is_lost_while_something_was_asked_counts(said: bytes, counts: int) -> None:
    async with server() as (made, breakers, pool):
        link, far = made.opener.connect(pool)
        pool.profiles.rebase(link.params)
        pool.settle(link)
        client, near = made.client()
        pool.place_client(client, pool.clients)
        assert pool.request(client) is link
        link.ask(b"select 1", lambda _: None)
        far.send(said)
        far.close()
        await made.settle()
        assert (link.opened, breakers.failures(NAME)) == (False, counts)
        near.close()


async def test_one_that_is_lost_at_rest_does_not_count() -> None:
    async with server() as (made, breakers, pool):
        link, far = made.opener.connect(pool)
        pool.settle(link)
        far.close()
        await made.settle()
        assert (link.opened, breakers.failures(NAME)) == (False, 0)


async def test_servers_that_are_not_watched_have_no_breaker() -> None:
    async with relay() as made:
        fail(made.pools.breakers, 100)
        assert not made.pools.breakers.shuts(NAME)


async def test_a_server_that_is_not_listed_any_more_is_forgotten() -> None:
    async with server(breaker_timeout=3600.0) as (made, breakers, _):
        fail(breakers)
        made.pools.watches = {}
        breakers.tick(made.pools.now)
        assert not breakers.shuts(NAME)
