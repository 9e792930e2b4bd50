"""SWITCH DATABASE as it is written, and what is said of what cannot be read."""

from __future__ import annotations

import pytest

from trunkline.admin.commands import Request, find, run
from trunkline.admin.grammar import split
from trunkline.config.address import ServerAddress
from trunkline.errors import AdminSyntaxError, TrunklineError, UnknownDatabase
from trunkline.proxy.identity import Identity, Peer
from trunkline.proxy.instance import Instance


async def said(instance: Instance, sql: str, monkeypatch: pytest.MonkeyPatch) -> tuple[str, ServerAddress]:
    """What is switched where."""
    asked: list[tuple[str, ServerAddress]] = []

    async def switch(name: str, target: ServerAddress) -> list[str]:
        asked.append((name, target))
        return ["done"]

    monkeypatch.setattr(instance.switches, "switch", switch)
    (statement,) = split(sql)
    identity = Identity(instance.clients, Peer(None, None))
    identity.user = "ops"
    command, rest = find(statement)
    answer = await run(command, rest, Request(instance, identity))
    assert (answer.notices, command.tag) == (("done",), "SWITCH DATABASE")
    return asked[0]


async def test_a_name_and_a_url_are_read(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    target = ServerAddress("h", 7, "d", "u", "p")
    assert await said(instance, "switch database app to postgres://u:p@h:7/d", monkeypatch) == ("app", target)
    other = ServerAddress("h", 5432, None, None, None)
    assert await said(instance, "SWITCH DATABASE \"shop/s0\" TO 'postgres://h'", monkeypatch) == ("shop/s0", other)


@pytest.mark.parametrize(
    "sql",
    [
        "SWITCH DATABASE app",
        "SWITCH DATABASE app postgres://u:secret@h",
        "SWITCH DATABASE app AT postgres://u:secret@h",
        "SWITCH DATABASE app TO postgres://u:secret@h:port",
        "SWITCH DATABASE app TO u:secret@h",
        "SWITCH DATABASE app TO 'postgres://u:secret@h?sslmode=require'",
        "SWITCH DATABASE app TO 'postgres://u:secret@h,i'",
        "SWITCH DATABASE app TO postgres://u:secret@h now",
        "SWITCH app TO postgres://u:secret@h",
    ],
)
async def test_what_cannot_be_read_is_not_repeated(
    instance: Instance, monkeypatch: pytest.MonkeyPatch, sql: str
) -> None:
    with pytest.raises(AdminSyntaxError) as refusal:
        await said(instance, sql, monkeypatch)
    assert "secret" not in f"{refusal.value.message} {refusal.value.hint} {refusal.value.detail}"


async def test_only_what_is_named_in_the_settings_can_be_switched(instance: Instance) -> None:
    with pytest.raises(UnknownDatabase):
        await instance.switches.switch("anything", ServerAddress("h"))
    with pytest.raises(TrunklineError, match="present primary could not be asked"):
        instance.opener.settings = instance.config.settings
        await instance.switches.switch("app", ServerAddress("h"))
