"""Who takes part in a transaction over several shards."""

from __future__ import annotations

import asyncio

from tests.unit.relay import IN_TRANSACTION, READY, query, relay
from trunkline.execution.spread.coordination import Coordinations
from trunkline.execution.spread.participants import Participants
from trunkline.protocol.messages import command_complete, message


async def test_who_comes_later_is_told_how_the_block_began() -> None:
    async with relay() as made:
        _, far = made.server()
        participants = Participants([made.pool], made.engine, None, Coordinations(made.pools).of("app"))
        participants.beginning = [b"BEGIN", b"SAVEPOINT a"]
        found = asyncio.ensure_future(participants.at(0))
        await asyncio.sleep(0)
        assert far.bytes() == query(b"BEGIN; SAVEPOINT a; SHOW transaction_isolation")
        level = message(b"D", b"\0\1\0\0\0\x0eread committed")
        far.send(
            command_complete("BEGIN"), command_complete("SAVEPOINT"), level, command_complete("SHOW"), IN_TRANSACTION
        )
        made.turn()
        assert (await found).status == "T"
        assert await participants.at(0) is await found


async def test_a_transaction_of_our_own_is_undone_as_a_whole() -> None:
    async with relay() as made:
        server, far = made.server()
        participants = Participants([made.pool], made.engine, None, Coordinations(made.pools).of("app"))
        await participants.at(0)
        begun = asyncio.ensure_future(participants.begin())
        await made.settle()
        far.send(command_complete("BEGIN"), IN_TRANSACTION)
        made.turn()
        await begun
        assert participants.in_transaction
        far.bytes()
        undone = asyncio.ensure_future(participants.rollback())
        await made.settle()
        assert far.bytes() == query(b"ROLLBACK")
        far.send(command_complete("ROLLBACK"), READY)
        made.turn()
        await undone
        assert server.place is made.pool.idle
        assert not participants.in_transaction


async def test_one_lease_of_each_shard_is_enough() -> None:
    async with relay() as made:
        made.server()
        participants = Participants([made.pool], made.engine, None, Coordinations(made.pools).of("app"))
        assert await participants.at_all(0b1) == [await participants.at(0)]
        participants.release()
        assert list(participants) == []
