"""A tick closes servers that have expired, those that do not answer a query of ours, and those that were forgotten."""

from __future__ import annotations

from tests.unit.relay import READY, Relay, query, relay, rows
from trunkline.pool.upkeep import UNANSWERED_S

CHECKED = {"server_check_query": "select 'check'", "server_check_delay": 0.0, "session_state": "pgbouncer"}


def later(made: Relay, seconds: float) -> None:
    made.pool.tick(made.engine.time() + seconds)


async def test_what_is_idle_too_long_is_closed() -> None:
    async with relay(server_idle_timeout=60.0) as made:
        server, _ = made.server()
        later(made, 59)
        assert server.opened
        later(made, 61)
        assert not server.opened


async def test_a_server_that_does_not_answer_its_check_is_closed_and_the_line_is_served_by_another() -> None:
    async with relay(**CHECKED) as made:
        silent, _ = made.server()
        made.turn()
        _, client = made.client()
        client.send(query(b"select 'mine'"))
        made.turn()
        later(made, UNANSWERED_S - 1)
        assert silent.opened
        later(made, UNANSWERED_S + 1)
        assert not silent.opened
        await made.settle()
        assert made.opener.opened[-1][1].bytes() == query(b"select 'mine'")


async def test_its_idle_neighbours_are_not_trusted_either() -> None:
    async with relay(**CHECKED) as made:
        servers = [made.server()[0] for _ in range(3)]
        made.turn()
        made.client()[1].send(query(b"select 1"))
        made.turn()
        later(made, UNANSWERED_S + 1)
        assert not any(server.opened for server in servers)


async def test_as_many_idle_servers_are_tested_as_clients_wait() -> None:
    async with relay(**CHECKED) as made:
        ends = [made.server()[1] for _ in range(3)]
        made.turn()
        clients = [made.client()[1] for _ in range(2)]
        for client in clients:
            client.send(query(b"select 'mine'"))
        made.turn()
        asked = [end for end in ends if end.bytes() == query(b"select 'check'")]
        assert len(asked) == 2
        assert not made.opener.calls, "there are servers enough"
        for end in asked:
            end.send(rows(b"ok"), READY)
        made.turn()
        assert [end.bytes() for end in asked] == [query(b"select 'mine'")] * 2
