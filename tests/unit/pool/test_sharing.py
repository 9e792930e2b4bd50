"""Pools that share a limit give way to each other."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.unit.relay import READY, FarEnd, Relay, query, relay, rows
from trunkline.config.settings import UserSettings
from trunkline.pool import sharing
from trunkline.pool.server import ServerLink
from trunkline.pool.sharing import TURN_S


@asynccontextmanager
async def busy(servers: int, **settings: int) -> AsyncIterator[tuple[Relay, list[tuple[ServerLink, FarEnd]]]]:
    """All servers that the limit allows run queries of one user, and more of his clients wait."""
    async with relay(**settings) as made:
        opened = [made.server() for _ in range(servers)]
        for _ in range(servers + 1):
            _, client = made.client()
            client.send(query(b"select 1"))
        await made.settle()
        assert (len(made.pool.active), len(made.pool.waiting)) == (servers, 1)
        yield made, opened


async def another(made: Relay, waited_s: float) -> FarEnd:
    """A client of another user, who has waited so long."""
    _, client = made.client(user="other")
    client.send(query(b"select 2"))
    await made.settle()
    sharing.make_room(made.pools, made.pools.pool("app", "other"), made.pools.now + waited_s)
    return client


async def test_a_busy_pool_gives_way_at_the_end_of_a_transaction_to_one_that_has_nothing() -> None:
    async with busy(2, max_db_connections=2) as (made, opened):
        await another(made, 2 * TURN_S)
        ((server, far),) = [one for one in opened if one[0].close_needed]
        assert server.opened
        far.send(rows(b"1"), READY)
        await made.settle()
        assert not server.opened
        assert len(made.pools.pool("app", "other").active) == 1


async def test_nobody_gives_way_before_somebody_has_waited_for_his_turn() -> None:
    async with busy(2, max_db_connections=2) as (made, opened):
        await another(made, TURN_S / 2)
        assert not any(server.close_needed for server, _ in opened)


async def test_one_at_a_time_gives_way_and_none_to_a_pool_that_has_as_many() -> None:
    async with busy(2, max_db_connections=2) as (made, opened):
        await another(made, 2 * TURN_S)
        await another(made, 2 * TURN_S)
        ((_, far),) = [one for one in opened if one[0].close_needed]
        far.send(rows(b"1"), READY)
        await made.settle()
        other = made.pools.pool("app", "other")
        sharing.make_room(made.pools, other, made.pools.now + 2 * TURN_S)
        assert (len(other.active), len(other.waiting)) == (1, 1)
        assert not any(server.close_needed for server, _ in opened if server.opened)


async def test_a_client_that_keeps_its_server_is_not_asked_for_it() -> None:
    async with busy(1, max_db_connections=1) as (made, ((server, _),)):
        assert server.lessee is not None
        made.pool.pin(server.lessee, 1)
        await another(made, 2 * TURN_S)
        assert not server.close_needed


async def test_the_servers_of_a_database_without_that_limit_are_nobodys_business() -> None:
    async with busy(1, default_pool_size=1) as (made, ((server, _),)):
        await another(made, 2 * TURN_S)
        assert not server.close_needed
        assert len(made.pools.pool("app", "other").active) == 1


async def test_what_becomes_free_is_for_who_has_waited_longest() -> None:
    async with relay(max_db_connections=1) as made:
        server, _ = made.server()
        for user in ("u", "other", "u"):
            _, client = made.client(user=user)
            client.send(query(b"select 1"))
            await made.settle()
        assert (len(made.pool.active), len(made.pool.waiting)) == (1, 1)
        server.drop("test")
        await made.settle()
        assert (len(made.pools.pool("app", "other").active), len(made.pool.active)) == (1, 0)


async def test_with_two_limits_only_a_pool_that_is_under_both_can_give_way() -> None:
    users = {"u": UserSettings("u", max_user_connections=1)}
    async with relay(users=users, max_db_connections=5) as made:
        mine, _ = made.server()
        stranger = made.pools.pool("app", "other")
        server, _ = made.opener.connect(stranger)
        stranger.settle(server)
        assert not made.pools.make_room(made.pool)
        assert mine.opened and server.opened
