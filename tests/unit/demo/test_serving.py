"""What the serving process is given, and how its log is read."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import trunkline
from trunkline.demo.serving import READY, Trunkline, child_environment
from trunkline.errors import ServerUnavailable


@pytest.mark.parametrize(
    "line", ["trunkline: ready port=6432", "2026-01-01 00:00:00 INFO trunkline: ready addr=127.0.0.1 port=6432 pid=7"]
)
def test_the_port_is_read_from_the_line_that_says_ready(line: str) -> None:
    found = READY.search(f"starting port=1\n{line}\n")
    assert found is not None and found.group(1) == "6432"


def test_a_port_in_another_line_is_not_taken() -> None:
    assert READY.search("ready\nserver port=5432\n") is None


def test_settings_of_the_caller_do_not_reach_the_child() -> None:
    given = {"PATH": "/bin", "TRUNKLINE_LISTEN_PORT": "1", "PGPASSWORD": "x", "PYTHONPATH": "/elsewhere"}
    tree = Path(trunkline.__file__).parents[1]
    expected = {"PATH": "/bin", "PYTHONPATH": f"{tree}:/elsewhere", "PYTHONUNBUFFERED": "1"}
    assert child_environment(given) == expected


async def test_a_process_that_ends_at_once_is_told_with_its_last_words(tmp_path: Path) -> None:
    process = Trunkline(tmp_path / "missing.toml", tmp_path / "log")
    with pytest.raises(ServerUnavailable) as caught:
        await process.start()
    assert "missing.toml" in (caught.value.detail or "")
    assert process.exit_code == 1
    assert not process.is_ready
    assert sys.executable in process._process.command
