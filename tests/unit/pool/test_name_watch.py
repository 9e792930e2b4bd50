"""Which connections are given up when the name of their server has other addresses."""

from __future__ import annotations

import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.unit.relay import READY, FarEnd, Relay, query, relay
from trunkline.config.address import ServerAddress
from trunkline.config.settings import DatabaseSettings
from trunkline.net.sockets import Found
from trunkline.pool.leases import Leases
from trunkline.pool.name_watch import NameWatch
from trunkline.pool.server import ServerLink
from trunkline.protocol.messages import command_complete

NAME = ServerAddress("db.test", 5432)
APP = {"app": DatabaseSettings("app", hosts=("db.test",))}


class Names:
    """What the resolver says: addresses, or an error."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses
        self.error: Exception | None = None
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Found:
        self.asked.append(host)
        if self.error is not None:
            raise self.error
        return [(socket.AF_INET, (address, port)) for address in self.addresses]


def connected(made: Relay, owner: Leases, to: str, address: ServerAddress = NAME) -> tuple[ServerLink, FarEnd]:
    """A server connection over TCP to this loopback address."""
    with socket.create_server((to, 0)) as listener:
        ours = socket.create_connection(listener.getsockname())
        theirs, _ = listener.accept()
    ours.setblocking(False)
    link, far = ServerLink(made.engine, owner, address), FarEnd(theirs)
    link.params = made.opener.params
    link.attach(ours.detach())
    made.opener.opened.append((link, far))
    return link, far


@asynccontextmanager
async def watching(*addresses: str, **settings: float) -> AsyncIterator[tuple[Relay, NameWatch, Names]]:
    async with relay(databases=APP, **settings) as made:
        made.opener.resolver = names = Names(*addresses)  # type: ignore[attr-defined]
        watch = NameWatch(made.pools)
        yield made, watch, names
        await watch.tasks.cancel()


async def look(made: Relay, watch: NameWatch, now: float = 100.0) -> None:
    watch.tick(now)
    await made.settle()


async def test_only_connections_to_where_the_name_is_no_more_are_given_up(caplog: pytest.LogCaptureFixture) -> None:
    async with watching("127.0.0.2", "127.0.0.3") as (made, watch, names):
        links = [connected(made, made.pool, f"127.0.0.{number}")[0] for number in (1, 2, 3)]
        literal, _ = connected(made, made.pool, "127.0.0.1", ServerAddress("127.0.0.1"))
        for link in (*links, literal):
            made.pool.settle(link)
        await look(made, watch)
        assert [link.opened for link in (*links, literal)] == [False, True, True, True]
        assert names.asked == ["db.test"]
        assert "db.test is at 127.0.0.2, 127.0.0.3 now: 1 connections to where it was are given up" in caplog.text


async def test_a_server_at_work_is_closed_when_it_is_free() -> None:
    async with watching("127.0.0.2") as (made, watch, _):
        server, far = connected(made, made.pool, "127.0.0.1")
        made.pool.settle(server)
        client, end = made.client()
        end.send(query(b"select 1"))
        await made.settle()
        await look(made, watch)
        assert server.opened
        far.send(command_complete("SELECT 1"), READY)
        await made.settle()
        assert (end.kinds(), server.opened, client.opened) == ("CZ", False, True)


async def test_connections_of_our_own_are_given_up_at_once() -> None:
    async with watching("127.0.0.2") as (made, watch, _):
        links = [connected(made, made.pool, "127.0.0.1")[0] for _ in range(3)]
        for link, place in zip(
            links, (made.pools.control, made.pools.directories, made.pools.listeners.place), strict=True
        ):
            link.move_to(place)
        await look(made, watch)
        assert not any(link.opened for link in links)


async def test_a_name_that_cannot_be_looked_up_changes_nothing_and_is_told_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with watching() as (made, watch, names):
        server, _ = connected(made, made.pool, "127.0.0.1")
        made.pool.settle(server)
        names.error = socket.gaierror(-2, "Name or service not known")
        for now in (100.0, 200.0):
            await look(made, watch, now)
        names.error = UnicodeError("label too long")
        await look(made, watch, 300.0)
        names.error = None
        await look(made, watch, 400.0)  # without any address
        assert server.opened
        assert len(names.asked) == 4
        assert [record.levelno for record in caplog.records if "cannot be looked up" in record.message] == [
            logging.WARNING
        ]


async def test_a_name_is_not_looked_up_more_often_than_the_settings_say() -> None:
    async with watching("127.0.0.1", dns_max_ttl=15.0) as (made, watch, names):
        made.pool.settle(connected(made, made.pool, "127.0.0.1")[0])
        for now in (100.0, 100.1, 114.9, 115.0):
            await look(made, watch, now)
        assert len(names.asked) == 2
    async with watching("127.0.0.2", dns_max_ttl=0.0) as (made, watch, names):
        made.pool.settle(connected(made, made.pool, "127.0.0.1")[0])
        await look(made, watch)
        assert names.asked == []


async def test_a_socket_file_has_no_name() -> None:
    async with watching("127.0.0.2") as (made, watch, names):
        made.server()[0].address = ServerAddress("/run/postgresql")
        await look(made, watch)
        assert names.asked == []
