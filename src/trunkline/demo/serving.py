"""Trunkline itself as a child process: ``python -m trunkline serve FILE``, watched by what it logs.

Contract: ``start`` returns when the log says ``ready port=N``, and raises with the log's end when the process ends
before that. The port is the one in the log, so that a configuration with ``listen_port = 0`` works.
"""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

import trunkline
from trunkline.demo.privileges import death_signal
from trunkline.demo.process import ChildProcess, holds_within
from trunkline.errors import ServerUnavailable

START_TIMEOUT_S = 20.0
READY = re.compile(r"\bready\b.*?\bport=(\d+)")


class Trunkline:
    """One serving process; ``start`` may be called again after it has ended."""

    def __init__(self, config_path: Path, log_path: Path, environ: Mapping[str, str] | None = None) -> None:
        self.config_path = config_path
        # -P keeps the working directory from hiding modules, as it would with -m.
        command = [sys.executable, "-P", "-m", "trunkline", "serve", str(config_path)]
        self._process = ChildProcess(
            [*death_signal("TERM"), *command],
            log_path,
            env=child_environment(os.environ) | dict(environ or {}),
            start_new_session=True,  # Ctrl-C in the terminal is for whoever started us; he stops us in order
        )

    def __repr__(self) -> str:
        return f"<Trunkline {self._process!r}>"

    async def start(self) -> None:
        self._process.start()
        await holds_within(lambda: self.is_ready or not self._process.is_running, START_TIMEOUT_S)
        if not self.is_ready:
            await self.stop()
            raise ServerUnavailable("Trunkline did not start", detail=self.log_since_start[-4000:])

    @property
    def is_ready(self) -> bool:
        return READY.search(self.log_since_start) is not None

    @property
    def is_running(self) -> bool:
        return self._process.is_running

    @property
    def exit_code(self) -> int | None:
        return self._process.exit_code

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def port(self) -> int:
        found = READY.search(self.log_since_start)
        if found is None:
            raise RuntimeError("Trunkline has no port before it is ready")
        return int(found.group(1))

    @property
    def log(self) -> str:
        return self._process.log

    @property
    def log_since_start(self) -> str:
        return self._process.log_since_start

    def send_signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    async def wait(self, timeout_s: float) -> int:
        return await self._process.wait(timeout_s)

    async def stop(self, timeout_s: float = 10) -> int | None:
        """A second signal ends what the first one only drains; what ignores both is killed."""
        if not self.is_running:
            return self.exit_code
        self.send_signal(signal.SIGTERM)
        if await holds_within(lambda: not self.is_running, 1.0):
            return self.exit_code
        return await self._process.stop(signal.SIGTERM, timeout_s)

    def kill(self) -> None:
        self._process.kill()


def child_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Our environment without settings, which would override the file, and with this very package importable.

    The latter matters when the package runs from a tree that was never installed.
    """
    kept = {name: value for name, value in environ.items() if not name.startswith(("TRUNKLINE_", "PG"))}
    tree = str(Path(trunkline.__file__).parent.parent)
    paths = [tree, *filter(None, environ.get("PYTHONPATH", "").split(os.pathsep))]
    return kept | {"PYTHONPATH": os.pathsep.join(dict.fromkeys(paths)), "PYTHONUNBUFFERED": "1"}
