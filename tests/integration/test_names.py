"""A server's name that comes to mean another server, with two real ones at addresses of the loopback."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import psycopg

from tests.integration.postgres import PASSWORD, Farm
from tests.integration.waiting import wait_until
from trunkline.admin.console import serve_console
from trunkline.config.global_settings import Settings
from trunkline.config.settings import Config, DatabaseSettings
from trunkline.net.sockets import Found
from trunkline.proxy.instance import Instance

NOWHERE = "127.0.0.77"


class Names:
    """The resolver: every name has these addresses."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses

    async def __call__(self, host: str, port: int) -> Found:
        if not self.addresses:
            raise socket.gaierror(-3, "Temporary failure in name resolution")
        return [(socket.AF_INET, (address, port)) for address in self.addresses]


@asynccontextmanager
async def serving(port: int, names: Names) -> AsyncIterator[int]:
    """A proxy in this process; the port it listens on."""
    database = DatabaseSettings("app", hosts=("db.test",), port=port, dbname="postgres", user="postgres")
    settings = replace(Settings(), listen_port=0, auth_type="trust", dns_max_ttl=0.05)
    config = Config(settings, {"app": replace(database, password=PASSWORD)}, {}, {"ann": ""}, "test")
    instance = Instance(lambda: config, config, serve_console)
    instance.opener.resolver = names
    try:
        yield instance.start()
    finally:
        await instance.close()


async def address_of(connection: psycopg.AsyncConnection) -> str:
    cursor = await connection.execute("SELECT host(inet_server_addr())")
    row = await cursor.fetchone()
    assert row is not None
    return str(row[0])


async def test_connections_follow_a_name_to_its_new_server(farm: Farm) -> None:
    async with farm.prepare("embedded", settings={"listen_addresses": "127.0.0.2"}) as old:
        settings = {"listen_addresses": "127.0.0.3"}
        async with farm.prepare("embedded", settings=settings, port=old.port) as new:
            names = Names("127.0.0.2")
            async with serving(old.port, names) as port:
                dsn = f"postgres://ann@127.0.0.1:{port}/app?sslmode=disable"
                idle = await psycopg.AsyncConnection.connect(dsn, autocommit=True)
                busy = await psycopg.AsyncConnection.connect(dsn, autocommit=True)
                async with idle, busy:
                    await busy.execute("BEGIN")
                    assert await address_of(idle) == await address_of(busy) == "127.0.0.2"
                    names.addresses = ()
                    assert await address_of(idle) == "127.0.0.2"
                    names.addresses = ("127.0.0.3",)

                    async def has_moved() -> bool:
                        return await address_of(idle) == "127.0.0.3"

                    await wait_until(has_moved)
                    assert await address_of(busy) == "127.0.0.2"
                    await busy.execute("COMMIT")
                    assert await address_of(busy) == "127.0.0.3"
        new.remove()
    old.remove()


async def test_every_address_of_a_name_is_tried(farm: Farm) -> None:
    server = await farm.get("embedded")
    async with serving(server.port, Names(NOWHERE, "127.0.0.1")) as port:
        dsn = f"postgres://ann@127.0.0.1:{port}/app?sslmode=disable"
        async with asyncio.timeout(10), await psycopg.AsyncConnection.connect(dsn) as connection:
            assert await address_of(connection) == "127.0.0.1"
