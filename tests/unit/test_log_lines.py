"""Log lines as PgBouncer writes them."""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

import trunkline
from trunkline.config.address import ServerAddress
from trunkline.log_lines import _WORDS, PgBouncerLine


def line(level: int, message: str, *arguments: object) -> str:
    return PgBouncerLine().format(logging.LogRecord("trunkline", level, "", 0, message, arguments, None))


def words(message: str, *arguments: object, level: int = logging.INFO) -> str:
    """What stands behind time and process."""
    return line(level, message, *arguments).split("] ", 1)[1]


def test_a_line_has_time_zone_process_and_level() -> None:
    assert re.fullmatch(
        rf"\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{{3}} \S+ \[{os.getpid()}\] WARNING x=1",
        line(logging.WARNING, "x=%d", 1),
    )


@pytest.mark.parametrize(("level", "word"), [(10, "DEBUG"), (20, "LOG"), (30, "WARNING"), (40, "ERROR"), (50, "FATAL")])
def test_levels_have_its_words(level: int, word: str) -> None:
    assert words("x", level=level) == f"{word} x"


def test_a_client_has_one_name_from_its_login_to_its_end() -> None:
    came = words("login: db=%s user=%s from=%s%s", "app", "bob", "127.0.0.1:5", "")
    left = words("left: db=%s user=%s from=%s age=%.1fs: %s", "app", "bob", "127.0.0.1:5", 3.7, "client close request")
    name = r"LOG (C-0x[0-9a-f]+: app/bob@127\.0\.0\.1:5)"
    first = re.fullmatch(rf"{name} login attempt: db=app user=bob tls=no replication=no", came)
    second = re.fullmatch(rf"{name} closing because: client close request \(age=3s\)", left)
    assert first and second and first[1] == second[1]


def test_what_a_stranger_calls_himself_is_on_one_line() -> None:
    assert "\n" not in words("login: db=%s user=%s from=%s%s", "a\nb", "u", "unix", "")


def test_the_errors_that_clients_get_are_pooler_errors() -> None:
    who = SimpleNamespace(database="app", user="bob", peer="unix")
    said = words("%s: %s %s: %s", who, "TL1", "53300", "no more connections allowed", level=logging.WARNING)
    assert re.fullmatch(r"WARNING C-0x[0-9a-f]+: app/bob@unix pooler error: no more connections allowed", said)


def test_a_server_is_named_as_its_pool_from_its_login_to_its_end() -> None:
    server = SimpleNamespace(
        owner=SimpleNamespace(database="app", user="bob"),
        address=ServerAddress("h", 5432),
        id=255,
        engine=SimpleNamespace(now=12.5),
        connected_at=2.0,
    )
    said = words("closing server connection: %s: %s", server, "server lifetime over")
    assert said == "LOG S-0xff: app/bob@h:5432 closing because: server lifetime over (age=10s)"
    said = words("new server connection: %s", server)
    assert said == "LOG S-0xff: app/bob@h:5432 new connection to server"


@pytest.mark.parametrize("text", _WORDS)
def test_each_event_that_is_said_otherwise_is_one_of_ours(text: str) -> None:
    root = Path(trunkline.__file__).parent
    assert any(f'"{text}"' in file.read_text() for file in root.rglob("*.py*") if file.suffix in (".py", ".pyx"))
