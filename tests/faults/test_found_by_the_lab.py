"""What the lab has found: each fault that it met by chance, made on purpose."""

from __future__ import annotations

from tests.faults.guard import log_in
from tests.faults.scripted_server import GREETING, Peer, ScriptedServer
from tests.integration.proxy import Proxy
from tests.integration.wire import rows


async def test_row_1_a_server_that_ends_as_soon_as_it_has_let_us_in_is_not_leased(
    proxy: Proxy, hostile_port: int
) -> None:
    """Its last word and its end arrive together; a connection that is closed by then must not count as opened."""

    async def script(peer: Peer) -> None:
        await peer.startup()
        await peer.send(GREETING)
        if peer.number:
            await peer.serve()

    async with ScriptedServer(hostile_port, script), await log_in(proxy, "ends at once") as wire:
        assert rows(await wire.query("SELECT 1")) == [[b"SELECT 1"]]
