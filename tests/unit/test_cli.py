"""The command line: its words, its exit codes, and that a mistake is explained and not dumped."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

import trunkline
from trunkline.cli import DEFAULT_DEMO_PORT, app
from trunkline.demo import demo

GOOD = '[databases.app]\nprimary = "postgres://127.0.0.1/app"\n'


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, list(arguments))
    return result.exit_code, result.stdout, result.stderr


def test_the_version_is_the_packages() -> None:
    assert run("--version") == (0, f"trunkline {trunkline.__version__}\n", "")


def test_a_good_file_is_told_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "trunkline.toml"
    file.write_text('auth_type = "trust"\n' + GOOD)
    assert run("check", str(file)) == (0, f"{file}: ok\n", "")


def test_every_error_of_a_file_is_told_at_once(tmp_path: Path) -> None:
    file = tmp_path / "trunkline.toml"
    file.write_text('pool_moed = "session"\nauth_type = "trsut"\n' + GOOD)
    code, output, errors = run("check", str(file))
    assert (code, output) == (1, "")
    assert f"{file}:1:1" in errors and "did you mean `pool_mode`?" in errors
    assert f"{file}:2:" in errors and "did you mean `trust`?" in errors


def test_a_missing_file_is_no_traceback(tmp_path: Path) -> None:
    code, _, errors = run("check", str(tmp_path / "missing.toml"))
    assert code == 1
    assert "no such file" in errors


@pytest.mark.parametrize("command", ["serve", "check", "demo"])
def test_every_command_explains_itself(command: str) -> None:
    code, output, _ = run(command, "--help")
    assert code == 0
    assert "Usage" in output


def test_the_demo_needs_a_postgresql_and_says_how_to_get_one(tmp_path: Path) -> None:
    code, _, errors = run("demo", "--pg-bin", str(tmp_path))
    assert code == 1
    assert "hint:" in errors


def test_nonsense_is_a_usage_error() -> None:
    assert run("demo", "--port", "70000")[0] == 2


def test_the_demos_port_is_told_as_it_is() -> None:
    assert demo.DEFAULT_PORT == DEFAULT_DEMO_PORT
