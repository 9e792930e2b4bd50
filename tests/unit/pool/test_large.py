"""Parse messages that come in pieces: remembered, so that they follow their client like any other."""

from __future__ import annotations

import pytest

from tests.unit.relay import READY, SYNC, FarEnd, Relay, bind, execute, parse, relay
from trunkline.protocol.messages import BIND_COMPLETE, PARSE_COMPLETE, command_complete, message, query

DONE = command_complete("SELECT 1")
REFUSED = message(b"E", b"SERROR\0VERROR\0C42601\0Mno\0\0")
TEXT = b"select '" + b"x" * 200_000 + b"'"


def send_in_pieces(made: Relay, client: FarEnd, data: bytes, size: int = 30_000) -> None:
    for at in range(0, len(data), size):
        client.send(data[at : at + size])
        made.turn()


def read_in_pieces(made: Relay, far: FarEnd, kinds: str) -> list[tuple[str, bytes]]:
    """The frames of these kinds, which may need several turns to pass."""
    frames: list[tuple[str, bytes]] = []
    for _ in range(100):
        made.turn()
        frames += far.frames()
        if len(frames) >= len(kinds):
            break
    assert "".join(kind for kind, _ in frames) == kinds
    return frames


@pytest.mark.parametrize("name", [b"", b"large"])
async def test_it_goes_to_another_server_whole(name: bytes) -> None:
    async with relay() as made:
        _, client = made.client()
        first, far_first = made.server()
        send_in_pieces(made, client, parse(name, TEXT) + SYNC)
        [(_, parsed), _] = read_in_pieces(made, far_first, "PS")
        assert parsed.split(b"\0", 1)[1].startswith(TEXT + b"\0")
        far_first.send(PARSE_COMPLETE, READY)
        made.turn()
        assert client.kinds() == "1Z"
        assert first.place is made.pool.idle  # its client does not keep it
        first.drop("test")
        _, far = made.server()
        client.send(bind(name), execute(), SYNC)
        frames = read_in_pieces(made, far, "PBES")
        assert frames[0][1].split(b"\0", 1)[1] == parsed.split(b"\0", 1)[1]
        far.send(PARSE_COMPLETE, BIND_COMPLETE, DONE, READY)
        made.turn()
        assert client.kinds() == "2CZ"


@pytest.mark.parametrize("name", [b"", b"large"])
async def test_one_that_fails_is_forgotten(name: bytes) -> None:
    async with relay() as made:
        link, client = made.client()
        server, far = made.server()
        send_in_pieces(made, client, parse(name, TEXT) + SYNC)
        read_in_pieces(made, far, "PS")
        far.send(REFUSED, READY)
        made.turn()
        assert client.kinds() == "EZ"
        assert (link.unnamed, link.names or {}, list(server.prepared)) == (None, {}, [])


async def test_an_error_before_its_end_leaves_the_statement_before_it() -> None:
    async with relay() as made:
        link, client = made.client()
        _, far = made.server()
        client.send(parse(b"", b"select 1"), SYNC)
        made.turn()
        far.kinds()
        far.send(PARSE_COMPLETE, READY)
        made.turn()
        before = link.unnamed
        large = bind(b"unknown") + parse(b"", TEXT)
        client.send(large[:100_000])
        read_in_pieces(made, far, "B")
        far.send(REFUSED)
        made.turn()
        send_in_pieces(made, client, large[100_000:] + SYNC)
        assert link.unnamed == before


async def test_room_is_made_before_it_and_not_within_it() -> None:
    async with relay(max_prepared_statements=1) as made:
        _, client = made.client()
        server, far = made.server()
        send_in_pieces(made, client, parse(b"a", b"select 1") + parse(b"b", TEXT) + SYNC)
        read_in_pieces(made, far, "PCPS")
        assert len(server.prepared) == 1


async def test_one_that_is_too_large_keeps_its_client_at_its_server() -> None:
    async with relay() as made:
        link, client = made.client()
        _, far = made.server()
        enormous = parse(b"", b"select '" + b"x" * (5 << 20) + b"'") + SYNC
        received = b""
        for at in range(0, len(enormous), 60_000):
            client.send(enormous[at : at + 60_000])
            made.turn()
            received += far.bytes()
        assert received.endswith(SYNC)
        far.send(PARSE_COMPLETE, READY)
        made.turn()
        assert link.sticky


async def test_a_simple_query_ends_one() -> None:
    async with relay() as made:
        link, client = made.client()
        _, far = made.server()
        send_in_pieces(made, client, parse(b"", TEXT) + SYNC + query(b"select 1"))
        read_in_pieces(made, far, "PSQ")
        assert link.unnamed is None
