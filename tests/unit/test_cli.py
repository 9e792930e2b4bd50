"""The command line: its words, its exit codes, and that a mistake is explained and not dumped."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

import trunkline
from trunkline.cli import DEFAULT_DEMO_PORT, app
from trunkline.demo import demo
from trunkline.routing.schema.catalog import Catalog, Column, Relation
from trunkline.routing.schema.catalog_file import to_text

GOOD = '[databases.app]\nprimary = "postgres://127.0.0.1/app"\n'


def run(*arguments: str, input: str | None = None) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, list(arguments), input=input)
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


@pytest.mark.parametrize("command", ["serve", "check", "import-pgbouncer", "route", "demo", "export", "top"])
def test_every_command_explains_itself(command: str) -> None:
    code, output, _ = run(command, "--help")
    assert code == 0
    assert "Usage" in output


def test_dashboards_are_printed_as_one_stream_or_written_as_files(tmp_path: Path) -> None:
    code, output, _ = run("export", "dashboards")
    board, rules = yaml.safe_load_all(output)
    assert (code, board["title"], rules["groups"][0]["name"]) == (0, "Trunkline", "trunkline")
    code, output, _ = run("export", "dashboards", "--directory", str(tmp_path / "new"))
    assert code == 0
    files = [Path(line) for line in output.splitlines()]
    assert json.loads(files[0].read_text()) == board
    assert yaml.safe_load(files[1].read_text()) == rules


def test_a_directory_that_cannot_be_written_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, output, errors = run("export", "dashboards", "--directory", str(tmp_path / "file"))
    assert (code, output) == (1, "")
    assert "cannot be written" in errors


INI = "[databases]\napp = host=h\n[pgbouncer]\nauth_type = trust\nlisten_addr = h\npkt_buf = 1\n"


def test_what_is_accepted_without_an_effect_is_told(tmp_path: Path) -> None:
    file = tmp_path / "pgbouncer.ini"
    file.write_text(INI)
    code, output, errors = run("check", str(file))
    assert (code, output) == (0, f"{file}: ok\n")
    assert errors.startswith(f"warning: {file}:6:1: `pkt_buf` has no effect: ")


def test_pgbouncers_file_is_written_as_toml(tmp_path: Path) -> None:
    file = tmp_path / "pgbouncer.ini"
    file.write_text(INI)
    code, output, _ = run("import-pgbouncer", str(file))
    (tmp_path / "t.toml").write_text(output)
    assert code == 0
    assert run("check", str(tmp_path / "t.toml"))[0] == 0
    file.write_text("[pgbouncer]\nfoo = 1\n")
    assert run("import-pgbouncer", str(file))[0] == 1


SHARDED = """
auth_type = "trust"

[databases.shop]
shards = [
  { name = "s0", primary = "postgres://app@127.0.0.1:1/a" },
  { name = "s1", primary = "postgres://app@127.0.0.1:1/b" },
]
tables = { orders = { shard_by = "id", method = "modulo" } }
"""
ORDERS = Catalog({("public", "orders"): Relation("public", "orders", columns=(Column("id", "int8"),))})


@pytest.fixture
def offline(tmp_path: Path) -> list[str]:
    """What `route` is given so that it needs no server; its input is standard input."""
    (tmp_path / "trunkline.toml").write_text(SHARDED)
    (tmp_path / "catalog.json").write_text(to_text({"shop": ORDERS}))
    return ["route", "--config", str(tmp_path / "trunkline.toml"), "--catalog", str(tmp_path / "catalog.json")]


def test_where_statements_go_is_told_without_a_server(offline: list[str]) -> None:
    code, output, errors = run(*offline, input="SELECT *\nFROM orders WHERE id = 1; SELECT count(*) FROM orders")
    assert (code, errors) == (0, "")
    told = ["-:1: SELECT * FROM orders WHERE id = 1", "  Route: single shard", "    Shards: s1"]
    assert output.splitlines()[:3] == told
    assert "\n2 calls of 2 statements\n" in output


def test_where_statements_go_is_told_to_machines(offline: list[str]) -> None:
    code, output, _ = run(*offline, "--json", "-", input="SELECT * FROM orders WHERE id = 1")
    one, summary = map(json.loads, output.splitlines())
    assert (code, one["input"], one["shards"], summary["summary"]["calls"]) == (0, "-", ["s1"], 1)


def test_what_route_cannot_use_is_explained(offline: list[str], tmp_path: Path) -> None:
    assert run(*offline, "--format", "xml")[0] == 2
    code, output, errors = run(*offline, str(tmp_path / "nothing.sql"))
    assert (code, output) == (1, "")
    assert "nothing.sql cannot be read" in errors
    assert run("check", offline[2], "--write-catalog", str(tmp_path / "c"))[0] == 2


def test_the_demo_needs_a_postgresql_and_says_how_to_get_one(tmp_path: Path) -> None:
    code, _, errors = run("demo", "--pg-bin", str(tmp_path))
    assert code == 1
    assert "hint:" in errors


def test_nonsense_is_a_usage_error() -> None:
    assert run("demo", "--port", "70000")[0] == 2


def test_the_demos_port_is_told_as_it_is() -> None:
    assert demo.DEFAULT_PORT == DEFAULT_DEMO_PORT
