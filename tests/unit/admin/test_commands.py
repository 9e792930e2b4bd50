"""The table of commands: what is found, what is not, and who may run what."""

from __future__ import annotations

import pytest

import trunkline.admin.console  # noqa: F401 - fills the table of commands
from trunkline.admin.commands import COMMANDS, Command, Request, check_rights, find
from trunkline.admin.grammar import split
from trunkline.errors import AdminNotAllowed, AdminSyntaxError
from trunkline.proxy.identity import Identity, Peer
from trunkline.proxy.instance import Instance

CHANGING = {
    "RELOAD", "PAUSE", "SUSPEND", "RESUME", "RESOLVE", "SHUTDOWN", "SWITCH",
    "KILL", "KILL_CLIENT", "DISABLE", "ENABLE", "RECONNECT", "WAIT_CLOSE",
}  # fmt: skip


def found(sql: str) -> tuple[str, tuple[str, ...]]:
    (statement,) = split(sql)
    command, rest = find(statement)
    return " ".join(command.words), rest


@pytest.mark.parametrize(
    ("sql", "command", "rest"),
    [
        ("show pools;", "SHOW POOLS", ()),
        ("Show Stats_Totals", "SHOW STATS_TOTALS", ()),
        ("pause", "PAUSE", ()),
        ('pause "My db"', "PAUSE", ("My db",)),
        ("shutdown wait_for_clients", "SHUTDOWN", ("wait_for_clients",)),
        ("show transaction isolation level", "SHOW TRANSACTION ISOLATION LEVEL", ()),
        ("begin work, read only", "BEGIN", ("work", ",", "read", "only")),
        ("rollback to savepoint a", "ROLLBACK TO", ("savepoint", "a")),
    ],
)
def test_a_command_is_found_by_its_first_words(sql: str, command: str, rest: tuple[str, ...]) -> None:
    assert found(sql) == (command, rest)


@pytest.mark.parametrize("sql", ["bogus", "show", "show bogus", "show pools now", "pause a b", "reload x", "select 2"])
def test_anything_else_is_an_invalid_command(sql: str) -> None:
    with pytest.raises(AdminSyntaxError) as refusal:
        found(sql)
    assert refusal.value.message == f"invalid command '{sql}', use SHOW HELP;"
    assert refusal.value.sqlstate == "42601"


def test_a_long_statement_is_not_repeated_whole() -> None:
    with pytest.raises(AdminSyntaxError) as refusal:
        found("x" * 10_000)
    assert len(refusal.value.message) < 300


def test_what_changes_something_is_for_admins() -> None:
    acting = [command for command in COMMANDS.values() if command.columns is None and command.admin]
    assert {command.words[0] for command in acting} == CHANGING
    assert [command.words for command in COMMANDS.values() if command.columns and command.admin] == [("SHOW", "FDS")]


@pytest.mark.parametrize("command", COMMANDS.values(), ids=lambda command: " ".join(command.words))
@pytest.mark.parametrize("user", ["ops", "ann", "OPS", ""])
async def test_rights_are_of_the_user_and_not_of_the_login(instance: Instance, command: Command, user: str) -> None:
    identity = Identity(instance.clients, Peer(None, None))
    identity.user = user
    request = Request(instance, identity)
    if user == "ops" or not command.admin:
        check_rights(command, request)
        return
    with pytest.raises(AdminNotAllowed) as refusal:
        check_rights(command, request)
    assert refusal.value.sqlstate == "42501"
