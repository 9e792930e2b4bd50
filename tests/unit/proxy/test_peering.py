"""Cancel requests for clients of peers, and for our own that come by way of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from tests.unit.relay import Relay, config, query
from trunkline.config.settings import Config, PeerSettings
from trunkline.protocol.messages import cancel_request
from trunkline.protocol.peer_key import HOPS, hops_of, marked, peer_of, with_hops
from trunkline.proxy.clients import PID_ATTEMPTS

KEY = b"abc\xf3"


class Peer:
    """Somebody who takes requests on a port of his own, and closes when the test says so."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.writers: list[asyncio.StreamWriter] = []
        self.came = asyncio.Event()
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.heard.append(await reader.readexactly(16))
        self.writers.append(writer)
        self.came.set()

    async def next(self) -> bytes:
        await self.came.wait()
        self.came.clear()
        return self.heard[-1]


@asynccontextmanager
async def listening() -> AsyncIterator[Peer]:
    peer = Peer()
    server = await asyncio.start_server(peer.serve, "127.0.0.1", 0)
    peer.port = server.sockets[0].getsockname()[1]
    try:
        yield peer
    finally:
        server.close()
        for writer in peer.writers:
            writer.close()


def one_of_two(port: int, *, number: int = 1, **peer: int) -> Config:
    """Number 1, whose peer 2 is behind a port."""
    made = config(peer_id=number, query_timeout=0.0)
    return replace(made, peers={2: PeerSettings(2, "127.0.0.1", port, **peer)})


@asynccontextmanager
async def made(configuration: Config) -> AsyncIterator[Relay]:
    relay = Relay(configuration)
    try:
        yield relay
    finally:
        await relay.clients.tasks.cancel()
        await relay.close()


async def test_a_client_is_told_a_key_that_names_this_program() -> None:
    async with made(one_of_two(1, number=300)) as relay:
        link, _ = relay.client()
        assert peer_of(link.session.pid) == 300
        assert len(link.session.key) == 4 and hops_of(link.session.key) == HOPS
        relay.clients.tell_pid(link, 7)
        assert peer_of(link.session.pid) == 300, "the process id of a server says nothing to peers"


async def test_a_request_for_a_peer_s_client_goes_there_one_hop_older() -> None:
    async with listening() as peer, made(one_of_two(peer.port)) as relay:
        pid = marked(1, 2)
        heard = relay.clients.cancels.request(pid, KEY)
        assert heard is not None
        assert await peer.next() == cancel_request(pid, with_hops(KEY, HOPS - 1))
        assert not heard.done(), "the requester hears of the end when the peer has done it"
        pool = relay.clients.cancels.peering.pools[2]
        assert (pool.waiting, pool.connecting, pool.active) == (0, 0, 1)
        peer.writers[0].close()
        await heard
        assert pool.active == 0
        assert relay.clients.cancels.counts["passed_on"] == 1


async def test_a_request_that_has_gone_round_is_passed_on_no_more() -> None:
    async with made(one_of_two(1)) as relay:
        assert relay.clients.cancels.request(marked(1, 2), with_hops(KEY, 0)) is None
        assert relay.clients.cancels.counts["wrong_key"] == 1


async def test_a_request_for_nobody_s_client_is_passed_on_to_nobody() -> None:
    async with made(one_of_two(1)) as relay:
        assert relay.clients.cancels.request(marked(1, 3), KEY) is None
        assert relay.clients.cancels.request(marked(1, 1), KEY) is None


async def test_without_a_number_of_its_own_a_program_passes_nothing_on() -> None:
    async with made(one_of_two(1, number=0)) as relay:
        assert relay.clients.cancels.request(marked(1, 2), KEY) is None


async def test_our_client_is_found_by_a_request_that_came_by_way_of_peers() -> None:
    async with made(one_of_two(1)) as relay:
        link, client = relay.client()
        relay.server()
        client.send(query(b"select 1"))
        relay.turn()
        for hops in range(HOPS):
            asked = relay.clients.cancels.request(link.session.pid, with_hops(link.session.key, hops))
            assert asked is not None, "the first stops it, and the others wait until that is done"
        assert relay.clients.cancels.counts["accepted"] == HOPS


async def test_no_more_requests_than_its_pool_has_room_for_are_at_a_peer() -> None:
    async with listening() as peer, made(one_of_two(peer.port, pool_size=1)) as relay:
        first, second = (relay.clients.cancels.request(marked(number, 2), KEY) for number in (1, 2))
        assert first is not None and second is not None
        assert await peer.next() == cancel_request(marked(1, 2), with_hops(KEY, HOPS - 1))
        assert relay.clients.cancels.peering.pools[2].waiting == 1
        peer.writers[0].close()
        assert await peer.next() == cancel_request(marked(2, 2), with_hops(KEY, HOPS - 1))
        peer.writers[1].close()
        await asyncio.gather(first, second)


async def test_a_peer_that_is_down_costs_its_requests_only(caplog: pytest.LogCaptureFixture) -> None:
    async with listening() as peer:
        port = peer.port
    async with made(one_of_two(port)) as relay:
        lost = relay.clients.cancels.request(marked(1, 2), KEY)
        assert lost is not None
        await lost
        pool = relay.clients.cancels.peering.pools[2]
        assert (pool.waiting, pool.connecting, pool.active) == (0, 0, 0)
    assert "cancel request for peer 2 was lost" in caplog.text


async def test_a_peer_that_says_nothing_is_waited_for_as_long_as_for_a_server(caplog: pytest.LogCaptureFixture) -> None:
    async with listening() as peer:
        configuration = one_of_two(peer.port, pool_size=1)
        configuration = replace(configuration, settings=replace(configuration.settings, cancel_wait_timeout=0.05))
        async with made(configuration) as relay:
            both = [relay.clients.cancels.request(marked(number, 2), KEY) for number in (1, 2)]
            await asyncio.gather(*(one for one in both if one is not None))
            pool = relay.clients.cancels.peering.pools[2]
            assert (pool.waiting, pool.connecting, pool.active) == (0, 0, 0)
    assert caplog.text.count("TimeoutError") == 2


async def test_clients_of_one_process_id_are_told_apart_by_their_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer has 32,768 process ids."""
    monkeypatch.setattr("trunkline.proxy.clients.secrets.randbits", lambda bits: 5)
    async with made(one_of_two(1)) as relay:
        links = [relay.client()[0] for _ in range(3)]
        assert len({link.session.pid for link in links}) == 1 and PID_ATTEMPTS > 1
        assert [relay.clients.cancels._find(link.session.pid, link.session.key) for link in links] == links
        assert len(relay.clients) == 3
