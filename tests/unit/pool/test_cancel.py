"""A cancel reaches the query it was meant for, or nothing; until it is over its server goes to nobody."""

from __future__ import annotations

from tests.unit.relay import READY, FarEnd, Relay, error, query, relay, rows
from trunkline.errors import ServerUnavailable
from trunkline.pool.server import ServerLink
from trunkline.protocol.messages import cancel_request
from trunkline.proxy.client import ClientLink


async def running(made: Relay) -> tuple[ClientLink, FarEnd, ServerLink, FarEnd]:
    server, far = made.server()
    link, client = made.client()
    client.send(query(b"select pg_sleep(9)"))
    made.turn()
    far.bytes()
    return link, client, server, far


async def test_the_server_hears_its_own_pid_and_key() -> None:
    async with relay() as made:
        _, _, server, _ = await running(made)
        made.pools.cancel(made.pool, server)
        await made.settle()
        assert made.opener.dialed[0].bytes() == cancel_request(server.pid, server.cancel_key)


async def test_cancel_never_reaches_the_next_client() -> None:
    """The query ends by itself while its cancel is under way: the server waits for the signal to be over."""
    async with relay(default_pool_size=1) as made:
        _, client, server, far = await running(made)
        _, other = made.client()
        other.send(query(b"select 'next'"))
        made.pools.cancel(made.pool, server)
        await made.settle()
        far.send(rows(b"1"), READY)
        await made.settle()
        assert client.bytes() == rows(b"1") + READY
        assert server.place is made.pool.canceled
        assert far.bytes() == b""
        made.opener.dialed[0].close()
        await made.settle()
        assert far.bytes() == query(b"select 'next'")


async def test_a_query_that_was_cancelled_gives_its_server_back() -> None:
    async with relay() as made:
        _, client, server, far = await running(made)
        made.pools.cancel(made.pool, server)
        await made.settle()
        made.opener.dialed[0].close()
        await made.settle()
        far.send(error("57014"), READY)
        await made.settle()
        assert client.kinds() == "EZ"
        assert server.place is made.pool.idle


async def test_a_query_that_has_ended_before_we_were_through_is_not_cancelled() -> None:
    async with relay() as made:
        _, _, server, far = await running(made)
        made.pools.cancel(made.pool, server)
        far.send(rows(b"1"), READY)
        made.turn()
        await made.settle()
        assert made.opener.dialed[0].bytes() == b""
        assert server.place is made.pool.idle


async def test_a_cancel_that_is_lost_costs_the_server() -> None:
    async with relay() as made:
        _, _, server, far = await running(made)
        made.opener.refusal = ServerUnavailable("down")
        made.pools.cancel(made.pool, server)
        await made.settle()
        made.opener.refusal = None
        far.send(rows(b"1"), READY)
        await made.settle()
        assert not server.opened


async def test_a_cancel_that_never_ends_costs_the_server() -> None:
    async with relay(cancel_wait_timeout=0.01) as made:
        _, _, server, far = await running(made)
        made.pools.cancel(made.pool, server)
        while server.cancels or not server.close_needed:
            await made.settle()
        far.send(rows(b"1"), READY)
        await made.settle()
        assert not server.opened


async def test_a_client_that_breaks_off_inside_a_request_has_its_query_stopped_and_its_server_closed() -> None:
    async with relay() as made:
        link, _, server, _ = await running(made)
        pid, key = server.pid, server.cancel_key
        made.pool.abandon(server, "client left", half_asked=True)
        await made.settle()
        assert not server.opened
        assert link.server is None
        assert made.opener.dialed[0].bytes() == cancel_request(pid, key)
