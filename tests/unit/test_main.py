"""The short way into a serving process, and who takes it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from trunkline.__main__ import is_plain_serve


@pytest.mark.parametrize("arguments", [["serve"], ["serve", "trunkline.toml"], ["serve", "postgres://host/db"]])
def test_a_plain_serve_takes_the_short_way(arguments: list[str]) -> None:
    assert is_plain_serve(arguments)


@pytest.mark.parametrize("arguments", [[], ["check", "x"], ["serve", "--help"], ["serve", "a", "b"], ["--version"]])
def test_everything_else_goes_through_the_command_line_library(arguments: list[str]) -> None:
    assert not is_plain_serve(arguments)


def test_the_module_runs() -> None:
    done = subprocess.run([sys.executable, "-m", "trunkline", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("trunkline ")


def test_the_short_way_loads_no_command_line_library() -> None:
    program = "import sys, trunkline.__main__, trunkline.serve; sys.exit('typer' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
