"""Failpoints: what arms them, what they do, and that a production build has none in its compiled modules."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

import trunkline
from trunkline import failpoints
from trunkline.failpoints import CRASH_EXIT_CODE, VARIABLE, Armed, Injected

PACKAGE = Path(trunkline.__file__).parent
COMPILED = sorted(path for path in PACKAGE.rglob("*.pyx") if "failpoint(" in path.read_text())


def test_nothing_is_armed_without_the_variable() -> None:
    assert VARIABLE not in os.environ
    assert failpoints.failpoint("anything") is None


def test_a_point_acts_at_its_hit_and_is_spent() -> None:
    armed = Armed("a=raise:2, b=cancel")
    armed.hit("a")
    with pytest.raises(Injected, match="a"):
        armed.hit("a")
    armed.hit("a")
    with pytest.raises(asyncio.CancelledError):
        armed.hit("b")
    armed.hit("c")


def test_a_file_arms_while_the_process_runs(tmp_path: Path) -> None:
    file = tmp_path / "armed"
    file.write_text("")
    armed = Armed(f"@{file}")
    armed.hit("a")
    file.write_text("a=raise")
    with pytest.raises(Injected):
        armed.hit("a")
    armed.hit("a")
    file.write_text("a=raise,")
    with pytest.raises(Injected):
        armed.hit("a")


@pytest.mark.parametrize("text", ["a", "a=explode", "a=raise:soon"])
def test_nonsense_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        Armed(text)


def test_a_crash_is_one() -> None:
    program = "from trunkline.failpoints import failpoint; failpoint('a'); print('still here')"
    environ = {**os.environ, VARIABLE: "a=crash", "PYTHONPATH": str(PACKAGE.parent)}
    done = subprocess.run([sys.executable, "-c", program], env=environ, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (CRASH_EXIT_CODE, b"")


@pytest.mark.parametrize("source", COMPILED, ids=lambda path: path.stem)
def test_the_compiled_modules_of_a_production_build_have_none(source: Path) -> None:
    """The macro is empty: without the name of the module that acts, nothing can lead there."""
    (binary,) = source.parent.glob(f"{source.stem}.*.so")
    assert b"trunkline.failpoints" not in binary.read_bytes()
