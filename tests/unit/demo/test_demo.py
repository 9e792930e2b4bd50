"""What the demo checks and keeps, without starting anything."""

from __future__ import annotations

import json
import socket
import stat
from pathlib import Path

import pytest

from trunkline.demo.demo import check_port, load_passwords, programs, write_private
from trunkline.demo.postgres_binaries import Binaries
from trunkline.errors import ConfigError


def test_a_busy_port_is_told_before_anything_starts() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(ConfigError, match=f"port {port} of 127.0.0.1 is in use") as caught:
            check_port(port)
    assert f"--port {port + 1}" in (caught.value.hint or "")
    check_port(0)


def test_passwords_of_a_kept_directory_stay(tmp_path: Path) -> None:
    first = load_passwords(tmp_path)
    (tmp_path / "s0").mkdir()
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


def test_the_embedded_psql_is_used_where_there_is_no_other(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", "")
    assert programs(Binaries(tmp_path, "", ""))["psql"] == str(tmp_path / "psql")


def test_pgbench_is_the_one_that_belongs_to_the_servers(tmp_path: Path) -> None:
    assert programs(Binaries(tmp_path, "", ""))["pgbench"] == str(tmp_path / "pgbench")
