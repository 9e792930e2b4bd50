"""Whom to ask about a user, how often, and what becomes of the answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from tests.unit.pool.test_auth_link import last, row
from tests.unit.relay import READY, Relay, error, relay
from trunkline.auth.secret import LoginSeed, SecretKind
from trunkline.config.settings import DatabaseSettings
from trunkline.errors import AuthUnavailable, ServerUnavailable
from trunkline.pool.auth_link import Source
from trunkline.pool.auth_query import AuthQueries


@asynccontextmanager
async def asking(**settings: Any) -> AsyncIterator[tuple[Relay, AuthQueries]]:
    async with relay(**{"auth_user": "asker", **settings}) as made:
        queries = AuthQueries(made.pools)
        yield made, queries
        await queries.tasks.cancel()
        queries.close()


async def begin(made: Relay, queries: AuthQueries, user: str = "alice", database: str = "app") -> asyncio.Task[Any]:
    task = asyncio.get_running_loop().create_task(queries.ask(database, user))
    await made.settle()
    return task


async def answer(made: Relay, *said: bytes) -> None:
    last(made).send(*said, READY)
    await made.settle()


def questions(made: Relay) -> int:
    return last(made).kinds().count("P")


async def test_where_a_user_is_looked_up() -> None:
    databases = {
        "app": DatabaseSettings("app", hosts=("h",)),
        "own": DatabaseSettings("own", hosts=("h",), auth_user="me", auth_query="q $1", auth_dbname="app"),
        "off": DatabaseSettings("off", hosts=("h",), disabled=True),
        "*": DatabaseSettings("*", hosts=("h",)),
    }
    async with asking(databases=databases, auth_query="Q $1") as (made, queries):
        assert queries.source_of("app") == Source("app", "asker", "Q $1")
        assert queries.source_of("own") == Source("app", "me", "q $1")
        assert queries.source_of("any") == Source("any", "asker", "Q $1")
        for name in ("off", "trunkline", "pgbouncer"):
            assert queries.source_of(name) is None
        made.pools.config = replace(made.pools.config, settings=replace(made.pools.config.settings, auth_dbname="own"))
        assert queries.source_of("app") == Source("own", "asker", "Q $1")
        assert queries.source_of("pgbouncer") == Source("own", "asker", "Q $1")


async def test_without_an_asker_nobody_is_found() -> None:
    async with asking(auth_user="") as (made, queries):
        assert await queries.ask("app", "alice") is None
        assert not made.opener.calls


async def test_who_comes_while_an_answer_is_under_way_shares_the_next_one() -> None:
    async with asking() as (made, queries):
        first = await begin(made, queries)
        later = [await begin(made, queries) for _ in range(3)]
        assert questions(made) == 1
        await answer(made, row(b"alice", b"old"))
        assert (await first).text == "old"
        assert not any(task.done() for task in later)
        assert questions(made) == 1
        await answer(made, row(b"alice", b"new"))
        assert {(await task).text for task in later} == {"new"}
        again = await begin(made, queries)
        await answer(made)
        assert await again is None


async def test_who_leaves_does_not_take_the_answer_from_the_others() -> None:
    async with asking() as (made, queries):
        tasks = [await begin(made, queries) for _ in range(3)]
        for task in tasks[:2]:
            task.cancel()
        await made.settle()
        await answer(made, row(b"alice", b"old"))
        await answer(made, row(b"alice", b"new"))
        assert (await tasks[2]).text == "new"


async def test_mocks_are_of_the_kind_that_was_found_last() -> None:
    seed = LoginSeed(b"s" * 32, SecretKind.PLAIN)
    async with asking() as (made, queries):
        assert queries.seed("app", seed).kind is SecretKind.SCRAM
        task = await begin(made, queries)
        await answer(made, row(b"alice", b"md5" + b"0" * 32))
        await task
        assert queries.seed("app", seed).kind is SecretKind.MD5
        assert queries.seed("nowhere", seed) is seed


@pytest.mark.parametrize("sqlstate", ["22021", "3D000"])
async def test_names_that_cannot_be_are_nobody(sqlstate: str) -> None:
    async with asking() as (made, queries):
        task = await begin(made, queries)
        await answer(made, error(sqlstate, "no such thing"))
        assert await task is None


@pytest.mark.parametrize("said", [row(b"alice"), row(b"alice", b"x") * 2, error("42501", "permission denied")])
async def test_a_wrong_answer_is_the_operators_to_mend(said: bytes) -> None:
    async with asking() as (made, queries):
        task = await begin(made, queries)
        await answer(made, said)
        with pytest.raises(AuthUnavailable, match="bouncer config error"):
            await task


async def test_a_server_that_is_away_is_said_to_be() -> None:
    async with asking() as (made, queries):
        made.opener.refusal = ServerUnavailable("cannot connect to the server")
        with pytest.raises(ServerUnavailable):
            await queries.ask("app", "alice")
        made.opener.refusal = None
        task = await begin(made, queries)
        await answer(made, row(b"alice", b"x"))
        assert (await task).text == "x"


async def test_connections_that_are_idle_or_old_are_closed_and_a_reload_replaces_them() -> None:
    async with asking(server_idle_timeout=60.0, server_lifetime=100.0) as (made, queries):
        for end in (lambda: queries.tick(made.pools.now + 61), queries.reconfigure):
            task = await begin(made, queries)
            queries.tick(made.pools.now + 61)  # it is in use
            await answer(made)
            await task
            queries.tick(made.pools.now + 1)
            assert len(made.pools.control) == 1
            end()
            assert len(made.pools.control) == 0
        task = await begin(made, queries)
        await answer(made)
        await task
        queries.tick(made.pools.now + 101)
        assert len(made.pools.control) == 0
