"""KILL, KILL_CLIENT, DISABLE, ENABLE, RECONNECT, WAIT_CLOSE without traffic: PgBouncer's words for each mistake."""

from __future__ import annotations

import dataclasses

import pytest

from tests.unit.admin.conftest import CONFIG
from trunkline.admin.commands import COMMANDS, Request
from trunkline.errors import TrunklineError
from trunkline.proxy.identity import Identity, Peer
from trunkline.proxy.instance import Instance


@pytest.fixture(autouse=True)
def no_wildcard(instance: Instance) -> None:
    named = {name: database for name, database in CONFIG.databases.items() if name != "*"}
    instance.config = instance.pools.config = dataclasses.replace(CONFIG, databases=named)


async def said(instance: Instance, command: str, argument: str = "") -> str:
    """The error's SQLSTATE and words, or nothing."""
    request = Request(instance, Identity(instance.clients, Peer(None, None)), argument)
    try:
        await COMMANDS[(command,)].run(request)
    except TrunklineError as error:
        return f"{error.sqlstate} {error.message}"
    return ""


DATABASE_COMMANDS = {
    "PAUSE": "pause", "KILL": "kill", "DISABLE": "disable", "ENABLE": "enable", "RECONNECT": "reconnect",
    "WAIT_CLOSE": "wait in",
}  # fmt: skip


@pytest.mark.parametrize(("command", "verb"), DATABASE_COMMANDS.items())
async def test_a_database_that_there_is_not_and_the_consoles_own(instance: Instance, command: str, verb: str) -> None:
    assert await said(instance, command, "nope") == "3D000 no such database: nope"
    assert await said(instance, command, "pgbouncer") == f"55000 cannot {verb} admin db: pgbouncer"
    assert await said(instance, command, "app") == ""


@pytest.mark.parametrize("command", ["DISABLE", "ENABLE"])
async def test_some_commands_need_a_database(instance: Instance, command: str) -> None:
    assert await said(instance, command) == "42601 a database is required"


async def test_disable_and_enable(instance: Instance) -> None:
    await said(instance, "DISABLE", "app")
    assert instance.pools.disabled == {"app"}
    await said(instance, "ENABLE", "app")
    assert not instance.pools.disabled
    assert await said(instance, "ENABLE", "shop") == '55000 database "shop" is disabled in the configuration'


async def test_kill_pauses_what_it_empties(instance: Instance) -> None:
    await said(instance, "KILL", "app")
    assert instance.pools.paused == {"app"}
    assert await said(instance, "RESUME", "app") == ""
    assert not instance.pools.paused
    instance.pools.pool("app", "a")
    await said(instance, "KILL")
    assert instance.pools.paused == {"app"}


async def test_nothing_is_killed_while_everything_is_paused(instance: Instance) -> None:
    await said(instance, "PAUSE")
    assert await said(instance, "KILL", "app") == "55000 already suspended/paused"


@pytest.mark.parametrize("number", ["0x7f", "-1", "", "one"])
async def test_a_client_goes_by_a_number(instance: Instance, number: str) -> None:
    assert await said(instance, "KILL_CLIENT", number) == "42601 invalid client pointer supplied"


async def test_a_client_that_there_is_not(instance: Instance) -> None:
    assert await said(instance, "KILL_CLIENT", "1" * 30) == "42704 client not found"
