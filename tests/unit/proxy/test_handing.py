"""From the relay to another session, and back."""

from __future__ import annotations

from tests.unit.relay import READY, query, relay, rows
from trunkline.net.inbox import Inbox
from trunkline.proxy.handing import hand_back


async def test_a_client_that_is_handed_back_is_relayed_again_with_what_it_has_said() -> None:
    async with relay() as made:
        _, far = made.server()
        link, client = made.client()
        inbox = Inbox(link)
        client.send(query(b"select 1"))
        made.turn()
        assert far.bytes() == b""
        made.pool.hold(link)
        hand_back(link, inbox.rest())
        assert not link.blocked
        assert far.bytes() == query(b"select 1")
        far.send(rows(b"1"), READY)
        made.turn()
        assert client.bytes() == rows(b"1") + READY
