"""A pool carries out what its policy decides: opening, refusing, resetting, checking, closing."""

from __future__ import annotations

import asyncio

import pytest

from tests.unit.relay import IN_TRANSACTION, READY, error, query, relay, rows
from trunkline.config.settings import DatabaseSettings
from trunkline.errors import ServerRefused, ServerUnavailable, ShuttingDown
from trunkline.protocol.messages import command_complete, parse_fields


def sqlstate(frames: list[tuple[str, bytes]]) -> list[str]:
    return [parse_fields(body)["C"] for kind, body in frames if kind == "E"]


async def test_servers_are_opened_for_those_who_wait_all_at_once() -> None:
    async with relay(default_pool_size=5) as made:
        for _ in range(8):
            made.client()[1].send(query(b"select 1"))
        await made.settle()
        assert len(made.opener.calls) == 5
        assert len(made.pool.active) == 5
        assert len(made.pool.waiting) == 3


async def test_servers_under_way_are_counted_and_not_opened_twice() -> None:
    async with relay(default_pool_size=5) as made:
        made.opener.gate = asyncio.Event()
        for _ in range(3):
            made.client()[1].send(query(b"select 1"))
            await made.settle()
        assert (len(made.opener.calls), made.pool.servers, made.pool.connected) == (3, 3, 0)
        made.opener.gate.set()
        await made.settle()
        assert len(made.pool.active) == 3


OWN_USER = DatabaseSettings("app", hosts=("127.0.0.1",))
FORCED_USER = DatabaseSettings("app", hosts=("127.0.0.1",), user="u")


@pytest.mark.parametrize(
    ("database", "refusal", "told"),
    [
        (OWN_USER, ServerRefused("28P01", "password authentication failed", authenticated=False), "28P01"),
        (OWN_USER, ServerRefused("28000", 'role "u" is not permitted to log in'), "28000"),
        (FORCED_USER, ServerRefused("28P01", "password authentication failed", authenticated=False), "08001"),
        (FORCED_USER, ServerRefused("28000", 'role "u" is not permitted to log in'), "08001"),
    ],
    ids=["a password", "a role", "a password that is not the client's", "a role that is not the client's"],
)
async def test_a_refusal_for_good_reaches_everybody_in_line(
    database: DatabaseSettings, refusal: ServerRefused, told: str
) -> None:
    """In the server's words, unless the user whom it refused is not theirs but the operator's."""
    async with relay(databases={"app": database}) as made:
        made.opener.refusal = refusal
        ends = [made.client()[1] for _ in range(3)]
        for end in ends:
            end.send(query(b"select 1"))
        await made.settle()
        frames = [end.frames() for end in ends]
        assert [sqlstate(seen) for seen in frames] == [[told]] * 3
        assert all((refusal.message.encode() in seen[0][1]) == (told != "08001") for seen in frames)


async def test_what_a_server_says_of_its_own_rules_is_not_repeated() -> None:
    """pg_hba.conf knows our host, not the client's."""
    async with relay() as made:
        made.opener.refusal = ServerRefused("28000", 'no entry for host "10.1.2.3"', authenticated=False)
        _, client = made.client()
        client.send(query(b"select 1"))
        await made.settle()
        [(_, body)] = client.frames()
        assert parse_fields(body)["C"] == "28000"
        assert b"10.1.2.3" not in body


async def test_a_role_that_was_refused_is_asked_for_anew_by_the_next_who_comes() -> None:
    async with relay(server_login_retry=60.0) as made:
        made.opener.refusal = ServerRefused("28000", 'role "u" does not exist')
        _, first = made.client()
        first.send(query(b"select 1"))
        await made.settle()
        assert sqlstate(first.frames()) == ["28000"]
        made.opener.refusal = None
        link, second = made.client()
        second.send(query(b"select 1"))
        await made.settle()
        assert link.server is not None
        assert second.bytes() == b""


async def test_a_servers_own_refusal_keeps_its_words() -> None:
    async with relay() as made:
        made.opener.refusal = ServerRefused("3D000", "no such database")
        _, client = made.client()
        client.send(query(b"select 1"))
        await made.settle()
        assert sqlstate(client.frames()) == ["3D000"]


async def test_a_trouble_that_may_pass_leaves_the_line_waiting() -> None:
    async with relay() as made:
        made.opener.refusal = ServerUnavailable("down")
        link, client = made.client()
        client.send(query(b"select 1"))
        await made.settle()
        assert link.waiting_since
        assert client.bytes() == b""
        made.opener.refusal = None
        made.pool.trouble = None
        made.pool.open_more()
        await made.settle()
        assert link.server is not None


async def test_a_newcomer_is_refused_at_once_while_the_server_is_known_to_be_dead() -> None:
    async with relay(server_login_retry=0.0) as made:
        made.opener.refusal = ServerUnavailable("down")
        for _ in range(2):
            _, client = made.client()
            client.send(query(b"select 1"))
            await made.settle()
            assert sqlstate(client.frames()) == ["08001"]


async def test_a_wait_that_is_too_long_is_refused_and_the_client_kept() -> None:
    async with relay(query_wait_timeout=10.0, query_wait_notify=0.0) as made:
        made.pool.paused = True
        link, client = made.client()
        client.send(query(b"select 1"))
        made.turn()
        made.pool.tick(link.waiting_since + 9.9)
        assert client.bytes() == b""
        made.pool.tick(link.waiting_since + 10.0)
        assert sqlstate(client.frames()) == ["57P03"]
        assert link.opened


async def test_who_waits_long_is_told_once() -> None:
    async with relay(query_wait_notify=5.0) as made:
        made.pool.paused = True
        link, client = made.client()
        client.send(query(b"select 1"))
        made.turn()
        for late in (5.0, 6.0, 7.0):
            made.pool.tick(link.waiting_since + late)
        assert client.kinds() == "N"


async def test_the_tick_closes_what_has_expired() -> None:
    async with relay(server_idle_timeout=60.0, server_lifetime=1000.0) as made:
        server, _ = made.server()
        made.pool.tick(server.idle_since + 59.0)
        assert server.opened
        made.pool.tick(server.idle_since + 60.5)  # a sum of floats is not exact
        assert not server.opened


async def test_a_pool_keeps_its_minimum_however_idle() -> None:
    async with relay(server_idle_timeout=60.0, min_pool_size=2) as made:
        servers = [made.server()[0] for _ in range(3)]
        made.pool.tick(servers[0].idle_since + 100.0)
        assert len(made.pool.idle) == 2


async def test_a_server_that_was_idle_long_is_checked_before_its_use() -> None:
    async with relay(server_check_query="select 'check'", server_check_delay=0.0) as made:
        server, far = made.server()
        made.turn()
        _, client = made.client()
        client.send(query(b"select 'mine'"))
        made.turn()
        assert far.bytes() == query(b"select 'check'")
        far.send(rows(b"ok"), READY)
        made.turn()
        assert far.bytes() == query(b"select 'mine'")
        assert client.bytes() == b""
        assert server.place is made.pool.active


async def test_a_server_that_fails_its_check_is_closed_and_the_client_waits_on() -> None:
    async with relay(server_check_query="select 'check'", server_check_delay=0.0) as made:
        server, far = made.server()
        made.turn()
        _, client = made.client()
        client.send(query(b"select 'mine'"))
        made.turn()
        far.send(error("XX000"), READY)
        await made.settle()
        assert not server.opened
        assert client.bytes() == b""
        assert made.opener.opened[1][1].bytes() == query(b"select 'mine'")


async def test_pausing_closes_the_free_and_waits_for_the_others() -> None:
    async with relay() as made:
        busy, far = made.server()
        _, client = made.client()
        client.send(query(b"select 1"))
        made.turn()
        idle, _ = made.server()
        made.pool.pause()
        assert not idle.opened
        assert not made.pool.quiet
        far.send(rows(b"1"), READY)
        made.turn()
        assert not busy.opened
        assert made.pool.quiet
        assert client.bytes() == rows(b"1") + READY
        client.send(query(b"select 2"))
        await made.settle()
        assert len(made.pool.waiting) == 1
        made.pool.resume()
        await made.settle()
        assert len(made.pool.active) == 1


async def test_renewing_closes_todays_servers_when_their_leases_end() -> None:
    async with relay() as made:
        busy, far = made.server()
        _, client = made.client()
        client.send(query(b"begin"))
        made.turn()
        idle, _ = made.server()
        made.pool.renew()
        assert not idle.opened
        far.send(command_complete("BEGIN"), IN_TRANSACTION)
        made.turn()
        assert busy.opened
        client.send(query(b"commit"))
        made.turn()
        far.send(command_complete("COMMIT"), READY)
        made.turn()
        assert not busy.opened


async def test_closing_tells_everybody() -> None:
    async with relay(default_pool_size=1) as made:
        made.server()
        ends = [made.client()[1] for _ in range(2)]
        for end in ends:
            end.send(query(b"select 1"))
            made.turn()
        await made.pool.close(ShuttingDown("bye"))
        made.turn()
        assert [sqlstate(end.frames()) for end in ends] == [["57P01"], ["57P01"]]
        assert made.pool.servers == 0


async def test_a_server_that_opens_into_a_closed_pool_is_closed() -> None:
    async with relay() as made:
        made.opener.gate = asyncio.Event()
        made.client()[1].send(query(b"select 1"))
        await made.settle()
        made.pool.pause()
        made.opener.gate.set()
        await made.settle()
        assert not made.opener.opened[0][0].opened


async def test_repr_shows_the_places() -> None:
    async with relay() as made:
        assert repr(made.pool) == "<Pool app/u <Place idle 0> <Place active 0> <Place waiting 0>>"
