"""Links over real sockets: order, back-pressure, closing so that the last words arrive."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.unit.relay import READY, FarEnd, pair, query, relay
from trunkline.net.engine import Engine
from trunkline.net.link import Link
from trunkline.protocol.messages import command_complete, message

DATA = bytes(range(256)) * 4096  # 1 MiB: more than a socket pair takes at once


class Received:
    """A receiver that keeps everything."""

    def __init__(self) -> None:
        self.data = b""
        self.ended = 0

    def feed(self, data: bytes) -> None:
        self.data += data

    def end(self) -> None:
        self.ended += 1


@asynccontextmanager
async def linked() -> AsyncIterator[tuple[Engine, Link, FarEnd, Received]]:
    engine, (fd, far) = Engine(asyncio.get_running_loop()), pair()
    link, received = Link(engine), Received()
    link.open_inbox(received)
    link.attach(fd)
    try:
        yield engine, link, far, received
    finally:
        link.close()
        far.close()
        engine.close()


async def test_what_the_socket_does_not_take_is_queued_and_sent_in_order() -> None:
    async with linked() as (engine, link, far, _):
        link.write(DATA)
        link.write(b"the end")
        assert link.unsent_count > 0
        arrived = b""
        while len(arrived) < len(DATA) + 7:
            arrived += far.bytes()
            engine.dispatch()
        assert arrived == DATA + b"the end"
        assert link.unsent_count == 0


async def test_a_held_link_is_not_read_until_it_is_let_go() -> None:
    async with linked() as (engine, link, far, received):
        link.hold()
        far.send(b"x")
        engine.dispatch()
        assert received.data == b""
        link.unhold()
        engine.dispatch()
        assert received.data == b"x"


async def test_the_end_of_the_peer_ends_the_link_once() -> None:
    async with linked() as (engine, link, far, received):
        far.close()
        engine.dispatch()
        assert received.ended == 1
        assert not link.opened
        link.close()
        assert received.ended == 1


async def test_bytes_in_front_of_the_end_are_not_lost() -> None:
    async with linked() as (engine, _, far, received):
        far.send(b"last words")
        far.close()
        engine.dispatch()
        assert received.data == b"last words"


async def test_closing_when_sent_lets_the_peer_read_everything() -> None:
    async with linked() as (engine, link, far, received):
        link.write(DATA)
        link.close_when_sent()
        assert link.opened
        arrived = b""
        while not far.closed:
            arrived += far.bytes()
            engine.dispatch()
        assert arrived == DATA
        assert not link.opened
        assert received.ended == 1


async def test_a_closing_link_reads_nothing_more() -> None:
    async with linked() as (engine, link, far, received):
        link.write(DATA)
        link.close_when_sent()
        far.send(b"too late")
        engine.dispatch()
        assert received.data == b""


async def test_a_send_to_a_peer_that_has_gone_is_no_error() -> None:
    async with linked() as (_, link, far, _):
        far.close()
        link.write(b"x")
        link.write(b"y")


async def test_writing_to_a_closed_link_is_no_error() -> None:
    async with linked() as (_, link, _, _):
        link.close()
        link.write(b"x")
        link.close_when_sent()
        link.hold()
        link.unhold()


async def test_every_link_has_a_number_of_its_own() -> None:
    async with linked() as (engine, link, _, _):
        assert Link(engine).id > link.id


# --- back-pressure --------------------------------------------------------------------------------------------------


async def test_a_server_is_not_read_while_its_client_does_not_read() -> None:
    async with relay() as made:
        _, client = made.client()
        server, far = made.server()
        client.send(query(b"select 1"))
        made.turn()
        row = message(b"D", bytes(50_000))
        sent = 0
        while not server.paused:
            far.send(row)
            sent += 1
            made.turn(1)
            assert sent < 1000, "it would be read for ever"
        arrived = b""
        far.socket.setblocking(False)
        while len(arrived) < sent * len(row):
            arrived += client.bytes()
            made.turn(1)
        assert arrived == row * sent
        assert not server.paused
        far.send(command_complete("SELECT"), READY)
        made.turn()
        assert server.place is made.pool.idle


async def test_a_client_is_not_read_while_its_server_does_not_read() -> None:
    async with relay() as made:
        link, client = made.client()
        server, far = made.server()
        asked = query(b"x" * 60_000)
        sent = 0
        while not link.paused:
            client.send(asked)
            sent += 1
            made.turn(1)
            assert sent < 1000, "it would be read for ever"
        arrived = b""
        while len(arrived) < sent * len(asked):
            arrived += far.bytes()
            made.turn(1)
        assert arrived == asked * sent
        assert not link.paused
        assert server.lessee is link
