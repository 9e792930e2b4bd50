"""A takeover of LISTEN, with both servers in the test's hands."""

from __future__ import annotations

from tests.unit.relay import READY, FarEnd, Relay, relay
from trunkline.pool.server import ServerLink
from trunkline.pool.subscriber import quote_channel
from trunkline.protocol.messages import message


def frame(channel: bytes, payload: bytes = b"") -> bytes:
    return message(b"A", b"\0\0\0\1" + channel + b"\0" + payload + b"\0")


class Takeover:
    """One that has begun: the client's server, the shared connection, and what came of it."""

    def __init__(self, made: Relay) -> None:
        self.made = made
        self.link, self.client = made.client()
        self.server, self.far = made.server()
        made.pool.place_server(self.server, made.pool.active)
        self.link.bind_to(self.server)
        self.outcome: list[bool] = []
        made.pools.listeners.take_over(made.pool, self.link, [b"news"], self.outcome.append)

    @property
    def shared(self) -> tuple[ServerLink, FarEnd]:
        return self.made.opener.opened[-1]

    async def answer(self, far: FarEnd, *frames: bytes) -> str:
        """What was asked; it is answered with these frames."""
        await self.made.settle()
        [(_, body)] = far.frames()
        far.send(*frames, READY)
        await self.made.settle()
        return body.rstrip(b"\0").decode()


async def test_it_goes_through_a_mark_that_both_connections_meet() -> None:
    async with relay() as made:
        it = Takeover(made)
        await made.settle()
        _, shared = it.shared
        asked = await it.answer(shared)
        mark_channel = next(iter(made.pools.listeners.shared.values())).mark_channel
        assert asked == f'LISTEN "{mark_channel.decode()}"; LISTEN "news"'
        it.far.send(frame(b"news", b"before"))
        shared.send(frame(b"news", b"before"))
        await made.settle()
        [(_, body)] = it.far.frames()
        nonce = body.split(b"'")[1]
        it.far.send(frame(mark_channel, nonce), READY, frame(b"news", b"behind"))
        await made.settle()
        assert it.outcome == []
        shared.send(frame(mark_channel, nonce), frame(b"news", b"behind"))
        assert await it.answer(it.far) == "UNLISTEN *"
        assert it.outcome == [True]
        it.link.listening.unit_over()
        assert it.client.bytes() == frame(b"news", b"before") + frame(b"news", b"behind")


async def test_without_a_shared_connection_the_client_keeps_its_server() -> None:
    async with relay() as made:
        it = Takeover(made)
        await made.settle()
        it.shared[1].close()
        await made.settle()
        assert it.outcome in ([False], [])
        assert not made.pools.listeners.shared


async def test_its_loss_ends_who_listened_by_it() -> None:
    async with relay() as made:
        it = Takeover(made)
        await made.settle()
        link, shared = it.shared
        await it.answer(shared)
        subscriber = it.link.listening
        subscriber.live.add(b"news")
        shared.close()
        await made.settle()
        assert not link.opened
        assert it.link.listening is None


def test_a_channel_is_quoted() -> None:
    assert quote_channel(b'a "b"') == b'"a ""b"""'
