"""What a cancel key says among peers, in PgBouncer's layout."""

from __future__ import annotations

import pytest

from trunkline.protocol.messages import cancel_request
from trunkline.protocol.peer_key import HOPS, hops_of, marked, peer_of, with_hops


@pytest.mark.parametrize("peer", [1, 2, 255, 256, 0x1234, 16383])
@pytest.mark.parametrize("pid", [0, 0x7FFFFFFF, 0x12345678])
def test_a_process_id_names_its_peer(pid: int, peer: int) -> None:
    told = marked(pid, peer)
    assert 0 <= told < 1 << 31, "clients take a process id for a positive number"
    assert peer_of(told) == peer
    assert told & 0x7F0000FF == pid & 0x7F0000FF


def test_the_bytes_are_those_of_pgbouncer() -> None:
    """The second and third of eight are the peer, the lower byte first; the lowest bits of the last are the hops."""
    said = cancel_request(marked(0x7FFFFFFF, 0x1234), with_hops(b"\xff\xff\xff\xf0", HOPS))[8:]
    assert said == b"\x7f\x34\x12\xff\xff\xff\xff\xf3"


def test_a_negative_process_id_names_somebody_too() -> None:
    assert peer_of(-1) == 0xFFFF


def test_a_hop_changes_two_bits_of_the_key() -> None:
    key = b"abc\xff"
    assert [hops_of(with_hops(key, hops)) for hops in range(4)] == [0, 1, 2, 3]
    assert with_hops(key, 1) == b"abc\xfd"
    assert with_hops(b"", 1) == b"" and hops_of(b"") == 0
