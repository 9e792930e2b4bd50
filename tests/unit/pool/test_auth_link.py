"""The connection on which auth_query is asked."""

from __future__ import annotations

import asyncio

import pytest

from tests.unit.relay import READY, FarEnd, Relay, error, relay
from trunkline.errors import ServerProtocolViolation, ServerRefused, ServerUnavailable
from trunkline.pool.auth_link import AuthLink, Source
from trunkline.protocol.messages import message

SOURCE = Source("app", "asker", "SELECT name, secret FROM users WHERE name = $1")


def row(*values: bytes) -> bytes:
    body = len(values).to_bytes(2, "big") + b"".join(len(one).to_bytes(4, "big") + one for one in values)
    return message(b"D", body)


async def asked(made: Relay, link: AuthLink, user: str = "alice") -> asyncio.Task[object]:
    task = asyncio.get_running_loop().create_task(link.ask(user))
    await made.settle()
    return task


def last(made: Relay) -> FarEnd:
    return made.opener.opened[-1][1]


async def test_the_name_goes_as_a_parameter_and_the_rows_come_back() -> None:
    async with relay() as made:
        link = AuthLink(made.pools, SOURCE)
        name = "x'; DROP TABLE users; --"
        task = await asked(made, link, name)
        frames = last(made).frames()
        assert "".join(kind for kind, _ in frames) == "PBES"
        assert name.encode() not in frames[0][1]
        assert SOURCE.sql.encode() in frames[0][1]
        assert frames[1][1].count(name.encode()) == 1
        last(made).send(
            message(b"1", b""), message(b"2", b""), row(b"alice", b"x"), message(b"C", b"SELECT 1\0"), READY
        )
        await made.settle()
        assert await task == [(b"alice", b"x")]
        assert len(made.pools.control) == 1
        assert made.opener.calls[0].credentials.user == "asker"
        link.close("done")


async def test_a_refusal_keeps_the_connection_and_an_open_transaction_does_not() -> None:
    async with relay() as made:
        link = AuthLink(made.pools, SOURCE)
        for ready in (READY, message(b"Z", b"T")):
            task = await asked(made, link)
            last(made).send(error("42501", "permission denied"), ready)
            await made.settle()
            with pytest.raises(ServerRefused, match="permission denied"):
                await task
        assert len(made.opener.opened) == 1
        assert len(made.pools.control) == 0


async def test_a_connection_that_was_lost_is_replaced_once() -> None:
    async with relay() as made:
        link = AuthLink(made.pools, SOURCE)
        task = await asked(made, link)
        last(made).send(READY)
        await made.settle()
        assert await task == []
        last(made).send(error("57P01", "terminating connection"))
        last(made).close()
        task = await asked(made, link)
        assert len(made.opener.opened) == 2
        last(made).close()
        await made.settle()
        with pytest.raises(ServerUnavailable):
            await task


async def test_who_waits_while_nobody_can_be_reached_hears_it_with_the_first() -> None:
    async with relay() as made:
        link = AuthLink(made.pools, SOURCE)
        made.opener.gate = asyncio.Event()
        made.opener.refusal = ServerUnavailable("cannot connect")
        tasks = [await asked(made, link, user) for user in ("a", "b", "c")]
        made.opener.gate.set()
        assert [str(said) for said in await asyncio.gather(*tasks, return_exceptions=True)] == ["cannot connect"] * 3
        assert len(made.opener.calls) == 1


async def test_what_no_server_would_answer_ends_the_connection() -> None:
    async with relay() as made:
        for said in (message(b"G", b""), b"D\x7f\xff\xff\xff"):
            link = AuthLink(made.pools, SOURCE)
            task = await asked(made, link)
            last(made).send(said)
            await made.settle()
            with pytest.raises(ServerProtocolViolation):
                await task
            assert len(made.pools.control) == 0


async def test_a_server_that_does_not_answer_is_left() -> None:
    async with relay(server_connect_timeout=0.01) as made:
        with pytest.raises(ServerUnavailable, match="timed out"):
            await AuthLink(made.pools, SOURCE).ask("alice")
        assert len(made.pools.control) == 0


async def test_a_retired_connection_answers_who_waits_and_is_closed() -> None:
    async with relay() as made:
        link = AuthLink(made.pools, SOURCE)
        task = await asked(made, link)
        link.retire()
        last(made).send(READY)
        await made.settle()
        assert await task == []
        assert len(made.pools.control) == 0
        assert "asker@app" in repr(link)
