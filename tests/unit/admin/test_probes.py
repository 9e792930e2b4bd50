"""What drivers say on their own."""

from __future__ import annotations

import re

import pytest

from trunkline.admin import probes
from trunkline.admin.commands import Answer, Command, Request, find, run
from trunkline.admin.grammar import split
from trunkline.proxy.identity import Identity, Peer
from trunkline.proxy.instance import Instance


async def said(instance: Instance, sql: str) -> tuple[Command, Answer]:
    (statement,) = split(sql)
    command, rest = find(statement)
    identity = Identity(instance.clients, Peer(None, None))
    return command, await run(command, rest, Request(instance, identity))


@pytest.mark.parametrize(
    ("sql", "tag", "status"),
    [
        ("BEGIN", "BEGIN", b"T"),
        ("begin transaction read only", "BEGIN", b"T"),
        ("START TRANSACTION", "START TRANSACTION", b"T"),
        ("COMMIT", "COMMIT", b"I"),
        ("END", "COMMIT", b"I"),
        ("ROLLBACK", "ROLLBACK", b"I"),
        ("ROLLBACK TO SAVEPOINT a", "ROLLBACK", b""),
        ("SAVEPOINT a", "SAVEPOINT", b""),
        ("RELEASE a", "RELEASE", b""),
        ("RESET ALL", "RESET", b""),
        ("DISCARD ALL", "DISCARD ALL", b""),
        ("DEALLOCATE ALL", "DEALLOCATE ALL", b""),
        ("CLOSE ALL", "CLOSE CURSOR ALL", b""),
        ("UNLISTEN *", "UNLISTEN", b""),
    ],
)
async def test_what_drivers_do_has_no_effect_and_its_tag(instance: Instance, sql: str, tag: str, status: bytes) -> None:
    command, answer = await said(instance, sql)
    assert (command.tag, command.leaves, list(answer.rows)) == (tag, status, [])
    assert command.columns is None and not command.listed


@pytest.mark.parametrize(
    ("sql", "value"),
    [
        ("select 1", 1),
        ("show standard_conforming_strings", "on"),
        ("SHOW TimeZone", "GMT"),
        ("show transaction isolation level", "read committed"),
        ("SELECT pg_advisory_unlock_all()", ""),
    ],
)
async def test_what_drivers_ask_has_an_answer(instance: Instance, sql: str, value: str | int | None) -> None:
    command, answer = await said(instance, sql)
    assert list(answer.rows) == [(value,)]
    assert command.columns is not None and len(command.columns) == 1


def test_the_version_begins_with_three_numbers() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", probes.VERSION_NUMBER)
    assert probes.PARAMETERS["server_version"] == f"{probes.VERSION_NUMBER}/trunkline"


def test_the_greeting_says_who_is_an_admin() -> None:
    assert b"is_superuser\0on\0" in probes.greeting(True)
    assert b"is_superuser\0off\0" in probes.greeting(False)
