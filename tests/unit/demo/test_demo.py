"""What the demo writes and prints, without starting anything."""

from __future__ import annotations

import json
import shlex
import socket
import stat
import tomllib
from pathlib import Path

import pytest

from trunkline.demo.demo import CONFIG, EXAMPLES, check_port, load_passwords, psql_program, run_line, write_private
from trunkline.demo.postgres_binaries import Binaries
from trunkline.errors import ConfigError


def test_the_printed_lines_survive_a_shell() -> None:
    example = EXAMPLES[0]
    words = shlex.split(example.command("psql", "secret", 6432))
    assert words == ["psql", "postgres://demo:secret@127.0.0.1:6432/app", "-c", example.sql]


def test_the_lines_show_the_database_the_replica_and_the_console() -> None:
    assert [example.database for example in EXAMPLES] == ["app", "app_replica", "trunkline"]


def test_the_configuration_names_both_servers() -> None:
    text = CONFIG.format(host="127.0.0.1", port=1, user="demo", database="app", primary_port=2, replica_port=3)
    written = tomllib.loads(text)
    assert written["admin_users"] == ["demo"]
    assert {name: table["primary"] for name, table in written["databases"].items()} == {
        "app": "postgres://127.0.0.1:2/app",
        "app_replica": "postgres://127.0.0.1:3/app",
    }


def test_a_busy_port_is_told_before_anything_starts() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(ConfigError, match=f"port {port} of 127.0.0.1 is in use") as caught:
            check_port(port)
    assert f"--port {port + 1}" in (caught.value.hint or "")
    check_port(0)


def test_passwords_of_a_kept_directory_stay(tmp_path: Path) -> None:
    first = load_passwords(tmp_path)
    (tmp_path / "primary").mkdir()
    assert load_passwords(tmp_path) == first
    assert first["demo"] != first["postgres"]
    assert json.loads((tmp_path / "passwords.json").read_text()) == first


def test_the_directory_of_somebody_else_is_not_written_into(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(ConfigError, match="was not made by a demo"):
        load_passwords(tmp_path)


def test_what_holds_a_password_is_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "userlist.txt"
    path.touch(mode=0o644)
    write_private(path, "secret")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text() == "secret"


async def test_a_line_is_run_as_a_shell_would() -> None:
    assert await run_line("printf '%s|' 'a b' c") == (0, "a b|c|")
    code, _ = await run_line("false")
    assert code == 1


def test_the_embedded_psql_is_used_where_there_is_no_other(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", "")
    assert psql_program(Binaries(tmp_path, "", "")) == str(tmp_path / "psql")
