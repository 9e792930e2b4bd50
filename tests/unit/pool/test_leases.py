"""The two moves that every query makes, and who gets what in which order."""

from __future__ import annotations

import pytest

from tests.unit.relay import READY, Relay, query, relay, rows
from trunkline.config.choices import PoolMode
from trunkline.pool.server import ServerLink
from trunkline.proxy.client import ClientLink


async def idle_servers(made: Relay, count: int) -> list[ServerLink]:
    return [made.server()[0] for _ in range(count)]


async def test_the_server_idle_shortest_is_taken_first() -> None:
    async with relay() as made:
        servers = await idle_servers(made, 3)
        link, _ = made.client()
        assert made.pool.request(link) is servers[-1]


async def test_round_robin_takes_the_server_idle_longest() -> None:
    async with relay(server_round_robin=True) as made:
        servers = await idle_servers(made, 3)
        link, _ = made.client()
        assert made.pool.request(link) is servers[0]


async def test_a_lease_is_seen_from_both_sides_and_in_the_places() -> None:
    async with relay() as made:
        [server] = await idle_servers(made, 1)
        link, _ = made.client()
        made.pool.request(link)
        assert (link.server, server.lessee, server.place) == (server, link, made.pool.active)
        assert made.pool.assignment_count == 1


async def test_who_waits_is_served_in_the_order_of_arrival() -> None:
    async with relay(default_pool_size=1) as made:
        _, far = made.server()
        clients = [made.client() for _ in range(5)]
        for number, (_, client) in enumerate(clients):
            client.send(query(b"select %d" % number))
            made.turn()
        for number, (_, client) in enumerate(clients):
            assert far.bytes() == query(b"select %d" % number)
            far.send(rows(b"%d" % number), READY)
            made.turn()
            assert client.bytes() == rows(b"%d" % number) + READY
        assert not made.pool.waiting


async def test_a_newcomer_never_overtakes_the_line() -> None:
    async with relay() as made:
        made.pool.paused = True
        waiting, _ = made.client()
        assert made.pool.request(waiting) is None
        made.pool.paused = False
        await_idle = made.opener.connect(made.pool)[0]
        made.pool.place_server(await_idle, made.pool.idle)
        newcomer, _ = made.client()
        assert made.pool.request(newcomer) is None
        assert list(made.pool.waiting) == [waiting, newcomer]


async def test_who_is_put_back_at_the_head_comes_first() -> None:
    async with relay() as made:
        made.pool.paused = True
        first, second = made.client()[0], made.client()[0]
        made.pool.request(first)
        made.pool.wait(second, first=True)
        assert list(made.pool.waiting) == [second, first]


async def test_who_stops_waiting_is_out_of_the_line_and_no_longer_blocked() -> None:
    async with relay() as made:
        made.pool.paused = True
        link, _ = made.client()
        made.pool.request(link)
        assert link.blocked
        assert link.waiting_since
        made.pool.stop_waiting(link)
        assert (link.place, link.blocked, link.waiting_since) == (made.pool.clients, False, 0)


async def test_a_client_that_closes_while_it_waits_is_skipped() -> None:
    async with relay(default_pool_size=1) as made:
        _, far = made.server()
        (_, first), (gone, second), (_, third) = [made.client() for _ in range(3)]
        for client in (first, second, third):
            client.send(query(b"select 'x'"))
            made.turn()
        second.close()
        made.turn()
        assert not gone.opened
        far.bytes()
        far.send(rows(b"1"), READY)
        made.turn()
        assert far.bytes() == query(b"select 'x'")
        far.send(rows(b"3"), READY)
        made.turn()
        assert third.bytes() == rows(b"3") + READY


async def test_a_sticky_client_keeps_its_server_between_transactions() -> None:
    async with relay(pool_mode=PoolMode.SESSION) as made:
        server, far = made.server()
        link, client = made.client(sticky=True)
        client.send(query(b"select 1"))
        made.turn()
        far.send(rows(b"1"), READY)
        made.turn()
        assert link.server is server


@pytest.mark.parametrize("left", [1, 3])
async def test_a_lease_does_not_end_inside_a_message_that_is_half_here(left: int) -> None:
    """Its rest belongs to the server that has its beginning."""
    async with relay() as made:
        server, far = made.server()
        link, client = made.client()
        large = query(b"select " + b"x" * 200_000)
        client.send(query(b"select 'one'") + large[:100_000])
        made.turn()
        far.bytes()
        far.send(rows(b"1"), READY)
        made.turn()
        assert isinstance(link, ClientLink)
        assert link.server is server
        client.send(large[100_000:-left])
        made.turn()
        assert link.server is server


async def test_the_wait_is_counted() -> None:
    async with relay() as made:
        link, _ = made.client()
        made.pool.paused = True
        made.pool.request(link)
        made.pool.paused = False
        made.turn()  # the clock of a turn
        server, _ = made.server()
        assert link.server is server
        assert made.pool.wait_times.sum_s > 0
