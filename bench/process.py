"""Child processes, and what the kernel says they cost.

CPU comes from ``schedstat`` (nanoseconds on a CPU) where the kernel keeps it, otherwise from utime + stime, which
count in ticks of 10 ms. Figures of a contender are sums over its process and all descendants, so that a proxy with
workers is not measured by its supervisor alone.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from trunkline.demo.privileges import death_signal

TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
STOP_S = 5.0


class DidNotStart(Exception):
    """A contender cannot take part; the text is the reason shown in the report."""


def _children(pid: int) -> list[int]:
    found: list[int] = []
    with contextlib.suppress(OSError):
        for path in Path(f"/proc/{pid}/task").glob("*/children"):
            found += [int(child) for child in path.read_text().split()]
    return found


def tree(pid: int) -> list[int]:
    return [pid, *(below for child in _children(pid) for below in tree(child))]


def _cpu_ns(pid: int) -> int:
    try:
        return sum(int(path.read_text().split()[0]) for path in Path(f"/proc/{pid}/task").glob("*/schedstat"))
    except (OSError, IndexError, ValueError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) * TICK_NS


def _kib_field(path: Path, name: str) -> int:
    for line in path.read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * 1024
    raise ValueError(f"{path} has no {name}")


@dataclass
class Daemon:
    """A process started by us and stopped by us, by its pid only; the kernel ends it should we be killed."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    stop_signal: signal.Signals = signal.SIGTERM

    def cpu_ns(self) -> int:
        return sum(_cpu_ns(pid) for pid in tree(self.process.pid))

    def rss_bytes(self) -> int:
        """Exact, unlike VmRSS, whose per-CPU counters lag by some pages."""
        return sum(_kib_field(Path(f"/proc/{pid}/smaps_rollup"), "Rss:") for pid in tree(self.process.pid))

    def reset_peak(self) -> None:
        for pid in tree(self.process.pid):
            Path(f"/proc/{pid}/clear_refs").write_text("5")

    def peak_rss_bytes(self) -> int:
        return sum(_kib_field(Path(f"/proc/{pid}/status"), "VmHWM:") for pid in tree(self.process.pid))

    def alive(self) -> bool:
        return self.process.poll() is None

    def last_words(self) -> str:
        lines = [line.strip() for line in self.log.read_text(errors="replace").splitlines() if line.strip()]
        return lines[-1] if lines else f"no output, exit status {self.process.poll()}"

    def stop(self) -> None:
        if not self.alive():
            return
        self.process.send_signal(self.stop_signal)
        try:
            self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def start(
    name: str,
    command: Sequence[str | Path],
    log: Path,
    *,
    account: str | None = None,
    environment: Mapping[str, str] | None = None,
    stop_signal: signal.Signals = signal.SIGTERM,
) -> Daemon:
    """Start ``command`` with all its output in ``log``; ``account`` is the user it runs as (root may choose)."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*death_signal("KILL"), *(str(word) for word in command)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd="/" if account else None,
            env=dict(environment) if environment is not None else None,
            user=account,
            group=pwd.getpwnam(account).pw_gid if account else None,
            extra_groups=[] if account else None,
        )
    return Daemon(name, process, log, stop_signal)


def wait_until_ready(daemon: Daemon, ready: Callable[[], object], timeout_s: float = 15.0) -> None:
    """Poll ``ready`` until it no longer raises OSError; DidNotStart when the process ends or time is up."""
    deadline = time.monotonic() + timeout_s
    reason = ""
    while time.monotonic() < deadline:
        if not daemon.alive():
            raise DidNotStart(daemon.last_words())
        try:
            ready()
            return
        except OSError as error:
            reason = str(error)
            time.sleep(0.02)
    daemon.stop()
    raise DidNotStart(f"not ready within {timeout_s:.0f} s: {reason}")
