"""RELOAD, PAUSE, RESUME, SHUTDOWN on an instance without traffic."""

from __future__ import annotations

import pytest

from tests.unit.admin.conftest import CONFIG
from trunkline.admin import control
from trunkline.admin.commands import Request
from trunkline.errors import AdminSyntaxError, ConfigError, UnknownDatabase
from trunkline.proxy.identity import Identity, Peer
from trunkline.proxy.instance import Instance


def request(instance: Instance, argument: str = "") -> Request:
    return Request(instance, Identity(instance.clients, Peer(None, None)), argument)


async def test_pause_and_resume_one_database_or_all(instance: Instance) -> None:
    app, other = instance.pools.pool("app", "a"), instance.pools.pool("other", "a")
    await control.pause(request(instance, "app"))
    assert (app.paused, other.paused) == (True, False)
    await control.pause(request(instance))
    assert (app.paused, other.paused) == (True, True)
    await control.resume(request(instance))
    assert (app.paused, other.paused) == (False, False)
    assert not instance.pools.paused


async def test_only_a_known_database_can_be_paused() -> None:
    databases = {name: database for name, database in CONFIG.databases.items() if name != "*"}
    config = type(CONFIG)(CONFIG.settings, databases, CONFIG.users, CONFIG.secrets, CONFIG.source)
    instance = Instance(lambda: config, config, None)  # type: ignore[arg-type]
    with pytest.raises(UnknownDatabase):
        await control.pause(request(instance, "nowhere"))
    await instance.close()


async def test_a_reload_that_fails_says_so(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    await control.reload(request(instance))

    def broken() -> None:
        raise ConfigError("no such thing")

    monkeypatch.setattr(instance, "_load", broken)
    with pytest.raises(ConfigError):
        await control.reload(request(instance))


async def test_shutdown_is_at_once_or_a_drain(instance: Instance) -> None:
    with pytest.raises(AdminSyntaxError):
        await control.shutdown(request(instance, "TOMORROW"))
    assert not instance.door.draining
    for argument in ("wait_for_clients", ""):
        afterwards = await control.shutdown(request(instance, argument))
        assert not instance.stopped.is_set(), "the answer comes first"
        afterwards()
        assert instance.door.draining
    assert instance.stopped.is_set()
