"""Child processes: started, watched, stopped, and gone when their parent is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from trunkline.demo.privileges import death_signal
from trunkline.demo.process import ChildProcess, holds_within

STUBBORN = (
    "import signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
)


def python(program: str, log: Path) -> ChildProcess:
    return ChildProcess([sys.executable, "-S", "-c", program], log)


async def test_its_log_and_exit_code_are_seen(tmp_path: Path) -> None:
    process = python("import sys; print('said'); sys.exit(3)", tmp_path / "log")
    assert process.exit_code is None
    process.start()
    assert await process.wait(20) == 3
    assert process.log == "said\n"
    assert "ended, 3" in repr(process)


async def test_it_can_be_started_again_and_tells_the_starts_apart(tmp_path: Path) -> None:
    process = python("print('said')", tmp_path / "log")
    for _ in range(2):
        process.start()
        await process.wait(20)
    assert process.log == "said\nsaid\n"
    assert process.log_since_start == "said\n"


async def test_starting_what_runs_is_a_mistake(tmp_path: Path) -> None:
    process = python("import time; time.sleep(60)", tmp_path / "log")
    process.start()
    with pytest.raises(RuntimeError, match="started twice"):
        process.start()
    assert await process.stop() == -signal.SIGTERM


async def test_what_ignores_its_signal_is_killed(tmp_path: Path) -> None:
    process = python(STUBBORN, tmp_path / "log")
    process.start()
    assert await holds_within(lambda: "up" in process.log, 20)
    assert await process.stop(timeout_s=0.05) == -signal.SIGKILL


async def test_a_wait_that_is_too_long_says_so(tmp_path: Path) -> None:
    process = python("import time; time.sleep(60)", tmp_path / "log")
    process.start()
    with pytest.raises(TimeoutError):
        await process.wait(0.01)
    process.kill()


@pytest.mark.skipif(not death_signal("TERM"), reason="setpriv cannot bind a process to its parent here")
async def test_a_bound_child_dies_with_its_killed_parent(tmp_path: Path) -> None:
    child = [*death_signal("KILL"), "sleep", "60"]
    program = f"import subprocess, time; print(subprocess.Popen({child!r}).pid, flush=True); time.sleep(60)"
    parent = python(program, tmp_path / "log")
    parent.start()
    assert await holds_within(lambda: parent.log.endswith("\n"), 20)
    pid = int(parent.log)
    assert await holds_within(lambda: b"sleep\0" in _command_line(pid), 20)  # setpriv has done its work
    parent.kill()
    assert await holds_within(lambda: _command_line(pid) == b"", 20)


def _command_line(pid: int) -> bytes:
    """Empty for a process that has ended, reaped or not."""
    try:
        line = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
    return b"" if line.startswith(b"setpriv") else line


def test_nothing_is_left_of_the_descriptors(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    process = python("pass", tmp_path / "log")
    process.start()
    process.kill()
    assert len(os.listdir("/proc/self/fd")) == before
    assert isinstance(process.exit_code, int)
    assert subprocess.run(["kill", "-0", str(process.pid)], capture_output=True, check=False).returncode != 0
