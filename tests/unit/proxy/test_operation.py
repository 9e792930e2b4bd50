"""What an operator does to databases, without traffic; with traffic: tests/integration/test_console_commands.py."""

from __future__ import annotations

import pytest

from tests.unit.admin.conftest import CONFIG
from trunkline.admin.console import serve_console
from trunkline.errors import UnknownDatabase
from trunkline.proxy.instance import Instance


async def test_a_database_without_pools_is_renewed_at_once() -> None:
    instance = Instance(lambda: CONFIG, CONFIG, serve_console)
    instance.operation.reconnect()
    instance.operation.reconnect("app")
    await instance.operation.wait_close()
    await instance.close()


async def test_kill_pauses_only_what_has_pools() -> None:
    instance = Instance(lambda: CONFIG, CONFIG, serve_console)
    instance.operation.kill()
    assert not instance.pools.paused
    pool = instance.pools.pool("app", "a")
    instance.operation.kill()
    assert instance.pools.paused == {"app"} and pool.paused
    await instance.close()


async def test_nobody_and_nothing_is_refused() -> None:
    instance = Instance(lambda: CONFIG, CONFIG, serve_console)
    assert not instance.operation.kill_client(0)
    instance.config = type(CONFIG)(CONFIG.settings, {}, {}, {}, "test")
    with pytest.raises(UnknownDatabase):
        instance.operation.disable("app")
    await instance.close()
