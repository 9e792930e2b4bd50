"""SHOW HELP, VERSION, CONFIG, STATE."""

from __future__ import annotations

import re

from trunkline.admin.commands import COMMANDS, Request
from trunkline.admin.show_config import show_config, show_state, show_version
from trunkline.proxy.identity import Identity, Peer
from trunkline.proxy.instance import Instance


async def test_version_is_one_column_with_three_numbers(instance: Instance) -> None:
    ((version,),) = show_version(instance)
    assert re.search(r"\d+\.\d+\.\d+", str(version))


async def test_config_shows_numbers_where_monitors_expect_them(instance: Instance) -> None:
    values = {key: value for key, value, _, _ in show_config(instance)}
    assert values["max_client_conn"] == "10000"
    assert values["max_user_connections"] == "7"


async def test_state_tells_of_a_pause_of_everything(instance: Instance) -> None:
    assert dict(show_state(instance)) == {"active": "yes", "paused": "no", "suspended": "no"}
    await instance.pause("app")
    assert dict(show_state(instance))["paused"] == "no"
    await instance.pause()
    assert dict(show_state(instance)) == {"active": "no", "paused": "yes", "suspended": "no"}


async def test_help_is_a_notice_that_lists_every_command_for_people(instance: Instance) -> None:
    request = Request(instance, Identity(instance.clients, Peer(None, None)))
    command = COMMANDS["SHOW", "HELP"]
    answer = await command.run(request)
    assert answer.notices == ("Console usage",)
    assert command.columns is None and command.tag == "SHOW"
    lines = [line.strip() for line in str(answer.detail).splitlines()[1:]]
    assert lines == sorted(command.usage for command in COMMANDS.values() if command.listed)
    assert {"PAUSE [db]", "SET key = value"} <= set(lines) and "BEGIN" not in lines
