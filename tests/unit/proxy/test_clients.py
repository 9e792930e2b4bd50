"""How clients end, who may come in, and what time does to them."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest

from tests.unit.relay import IN_TRANSACTION, READY, FarEnd, Relay, config, query, relay, rows
from trunkline.config.choices import PoolMode
from trunkline.config.settings import UserSettings
from trunkline.errors import ShuttingDown, TooManyConnections
from trunkline.protocol.messages import command_complete, parse_fields
from trunkline.proxy.clients import CLOSING_S, GRACE_S


def sqlstates(frames: list[tuple[str, bytes]]) -> list[str]:
    return [parse_fields(body)["C"] for kind, body in frames if kind == "E"]


def begin(made: Relay, client: FarEnd, far: FarEnd) -> None:
    """Have a transaction open, and nothing running in it."""
    client.send(query(b"begin"))
    made.turn()
    far.send(command_complete("BEGIN"), IN_TRANSACTION)
    made.turn()
    client.frames()
    far.bytes()


# --- coming -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "users", "named"),
    [
        ({"max_db_client_connections": 1}, {}, "max_db_client_connections"),
        ({"max_user_client_connections": 1}, {}, "max_user_client_connections"),
        ({}, {"u": UserSettings("u", max_user_client_connections=1)}, "max_user_client_connections"),
    ],
)
async def test_limits_of_a_database_and_of_a_user(
    settings: dict[str, int], users: dict[str, UserSettings], named: str
) -> None:
    async with relay() as made:
        made.clients.config = config(users=users, **settings)
        link, _ = made.client()
        with pytest.raises(TooManyConnections, match=named):
            made.clients.admit_known(link.session)
        made.clients.end(link, None)
        made.clients.admit_known(link.session)


async def test_every_client_has_a_key_of_its_own() -> None:
    async with relay() as made:
        sessions = [made.client()[0].session for _ in range(50)]
        assert len({(session.pid, session.key) for session in sessions}) == 50
        assert all(0 < session.pid < 2**31 for session in sessions)


# --- going ------------------------------------------------------------------------------------------------------------


async def test_who_closes_its_sending_side_still_gets_its_answer() -> None:
    async with relay() as made:
        link, client = made.client()
        server, far = made.server()
        client.send(query(b"select 1"))
        client.socket.shutdown(1)
        made.turn()
        assert link.opened
        far.send(rows(b"1"), READY)
        made.turn()
        assert client.bytes() == rows(b"1") + READY
        assert client.closed
        assert server.place is made.pool.idle


async def test_the_grace_is_short_and_then_the_query_is_stopped() -> None:
    async with relay() as made:
        link, client = made.client()
        server, _ = made.server()
        client.send(query(b"select pg_sleep(9)"))
        client.socket.shutdown(1)
        made.turn()
        made.clients.tick(made.pools.now + GRACE_S / 2)
        assert link.opened
        made.clients.tick(made.pools.now + GRACE_S + 1)
        assert not link.opened
        assert server.place is made.pool.draining
        made.pool.tick(made.pools.now)
        await made.settle()
        assert len(made.opener.dialed) == 1


async def test_last_words_that_nobody_reads_are_given_up() -> None:
    async with relay() as made:
        link, _ = made.client()
        link.write(bytes(5_000_000))
        made.clients.end(link, ShuttingDown("bye"))
        made.clients.tick(made.pools.now + CLOSING_S - 1)
        assert link.opened
        made.clients.tick(made.pools.now + CLOSING_S + 1)
        assert not link.opened
        assert not made.clients.ending


async def test_an_ended_client_is_uncounted_once() -> None:
    async with relay() as made:
        link, _ = made.client()
        made.client()
        for _ in range(2):
            made.clients.end(link, ShuttingDown("bye"))
        assert (len(made.clients), made.clients.databases["app"], made.clients.users["u"]) == (1, 1, 1)


async def test_an_internal_error_names_an_incident_and_not_the_error(caplog: pytest.LogCaptureFixture) -> None:
    async with relay() as made:
        link, client = made.client()
        with caplog.at_level(logging.ERROR, logger="trunkline.client"):
            made.clients.on_internal_error(link, KeyError("a secret"))
        [(_, body)] = client.frames()
        fields = parse_fields(body)
        assert fields["C"] == "XX000"
        assert "a secret" not in fields["M"]
        assert fields["M"].split("incident ")[1].rstrip(")") in caplog.text
        assert made.clients.refusals == {"TL0002": 1}


# --- cancel -----------------------------------------------------------------------------------------------------------


async def test_a_cancel_of_one_who_waits_ends_the_wait_and_keeps_the_client() -> None:
    async with relay() as made:
        made.pool.paused = True
        link, client = made.client()
        client.send(query(b"select 1"))
        made.turn()
        made.clients.cancels.request(link.session.pid, link.session.key)
        assert sqlstates(client.frames()) == ["57014"]
        assert link.opened
        assert not made.opener.dialed


async def test_a_cancel_of_one_who_does_nothing_does_nothing() -> None:
    async with relay() as made:
        link, client = made.client()
        made.clients.cancels.request(link.session.pid, link.session.key)
        made.clients.cancels.request(0, b"")
        await made.settle()
        assert client.bytes() == b""
        assert not made.opener.dialed


# --- timers -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "sqlstate"),
    [({"idle_transaction_timeout": 5.0}, "25P03"), ({"transaction_timeout": 5.0}, "25P04")],
)
async def test_an_open_transaction_ends_with_its_limit(settings: dict[str, float], sqlstate: str) -> None:
    async with relay(**settings) as made:
        _, client = made.client()
        server, far = made.server()
        begin(made, client, far)
        made.clients.tick(server.begun_at + 4.9)
        assert client.bytes() == b""
        made.clients.tick(server.request_at + 5.1)
        assert sqlstates(client.frames()) == [sqlstate]
        assert server.place is made.pool.draining


async def test_a_query_ends_with_its_limit() -> None:
    async with relay(query_timeout=5.0) as made:
        _, client = made.client()
        server, _ = made.server()
        client.send(query(b"select pg_sleep(9)"))
        made.turn()
        made.clients.tick(server.request_at + 4.9)
        assert client.bytes() == b""
        made.clients.tick(server.request_at + 5.1)
        assert sqlstates(client.frames()) == ["57014"]
        assert server.place is made.pool.draining


async def test_a_running_query_is_not_an_idle_transaction() -> None:
    async with relay(idle_transaction_timeout=5.0) as made:
        _, client = made.client()
        server, far = made.server()
        begin(made, client, far)
        client.send(query(b"select pg_sleep(9)"))
        made.turn()
        made.clients.tick(server.request_at + 100.0)
        assert server.opened


@pytest.mark.parametrize("mode", [PoolMode.TRANSACTION, PoolMode.SESSION])
async def test_an_idle_client_ends_with_its_limit(mode: PoolMode) -> None:
    async with relay(client_idle_timeout=5.0, pool_mode=mode) as made:
        link, client = made.client(sticky=mode is PoolMode.SESSION)
        _, far = made.server()
        client.send(query(b"select 1"))
        made.turn()
        far.send(rows(b"1"), READY)
        made.turn()
        client.frames()
        made.clients.tick(link.active_at + 4.9)
        assert client.bytes() == b""
        made.clients.tick(link.active_at + 5.1)
        assert sqlstates(client.frames()) == ["57P05"]


async def test_a_client_in_a_transaction_is_not_idle() -> None:
    async with relay(client_idle_timeout=5.0) as made:
        link, client = made.client()
        _, far = made.server()
        begin(made, client, far)
        made.clients.tick(link.active_at + 100.0)
        assert link.opened


async def test_a_users_own_limit_is_the_one_that_holds() -> None:
    async with relay(query_timeout=100.0) as made:
        users = {"u": UserSettings("u", query_timeout=5.0)}
        made.pools.reconfigure(replace(made.pools.config, users=users))
        _, client = made.client()
        server, _ = made.server()
        client.send(query(b"select 1"))
        made.turn()
        made.clients.tick(server.request_at + 6.0)
        assert sqlstates(client.frames()) == ["57014"]


async def test_a_server_is_held_back_from_the_moment_its_cancel_is_decided() -> None:
    """The answer comes before the task of the cancel has run for the first time."""
    async with relay(default_pool_size=1) as made:
        victim, far_victim = made.client()
        _, far_other = made.client()
        server, far = made.server()
        far_victim.send(query(b"select 1"))
        made.turn()
        far_other.send(query(b"select 2"))
        made.turn()
        made.clients.cancels.request(victim.session.pid, victim.session.key)
        far.send(rows(b"1"), READY)
        made.turn()
        assert server.place is made.pool.canceled
        assert server.lessee is None
