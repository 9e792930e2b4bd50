"""TLS over a link: handshakes, data both ways, an end that can be told from a cut."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.certificates import Authority
from tests.unit.relay import pair
from trunkline.net.engine import Engine
from trunkline.net.inbox import ConnectionEnded, Inbox
from trunkline.net.link import Link
from trunkline.net.tls import ALPN, TlsChannel


@pytest.fixture(scope="module")
def contexts(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """(server's, client's)"""
    directory: Path = tmp_path_factory.mktemp("tls")
    authority = Authority()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(*authority.issue("localhost").write(directory, "server"))
    server.load_verify_locations(authority.write(directory))
    server.verify_mode = ssl.CERT_OPTIONAL
    server.set_alpn_protocols([ALPN])
    client = ssl.create_default_context(cafile=str(authority.write(directory)))
    client.load_cert_chain(*authority.issue("alice").write(directory, "client"))
    client.set_alpn_protocols([ALPN])
    return server, client


class Sides:
    """Two links of one process that speak TLS with each other."""

    def __init__(self) -> None:
        self.engine = Engine(asyncio.get_running_loop())
        (fd, self.far), (self.links, self.inboxes) = pair(), ([], [])
        for descriptor in (fd, self.far.socket.detach()):
            link = Link(self.engine)
            self.inboxes.append(Inbox(link))
            link.attach(descriptor)
            self.links.append(link)

    async def shake(self, server: ssl.SSLContext, client: ssl.SSLContext, host: str = "localhost") -> list[TlsChannel]:
        channels = [TlsChannel(server, server_side=True), TlsChannel(client, server_side=False, host=host)]
        for link, channel in zip(self.links, channels, strict=True):
            link.start_tls(channel)
        await asyncio.gather(*(channel.ready for channel in channels))
        return channels


@pytest.fixture
async def sides() -> AsyncIterator[Sides]:
    made = Sides()
    yield made
    for link in made.links:
        link.close()
    made.engine.close()


Contexts = tuple[ssl.SSLContext, ssl.SSLContext]


async def test_both_sides_agree_and_know_each_other(sides: Sides, contexts: Contexts) -> None:
    server, client = await sides.shake(*contexts)
    assert server.alpn() == client.alpn() == ALPN
    assert server.peer_name() == "alice"
    assert client.peer_name() == "localhost"
    assert client.peer_certificate() is not None
    assert server.describe().startswith("TLSv1.3/TLS_")
    assert all(link.is_tls for link in sides.links)


async def test_data_goes_both_ways_and_more_than_fits_at_once(sides: Sides, contexts: Contexts) -> None:
    await sides.shake(*contexts)
    data = bytes(range(256)) * 4000
    for sender, receiver in ((0, 1), (1, 0)):
        sides.links[sender].write(data)
        assert await sides.inboxes[receiver].take(len(data)) == data


async def test_a_held_link_decrypts_nothing_until_it_is_let_go(sides: Sides, contexts: Contexts) -> None:
    await sides.shake(*contexts)
    sides.links[0].hold()
    sides.links[1].write(b"x")
    for _ in range(5):
        sides.engine.dispatch()
    assert not sides.inboxes[0].data
    assert await sides.inboxes[0].take(1) == b"x"


async def test_closing_says_goodbye(sides: Sides, contexts: Contexts) -> None:
    await sides.shake(*contexts)
    sides.links[0].write(b"last words")
    sides.links[0].close_when_sent()
    assert await sides.inboxes[1].take(10) == b"last words"
    with pytest.raises(ConnectionEnded):
        await sides.inboxes[1].take(1)
    assert not sides.links[0].opened


async def test_a_peer_that_does_not_speak_tls_fails_the_handshake_and_ends_the_link(contexts: Contexts) -> None:
    engine, (fd, far) = Engine(asyncio.get_running_loop()), pair()
    link = Link(engine)
    inbox = Inbox(link)
    link.attach(fd)
    channel = TlsChannel(contexts[0], server_side=True)
    link.start_tls(channel)
    far.send(b"GET / HTTP/1.0\r\n\r\n")
    with pytest.raises(ssl.SSLError):
        await channel.ready
    with pytest.raises(ConnectionEnded):
        await inbox.take(1)
    assert not link.opened
    far.close()
    engine.close()


async def test_a_certificate_for_another_host_is_refused(sides: Sides, contexts: Contexts) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        await sides.shake(*contexts, host="elsewhere.example")


async def test_a_hello_that_has_already_come_is_taken(sides: Sides, contexts: Contexts) -> None:
    """Direct TLS: the first bytes were read to see what they are."""
    client = TlsChannel(contexts[1], server_side=False, host="localhost")
    sides.links[1].start_tls(client)
    await sides.inboxes[0].more()
    server = TlsChannel(contexts[0], server_side=True)
    sides.links[0].start_tls(server, sides.inboxes[0].rest())
    await asyncio.gather(server.ready, client.ready)
    assert server.alpn() == ALPN


async def test_nobody_need_await_a_failed_handshake(contexts: Contexts) -> None:
    channel = TlsChannel(contexts[0], server_side=True)
    channel.finish(ssl.SSLError("broken"))
    channel.finish(None)
    assert not channel.handshaking
