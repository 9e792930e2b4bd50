"""What is needed whole is given back whole, with what had come before."""

from __future__ import annotations

from tests.unit.relay import query, relay
from trunkline.proxy.collector import Collector


async def test_it_gives_everything_back_once_there_is_enough() -> None:
    async with relay() as made:
        link, client = made.client()
        _, far = made.server()
        asked = query(b"SELECT 1") + query(b"SELECT 2")
        Collector(link, len(asked))
        client.send(asked[:10])
        made.turn()
        assert far.bytes() == b""
        client.send(asked[10:])
        made.turn()
        assert far.bytes() == asked
