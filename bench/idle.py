"""Ten thousand idle clients: what each costs the proxy in memory, and what a fresh process weighs."""

from __future__ import annotations

import resource
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import pgbench
from bench.contenders import Running, Stage, lineup
from bench.options import Options
from bench.report import Section, number, table

EACH = "idle client, bytes"
FRESH = "fresh process, MB"
HOLDERS = 4
LOGIN_S = 60.0
RESERVED_DESCRIPTORS = 1_000  # of the proxy, for all that is not an idle client
HEADER = ("contender", "fresh RSS MB", "RSS with pool MB", "RSS with idle clients MB", "bytes per idle client")


class NotAllIn(Exception):
    """Some idle clients could not log in; the text is their holder's last line."""


@dataclass(frozen=True)
class Weight:
    """Resident memory of a proxy in bytes: just started, with a warm pool, with the idle clients beside."""

    fresh: int
    warm: int
    loaded: int
    clients: int

    @property
    def each(self) -> float:
        return (self.loaded - self.warm) / self.clients


def _start_holder(port: int, count: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "bench.holder", str(port), str(count)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[1],
    )


def _await(holder: subprocess.Popen[str]) -> None:
    assert holder.stdout is not None and holder.stderr is not None
    if holder.stdout.readline().strip() != "ready":
        raise NotAllIn((holder.stderr.read().strip().splitlines() or ["stopped: it took too long"])[-1])


def _kill_all(holders: Sequence[subprocess.Popen[str]]) -> None:
    for holder in holders:
        holder.kill()


@contextmanager
def _idle_clients(port: int, count: int) -> Iterator[None]:
    """``count`` clients logged in and silent, spread over HOLDERS processes."""
    holders = [_start_holder(port, count // HOLDERS) for _ in range(HOLDERS)]
    # A login that never ends would block readline for ever; a killed holder ends it.
    alarm = threading.Timer(LOGIN_S, _kill_all, [holders])
    alarm.start()
    try:
        for holder in holders:
            _await(holder)
        yield
    finally:
        alarm.cancel()
        for holder in holders:
            _end(holder)


def _end(holder: subprocess.Popen[str]) -> None:
    try:
        holder.communicate(timeout=10)
    except subprocess.TimeoutExpired:
        holder.kill()
        holder.communicate()


def _descriptor_limit() -> int:
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return sys.maxsize if soft == resource.RLIM_INFINITY else soft


def _weigh(stage: Stage, contender: Running, clients: int) -> Weight:
    daemon = contender.daemon
    assert daemon is not None
    fresh = daemon.rss_bytes()
    pgbench.warm_up(stage, [contender])
    warm = daemon.rss_bytes()
    with _idle_clients(contender.port, clients):
        return Weight(fresh, warm, daemon.rss_bytes(), clients)


def run(stage: Stage, options: Options, progress: Callable[[str], None]) -> Section:
    clients = min(options.idle_clients, _descriptor_limit() - RESERVED_DESCRIPTORS)
    about = f"{clients:,} clients log in and say nothing; (RSS after - before) / {clients:,}."
    section = Section("Idle clients", about)
    names = [name for name in options.contenders if name not in ("direct", "floor")]
    rows = []
    with lineup(stage, names) as present:
        section.note_absent(present.absent)
        for contender in present.running:
            try:
                weight = _weigh(stage, contender, clients)
            except NotAllIn as failure:
                section.notes.append(f"{contender.name}: {failure}")
                continue
            progress(f"idle: {contender.name} {weight.each:.0f} bytes a client, fresh {weight.fresh / 1e6:.1f} MB")
            rows.append([contender.name, *_megabytes(weight), number(weight.each)])
            if contender.name == "trunkline":
                section.figures = {EACH: [weight.each], FRESH: [weight.fresh / 1e6]}
    section.tables.append(table(HEADER, rows))
    return section


def _megabytes(weight: Weight) -> list[str]:
    return [number(size / 1e6, 1) for size in (weight.fresh, weight.warm, weight.loaded)]
