"""The sending half: gathered runs arrive whole and in order, whatever the peer takes at once."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.relay import READY, SYNC, bind, error, execute, parse, query, relay
from trunkline.protocol.messages import BIND_COMPLETE, PARSE_COMPLETE, command_complete


@pytest.mark.parametrize("count", [1, 15, 16, 17, 31, 32, 33, 64, 500])
async def test_any_number_of_pieces_goes_out_in_order(count: int) -> None:
    """Around the most that one system call takes, and far above it."""
    async with relay() as made:
        _, client = made.client()
        _, far = made.server()
        client.send(parse(b"mine"), *(bind(b"mine", b"%d" % number) for number in range(count)), SYNC)
        made.turn()
        sent = far.frames()
        assert [body.split(b"\0")[0] for kind, body in sent if kind == "B"] == [b"%d" % n for n in range(count)]


async def test_pieces_that_the_peer_does_not_take_are_kept_in_order() -> None:
    async with relay() as made:
        _, client = made.client()
        server, far = made.server()
        batch = parse(b"mine") + b"".join(bind(b"mine", b"p%d" % number) for number in range(1000)) + SYNC
        expected = 0
        while not server.unsent_count:
            client.send(query(b"x" * 30_000))
            expected += 1
            made.turn(1)
            assert expected < 1000
        client.send(batch)
        kinds = ""
        while not kinds.endswith("S"):
            kinds += far.kinds()
            made.turn(1)
        assert kinds == "Q" * expected + "P" + "B" * 1000 + "S"


async def test_our_own_pieces_and_the_servers_reach_the_client_in_order() -> None:
    async with relay() as made:
        _, client = made.client()
        first, far = made.server()
        client.send(parse(b"a", b"one"), parse(b"b", b"two"), SYNC)
        made.turn()
        far.send(PARSE_COMPLETE, PARSE_COMPLETE, READY)
        made.turn()
        client.frames()
        first.drop("test")
        _, other = made.server()
        client.send(bind(b"a"), execute(), bind(b"b"), execute(), SYNC)
        made.turn()
        assert other.kinds() == "PBEPBES"
        done = command_complete("SELECT 1")
        other.send(PARSE_COMPLETE, BIND_COMPLETE, done, PARSE_COMPLETE, BIND_COMPLETE, done, READY)
        made.turn()
        assert client.kinds() == "2C2CZ"


async def test_last_words_are_heard_while_the_peer_takes_nothing_more() -> None:
    """A server says why it ends and leaves, with much of the query unread: sending fails, reading does not."""
    async with relay() as made:
        _, client = made.client()
        _, far = made.server()
        asked = query(b"SELECT '%s'" % (b"x" * 1_000)) * 240
        for start in range(0, len(asked), 50_000):
            client.send(asked[start : start + 50_000])
            made.turn()
        far.send(error("57P01", "terminating connection", "FATAL"))
        far.close()
        made.turn()
        assert client.frames()[0] == ("E", error("57P01", "terminating connection")[5:])


@settings(max_examples=30)
@given(st.lists(st.integers(0, 70_000), max_size=12))
def test_queries_of_any_sizes_arrive_as_they_were_sent(sizes: list[int]) -> None:
    async def send() -> None:
        async with relay() as made:
            _, client = made.client()
            _, far = made.server()
            arrived = b""
            asked = [query(b"x" * size) for size in sizes]
            for one in asked:
                client.send(one)
                made.turn(1)
                arrived += far.bytes()
            made.turn()
            assert arrived + far.bytes() == b"".join(asked)

    asyncio.run(send())
