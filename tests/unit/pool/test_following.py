"""A pool without a primary, and with another one than before."""

from __future__ import annotations

import asyncio

import pytest

from tests.unit.relay import ADDRESS, IN_TRANSACTION, query, relay
from trunkline.errors import NoPrimary, ServerUnavailable
from trunkline.pool.policy import Trouble
from trunkline.pool.standing import Standing
from trunkline.protocol.messages import command_complete

NAME = str(ADDRESS)
THERE = Standing((NAME,))
NOWHERE = Standing()
DISPUTED = Standing((), frozenset({NAME}), "two claim to be")


async def test_a_statement_waits_while_there_is_no_primary_and_goes_on_with_the_next() -> None:
    async with relay() as made:
        idle, _ = made.server()
        made.pool.follow(THERE)
        made.pool.follow(NOWHERE)
        assert not idle.opened
        _, client = made.client()
        client.send(query(b"select 1"))
        await made.settle()
        assert (len(made.pool.waiting), made.opener.calls) == (1, [])
        made.pool.follow(THERE)
        await made.settle()
        assert made.opener.opened[1][1].bytes() == query(b"select 1")


async def test_what_was_being_opened_elsewhere_does_not_count_any_more() -> None:
    async with relay() as made:
        made.pool.follow(THERE)
        made.opener.gate = asyncio.Event()
        _, client = made.client()
        client.send(query(b"select 1"))
        await made.settle()
        made.pool.trouble = Trouble(0.0, 3, float("inf"))
        made.opener.gate = None
        made.pool.follow(Standing(("elsewhere",)))
        await made.settle()
        assert made.pool.trouble is None
        assert made.opener.opened[0][1].bytes() == query(b"select 1")


async def test_a_paused_pool_stays_so_when_a_primary_is_found_and_one_without_a_primary_when_it_is_resumed() -> None:
    async with relay() as made:
        made.pool.pause()
        made.pool.follow(NOWHERE)
        made.pool.follow(THERE)
        assert made.pool.paused
        made.pool.follow(NOWHERE)
        made.pool.resume()
        assert made.pool.paused
        made.pool.follow(THERE)
        assert not made.pool.paused


async def test_a_transaction_at_a_deposed_server_is_ended_and_its_client_stays() -> None:
    async with relay() as made:
        server, far = made.server()
        _, client = made.client()
        client.send(query(b"begin"))
        made.turn()
        far.send(command_complete("BEGIN"), IN_TRANSACTION)
        made.turn()
        client.bytes()
        made.pool.follow(Standing(("elsewhere",), frozenset({NAME})))
        assert not server.opened
        client.send(query(b"select 1"))
        made.turn()
        assert b"C08006" in client.bytes()
        assert not client.closed


async def test_nobody_waits_for_the_end_of_a_dispute() -> None:
    async with relay() as made:
        _, client = made.client()
        made.pool.follow(DISPUTED)
        client.send(query(b"select 1"))
        await made.settle()
        said = client.bytes()
        assert b"C57P03" in said
        assert b"no server is believed to be the primary" in said
        assert not client.closed


@pytest.mark.parametrize(("waited_s", "is_refused"), [(4.9, False), (5.1, True)])
async def test_nobody_waits_longer_than_failover_wait(waited_s: float, is_refused: bool) -> None:
    async with relay(failover_wait=5.0) as made:
        made.pool.follow(NOWHERE)
        _, client = made.client()
        client.send(query(b"select 1"))
        await made.settle()
        made.pool.tick(made.pools.now + waited_s)
        await made.settle()
        assert (b"there is no primary" in client.bytes()) is is_refused
        assert len(made.pool.waiting) == (not is_refused)


async def test_the_wait_for_a_primary_begins_with_its_loss_and_pause_does_not_count() -> None:
    async with relay(failover_wait=5.0, query_wait_timeout=0.0) as made:
        made.pool.pause()
        _, client = made.client()
        client.send(query(b"select 1"))
        await made.settle()
        made.pool.follow(NOWHERE)
        made.pool.tick(made.pools.now + 6)
        assert len(made.pool.waiting) == 1
        made.pool.resume()
        made.pool.tick(made.pools.now + 6)
        assert not made.pool.waiting


async def test_who_opens_a_server_of_its_own_waits_for_a_primary_too() -> None:
    async with relay(failover_wait=0.05) as made:
        made.pool.follow(NOWHERE)
        waiting = asyncio.create_task(made.pool.until_primary())
        await made.settle()
        assert not waiting.done()
        made.pool.follow(THERE)
        await waiting
        made.pool.follow(NOWHERE)
        with pytest.raises(NoPrimary):
            await made.pool.until_primary()
        made.pool.follow(DISPUTED)
        with pytest.raises(NoPrimary, match="is believed"):
            await made.pool.until_primary()


async def test_a_server_in_recovery_is_no_primary() -> None:
    async with relay() as made:
        made.pool.follow(THERE)
        made.opener.params = made.opener.params.with_reported(b"in_hot_standby", b"on")
        server, _ = made.opener.connect(made.pool)
        made.pool.place_server(server, made.pool.logging_in)
        with pytest.raises(ServerUnavailable, match="is in recovery"):
            made.pool.check_role(server)
        assert not server.opened
        made.pool.follow(None)
        made.pool.check_role(made.opener.connect(made.pool)[0])  # that is what the settings may want


async def test_why_there_is_none_is_said_without_addresses() -> None:
    async with relay() as made:
        made.pool.follow(NOWHERE)
        assert made.pool.no_primary().message == "there is no primary"
        made.pool.follow(DISPUTED)
        error = made.pool.no_primary()
        assert isinstance(error, NoPrimary)
        assert error.detail == "More than one of them claims to be."
