"""A server for one client alone keeps to the limits of its pool."""

from __future__ import annotations

import asyncio

import pytest

from tests.unit.relay import ADDRESS, relay
from trunkline.errors import NoPrimary, ServerRefused, TooManyConnections
from trunkline.pool.own import open_own
from trunkline.pool.standing import Standing

SETTINGS = ((b"ignore_system_indexes", b"on"),)


async def test_it_is_opened_with_the_clients_settings_and_belongs_to_nobody_else() -> None:
    async with relay() as made:
        server = await open_own(made.pool, SETTINGS)
        assert SETTINGS[0] in made.opener.calls[0].parameters
        assert (server.single_use, server.place) == (True, made.pool.active)
        assert made.pool.servers == 1


async def test_its_end_is_the_end_of_its_lease() -> None:
    async with relay() as made:
        link, _ = made.client(sticky=True)
        server = await open_own(made.pool, SETTINGS)
        link.bind_to(server)
        made.pool.take_back(server)
        assert not server.opened


async def test_a_pool_that_is_full_of_work_refuses() -> None:
    async with relay(default_pool_size=1) as made:
        await open_own(made.pool, SETTINGS)
        with pytest.raises(TooManyConnections):
            await open_own(made.pool, SETTINGS)


async def test_an_idle_server_makes_room() -> None:
    async with relay(default_pool_size=1) as made:
        idle, _ = made.server()
        server = await open_own(made.pool, SETTINGS)
        assert (idle.opened, server.opened) == (False, True)


@pytest.mark.parametrize("limit", ["max_db_connections", "max_user_connections"])
async def test_limits_over_pools_hold_too(limit: str) -> None:
    async with relay(**{limit: 1}) as made:
        await open_own(made.pool, SETTINGS)
        with pytest.raises(TooManyConnections):
            await open_own(made.pool, SETTINGS)


async def test_one_that_was_refused_is_no_longer_counted() -> None:
    async with relay() as made:
        made.opener.refusal = ServerRefused("42501", "permission denied to set parameter")
        with pytest.raises(ServerRefused):
            await open_own(made.pool, SETTINGS)
        assert made.pool.servers == 0


async def test_it_is_opened_once_there_is_a_primary() -> None:
    async with relay() as made:
        made.pool.follow(Standing())
        opening = asyncio.create_task(open_own(made.pool, SETTINGS))
        await made.settle()
        assert made.opener.calls == []
        made.pool.follow(Standing((str(ADDRESS),)))
        assert (await opening).opened


@pytest.mark.parametrize("standing", [Standing(), Standing((), frozenset(), "two claim to be")])
async def test_without_a_primary_it_is_refused_in_the_end(standing: Standing) -> None:
    async with relay(failover_wait=0.01) as made:
        made.pool.follow(standing)
        with pytest.raises(NoPrimary):
            await open_own(made.pool, SETTINGS)
        assert made.pool.servers == 0
