"""Upgrades one after the other while pgbench works and others come and go: who fails, and who is refused."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench import pgbench, postgres, wire
from bench.contenders import Running, Stage, lineup
from bench.options import Options
from bench.pgbench import Load
from bench.report import Section, number, table
from bench.samples import middle, tps

CLIENTS = 50
FAILED = f"upgrades under pgbench -c {CLIENTS}, failed transactions"
REFUSED = f"upgrades under pgbench -c {CLIENTS}, refused connections"
HEADER = ("upgrades", "transactions", "tps", "failed", "newcomers", "refused", "new one serves after, s (worst)")
ABOUT = (
    f"`pgbench -S -c {CLIENTS}` begins before each upgrade and ends after it; meanwhile one client after the other "
    "comes, asks one query and leaves. An upgrade is over when the former program has ended."
)
ORDER_S = 0.5  # after pgbench has begun


@dataclass
class Newcomers:
    """One client after the other, in a thread, until the end of the block."""

    served: int = 0
    refused: list[str] = field(default_factory=list)

    @contextmanager
    def coming(self, port: int) -> Iterator[None]:
        over = threading.Event()
        thread = threading.Thread(target=self._come, args=(port, over))
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _come(self, port: int, over: threading.Event) -> None:
        while not over.is_set():
            try:
                with contextlib.closing(wire.login(port)) as client:
                    client.sendall(wire.query_message("SELECT 1"))
                    wire.read_answer(client)
                self.served += 1
            except OSError as error:
                self.refused.append(str(error))


def run(stage: Stage, options: Options, progress: Callable[[str], None]) -> Section:
    section = Section("Upgrades", ABOUT)
    samples, newcomers, delays = [], Newcomers(), []
    with lineup(stage, ("trunkline",)) as present:
        section.note_absent(present.absent)
        for contender in present.running:
            try:
                with newcomers.coming(contender.port):
                    for turn in range(options.upgrades):
                        with _ordered(contender, delays):
                            load = Load("simple", CLIENTS, max(2.0, options.seconds / 2))
                            samples.append(pgbench.measure(stage, Running("trunkline", contender.port), load))
                        progress(f"upgrade {turn + 1}: {samples[-1].tps:.0f} tps, {samples[-1].errors} failed")
                        section.notes += [samples[-1].note] if samples[-1].note else []
            finally:
                _end_last(contender)
    failed = sum(sample.errors for sample in samples)
    section.notes += newcomers.refused[:3]
    row = (
        str(len(delays)),
        str(sum(sample.transactions for sample in samples)),
        number(middle(samples, tps)),
        str(failed),
        str(newcomers.served),
        str(len(newcomers.refused)),
        number(max(delays, default=None), 2),
    )
    section.tables.append(table(HEADER, [row]))
    section.figures = {FAILED: [float(failed)], REFUSED: [float(len(newcomers.refused))]} if samples else {}
    return section


@contextmanager
def _ordered(contender: Running, delays: list[float]) -> Iterator[None]:
    """One upgrade in the middle of the block, which is over when the former program is."""
    order = threading.Thread(target=_upgrade, args=(contender, delays))
    order.start()
    try:
        yield
    finally:
        order.join()


def _upgrade(contender: Running, delays: list[float]) -> None:
    time.sleep(ORDER_S)
    before, began = len(_generations(contender)), time.monotonic()
    command = [sys.executable, "-P", "-m", "trunkline", "upgrade", "--port", str(contender.port)]
    environment = postgres.environment(PYTHONPATH=os.pathsep.join(sys.path))
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as order:
        while order.poll() is None and len(_generations(contender)) == before:
            time.sleep(0.01)
        delays.append(time.monotonic() - began)


def _generations(contender: Running) -> list[int]:
    """The processes that have taken over."""
    assert contender.daemon is not None
    return [int(pid) for pid in re.findall(r"upgrade: process (\d+) serves", contender.daemon.log.read_text())]


def _end_last(contender: Running) -> None:
    """The last program is nobody's child by now."""
    for pid in _generations(contender)[-1:]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
            while Path(f"/proc/{pid}").exists():
                time.sleep(0.05)
