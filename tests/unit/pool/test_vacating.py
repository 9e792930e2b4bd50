"""Which connections make way for a statement that needs a database without any."""

from __future__ import annotations

from dataclasses import replace

from tests.unit.relay import Relay, query, relay
from trunkline.pool.server import ServerLink
from trunkline.pool.vacating import PATIENCE_S, vacate


def make_way(made: Relay, source: ServerLink, *names: bytes) -> None:
    vacate(made.pools, source, frozenset(names), made.pools.now)


async def test_idle_ones_close_at_once() -> None:
    async with relay() as made:
        source, _ = made.server()
        idle, _ = made.server()
        make_way(made, source, b"app")
        assert (source.opened, idle.opened) == (True, False)


async def test_those_of_health_checks_close_at_once() -> None:
    async with relay() as made:
        source, _ = made.server()
        checks = [made.opener.connect(made.pool)[0] for _ in range(2)]
        for check, dbname in zip(checks, ("app", "other"), strict=True):
            check.address = replace(check.address, dbname=dbname)
            check.move_to(made.pools.control)
        make_way(made, source, b"app")
        assert [check.opened for check in checks] == [False, True]


async def test_those_of_other_databases_stay() -> None:
    async with relay() as made:
        source, _ = made.server()
        idle, _ = made.server()
        make_way(made, source, b"other")
        assert idle.opened


async def test_one_that_is_in_use_closes_when_its_lease_ends() -> None:
    async with relay() as made:
        source, _ = made.server()
        used, _ = made.server()
        made.client()[1].send(query(b"select 1"))
        made.turn()
        lent = next(server for server in (source, used) if server.lessee is not None)
        make_way(made, source if lent is used else used, b"app")
        assert (lent.opened, lent.close_needed) == (True, True)


async def test_one_that_its_client_keeps_stays() -> None:
    async with relay() as made:
        source, _ = made.server()
        kept, _ = made.server()
        made.pool.place_server(kept, made.pool.active)
        made.client()[0].bind_to(kept)
        make_way(made, source, b"app")
        assert (kept.opened, kept.close_needed) == (True, False)


async def test_none_is_opened_in_advance_for_a_while() -> None:
    async with relay(min_pool_size=1) as made:
        source, _ = made.server()
        made.client()
        now = made.pools.now
        make_way(made, source, b"app")
        made.server()
        make_way(made, source, b"app")
        assert made.pool.demand(now).min_pool_size == 0
        assert made.pool.demand(now + 2 * PATIENCE_S).min_pool_size == 1
