"""A server for a moment, given back only on proof."""

from __future__ import annotations

import asyncio

import pytest

from tests.unit.relay import READY, Relay, error, relay, rows
from trunkline.errors import ServerRefused, ServerUnavailable
from trunkline.net.inbox import ConnectionEnded, Inbox
from trunkline.net.tasks import Tasks
from trunkline.protocol.messages import parameter_status
from trunkline.protocol.params import Params
from trunkline.proxy.borrower import borrow, judge

CET = ((b"timezone", b"CET"),)


async def judged(made: Relay, settings: tuple[tuple[bytes, bytes], ...]) -> Params:
    async with borrow(made.pool, made.engine) as server:
        return await judge(made.pool, server, settings)


async def test_an_idle_server_is_lent_and_comes_back() -> None:
    async with relay() as made:
        server, _ = made.server()
        async with borrow(made.pool, made.engine) as borrowed:
            assert borrowed is server
            assert server.place is made.pool.active
        assert server.place is made.pool.idle


async def test_a_borrower_waits_in_line_like_everybody() -> None:
    async with relay() as made:
        async with borrow(made.pool, made.engine) as borrowed:
            assert borrowed.opened
        assert len(made.pool.idle) == 1


async def test_a_server_that_cannot_be_had_is_the_borrowers_error() -> None:
    async with relay(server_login_retry=0.0) as made:
        made.opener.refusal = ServerUnavailable("down")
        with pytest.raises(ServerUnavailable):
            async with borrow(made.pool, made.engine):
                raise AssertionError("there was none")
        assert not made.pool.waiting


async def test_a_borrower_that_gives_up_is_out_of_the_line() -> None:
    async with relay() as made:
        made.pool.paused = True
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01), borrow(made.pool, made.engine):
                raise AssertionError("there was none")
        assert not made.pool.waiting
        assert not made.pool.clients


async def test_a_borrower_whose_asker_leaves_is_out_of_the_line_at_once() -> None:
    async with relay() as made:
        made.pool.paused = True
        link, far = made.client()
        asker = Inbox(link)
        waiting = Tasks().spawn(_borrow_for(made, asker))
        await made.settle(2)
        assert len(made.pool.waiting) == 1
        far.close()
        await made.settle(2)
        assert await waiting
        assert not made.pool.waiting


async def _borrow_for(made: Relay, asker: Inbox) -> bool:
    with pytest.raises(ConnectionEnded):
        async with borrow(made.pool, made.engine, asker):
            raise AssertionError("there was none")
    return asker.on_end is None


async def test_a_server_in_the_middle_of_something_never_comes_back() -> None:
    async with relay() as made:
        server, _ = made.server()
        async with borrow(made.pool, made.engine) as borrowed:
            borrowed.ask(b"select 1", lambda _: None)
        assert not server.opened


async def test_settings_are_judged_by_a_server_and_it_comes_back() -> None:
    async with relay() as made:
        server, far = made.server()
        judging = Tasks().spawn(judged(made, CET))
        await made.settle(2)
        assert b"set_config('TimeZone', 'CET', false)" in far.bytes()
        far.send(rows(b"CET"), parameter_status(b"TimeZone", b"CET"), READY)
        params = await judging
        assert params.reported[b"TimeZone"] == b"CET"
        assert server.place is made.pool.idle


async def test_settings_that_a_server_has_already_need_no_round_trip() -> None:
    async with relay() as made:
        server, far = made.server()
        assert await judged(made, ((b"timezone", b"UTC"),)) is server.params
        assert far.bytes() == b""


async def test_settings_that_are_refused_leave_the_server_as_it_was() -> None:
    async with relay() as made:
        server, far = made.server()
        before = server.params
        judging = Tasks().spawn(_refused(made))
        await made.settle(2)
        far.send(error("22023", "no"), READY)
        assert (await judging).sqlstate == "22023"
        assert server.params.extra == before.extra
        assert server.place is made.pool.idle


async def _refused(made: Relay) -> ServerRefused:
    with pytest.raises(ServerRefused) as refused:
        await judged(made, ((b"work_mem", b"much"),))
    return refused.value


async def test_judging_starts_from_a_fresh_servers_settings() -> None:
    """A server that another client has used has that client's settings: they are not part of the profile."""
    async with relay() as made:
        server, far = made.server()
        server.params = Params.of({b"TimeZone": b"GMT"}, {})
        judging = Tasks().spawn(judged(made, ((b"work_mem", b"1MB"),)))
        await made.settle(2)
        assert b"set_config('TimeZone', 'UTC', false)" in far.bytes()
        far.send(rows(b"x"), parameter_status(b"TimeZone", b"UTC"), READY)
        assert (await judging).reported[b"TimeZone"] == b"UTC"
