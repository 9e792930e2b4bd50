"""Who a client is and where it came from, as the log and the console show it."""

from __future__ import annotations

from tests.unit.relay import relay
from trunkline.proxy.identity import Identity, Peer


def test_a_tcp_peer_is_its_address_and_port() -> None:
    peer = Peer(("10.0.0.1", 5000), ("10.0.0.2", 6432))
    assert str(peer) == "10.0.0.1:5000"
    assert (peer.is_unix, peer.local_host, peer.local_port) == (False, "10.0.0.2", 6432)


def test_an_ipv6_peer_has_four_parts_of_which_two_count() -> None:
    peer = Peer(("::1", 5000, 0, 0), ("::1", 6432, 0, 0))
    assert (peer.host, peer.port, peer.local_port) == ("::1", 5000, 6432)


def test_a_peer_at_a_socket_file_has_no_address() -> None:
    peer = Peer("", "/tmp/.s.PGSQL.6432")
    assert (str(peer), peer.is_unix, peer.host, peer.port) == ("unix", True, "unix", 0)


async def test_repr_shows_database_user_and_peer_and_no_key() -> None:
    async with relay() as made:
        identity = Identity(made.clients, Peer(("10.0.0.1", 5000), ("10.0.0.2", 6432)))
        identity.database, identity.user, identity.key = "app", "alice", b"secret-key"
        assert repr(identity) == "app/alice@10.0.0.1:5000"
