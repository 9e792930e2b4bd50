"""A long-lived child process: started bound to our life, watched by its exit code and its log, ended for certain.

Contract: nothing here belongs to an event loop, so that one process can be used from several loops one after the
other, as a test suite does. Waiting polls a condition; the poll is a few milliseconds and costs one system call.
"""

from __future__ import annotations

import asyncio
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

POLL_S = 0.005


class ChildProcess:
    """One program with its standard error in a file; ``start`` may be called again after it has ended."""

    def __init__(self, command: list[str], log_path: Path, **options: Any) -> None:
        self.command = command
        self.log_path = log_path
        self.options = options
        self._process: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    def __repr__(self) -> str:
        state = f"pid {self.pid}" if self.is_running else f"ended, {self.exit_code}"
        return f"<ChildProcess {Path(self.command[0]).name}: {state}>"

    def start(self) -> None:
        if self.is_running:
            raise RuntimeError(f"{self!r} was started twice")
        with self.log_path.open("ab") as log:
            self._log_start = log.tell()
            self._process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **self.options
            )

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        return None if self._process is None else self._process.poll()

    @property
    def pid(self) -> int:
        if self._process is None:
            raise RuntimeError("the process was never started")
        return self._process.pid

    @property
    def log(self) -> str:
        return self._read_log(0)

    @property
    def log_since_start(self) -> str:
        """Without what earlier starts have left in the file."""
        return self._read_log(self._log_start)

    def _read_log(self, offset: int) -> str:
        return self.log_path.read_bytes()[offset:].decode(errors="replace") if self.log_path.exists() else ""

    def send_signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)

    async def wait(self, timeout_s: float) -> int:
        """The exit code; ``TimeoutError`` when it does not end in time."""
        if not await holds_within(lambda: not self.is_running, timeout_s):
            raise TimeoutError(f"{self!r} did not end within {timeout_s} s")
        assert self._process is not None and self._process.returncode is not None
        return self._process.returncode

    async def stop(self, number: signal.Signals = signal.SIGTERM, timeout_s: float = 10) -> int | None:
        """Ask it to end with ``number``; what does not obey in time is killed, also when we are cancelled meanwhile."""
        if not self.is_running:
            return self.exit_code
        self.send_signal(number)
        try:
            return await self.wait(timeout_s)
        except TimeoutError:
            return self.kill()
        except asyncio.CancelledError:
            self.kill()
            raise

    def kill(self) -> int | None:
        if self._process is None:
            return None
        self._process.kill()
        return self._process.wait()


async def holds_within(condition: Callable[[], bool], timeout_s: float, *, poll_s: float = POLL_S) -> bool:
    """Whether the condition became true before the time was over."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(poll_s)
    return True
