"""A participant, played with the far end of its server's socket."""

from __future__ import annotations

import asyncio

import pytest

from tests.unit.relay import READY, error, query, relay, rows
from trunkline.errors import ServerLost
from trunkline.execution.spread.participant import Participant, as_error, values_of
from trunkline.protocol.messages import SYNC, command_complete, data_row, notice_response
from trunkline.shard_errors import StatementFailed


async def test_it_keeps_its_server_until_it_is_released() -> None:
    async with relay() as made:
        server, far = made.server()
        one = Participant(made.engine, made.pool, 0, None)
        await one.lease()
        asked = asyncio.ensure_future(one.ask(b"select 1"))
        await asyncio.sleep(0)
        assert far.bytes() == query(b"select 1")
        far.send(rows(b"1"), READY)
        made.turn()
        assert await asked == [(b"1",)]
        assert (one.server, server.place) == (server, made.pool.active)
        one.release()
        assert (one.server, server.place) == (None, made.pool.idle)


async def test_an_error_is_raised_behind_the_whole_answer() -> None:
    async with relay() as made:
        _, far = made.server()
        one = Participant(made.engine, made.pool, 0, None)
        await one.lease()
        asked = asyncio.ensure_future(one.ask(b"select 1"))
        await asyncio.sleep(0)
        far.send(error("42P01"), READY)
        made.turn()
        with pytest.raises(StatementFailed) as raised:
            await asked
        assert raised.value.sqlstate == "42P01"


async def test_runs_of_rows_come_whole_and_notices_are_put_aside() -> None:
    async with relay() as made:
        _, far = made.server()
        one = Participant(made.engine, made.pool, 0, None)
        await one.lease()
        one.request(query(b"select"), ("query",))
        told = notice_response("01000", "so it is")
        answer = rows(b"1", b"2")
        far.send(told + answer, READY)
        made.turn()
        assert (await one.message())[0] == ord("T")
        assert one.notices == [told]
        run = await one.run_of_rows()
        assert run == answer[answer.index(b"D\0\0\0") :][: len(run)]
        assert await one.run_of_rows() == b""
        await one.until_ready()


async def test_a_server_in_the_middle_is_not_given_back_as_it_is() -> None:
    async with relay() as made:
        server, far = made.server()
        one = Participant(made.engine, made.pool, 0, None)
        await one.lease()
        one.request(SYNC, ("sync",))
        one.release()
        assert server.place is made.pool.draining
        far.send(READY)
        made.turn()
        assert server.place is made.pool.idle


async def test_what_is_owed_is_dropped_before_something_else_is_asked() -> None:
    async with relay() as made:
        _, far = made.server()
        one = Participant(made.engine, made.pool, 0, None)
        await one.lease()
        assert not one.owes
        one.request(query(b"select 1"), ("query",))
        far.send(data_row([b"1"]))
        made.turn()
        dropped = asyncio.ensure_future(one.discard())
        await made.settle()
        assert one.owes
        assert not dropped.done()
        far.send(command_complete("SELECT 1"), READY)
        made.turn()
        await dropped
        assert not one.owes
        asked = asyncio.ensure_future(one.ask(b"select 2"))
        await made.settle()
        far.send(data_row([b"2"]), command_complete("SELECT 1"), READY)
        made.turn()
        assert await asked == [(b"2",)]
        one.release()


async def test_a_lost_server_is_told_to_who_waits_for_it_and_who_asks_it() -> None:
    async with relay() as made:
        server, _ = made.server()
        one = Participant(made.engine, made.pool, 0, None)
        await one.lease()
        asked = asyncio.ensure_future(one.ask(b"select 1"))
        await asyncio.sleep(0)
        server.drop("somebody has pulled the cable")
        with pytest.raises(ServerLost):
            await asked
        with pytest.raises(ServerLost):
            await one.ask(b"select 1")
        one.release()


def test_values_of_a_row_are_bounded_by_it() -> None:
    assert values_of(b"\0\2\0\0\0\1a\xff\xff\xff\xff") == (b"a", None)
    for short in (b"\0\1\0\0\0\2a", b"\0\1\0\0", b"\0\2\0\0\0\1a"):
        with pytest.raises(ValueError, match="too short"):
            values_of(short)


def test_an_error_of_a_servers_keeps_all_its_fields() -> None:
    body = b"SERROR\0VERROR\0C23505\0Mtwice\0Dthere is one\0tcustomers\0\0"
    failed = as_error(body)
    assert (failed.sqlstate, failed.message, failed.detail, failed.said) == ("23505", "twice", "there is one", body)
