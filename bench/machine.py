"""Where and with what a run was made: without this a table of figures says nothing."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from bench.contenders import Stage, pgbouncer_binary
from trunkline import __version__


def _first_line(command: Sequence[str | Path]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, cwd=Path(__file__).parent)
    except (OSError, subprocess.TimeoutExpired):
        return "not installed"
    return next(iter(done.stdout.splitlines()), "unknown")


def _processor() -> str:
    found = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.M)
    return found[1] if found else platform.machine()


def _memory() -> str:
    found = re.search(r"^MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text(), re.M)
    return f"{int(found[1]) / 1024 / 1024:.0f} GiB" if found else "unknown"


def _commit() -> str:
    return _first_line(["git", "describe", "--always", "--dirty", "--exclude=*"])


def facts(stage: Stage, arguments: Sequence[str]) -> list[tuple[str, str]]:
    """Label and text of each fact; call it before the load, so that the load average shows what else was running."""
    bouncer = pgbouncer_binary()
    return [
        ("date", f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"),
        ("command", " ".join(["python -m bench", *arguments])),
        ("machine", f"{_processor()}, {len(os.sched_getaffinity(0))} cores, {_memory()}"),
        ("system", f"{platform.system()} {platform.release()} {platform.machine()}"),
        ("load before the run", f"{os.getloadavg()[0]:.2f} (1 minute)"),
        ("Trunkline", f"{__version__}, commit {_commit()}, Python {sys.version.split()[0]}"),
        ("PgBouncer", _first_line([bouncer, "--version"]) if bouncer else "not installed"),
        ("PostgreSQL", stage.server.binaries.version),
        ("pgbench", _first_line([stage.server.pgbench, "--version"])),
        ("C compiler", _first_line(["cc", "--version"])),
    ]
