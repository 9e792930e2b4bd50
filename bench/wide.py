"""One result of 200 MB: how fast it passes, and how much memory the proxy takes meanwhile.

Memory is the peak since the last reset of the kernel's high-water mark, minus what was there before: no sampling that
could miss it. The slow reader takes 1 MB/s with a small receive buffer, so that what it does not take must wait
somewhere: in the server if the proxy is right, in the proxy if it is not.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from bench import pgbench, wire
from bench.contenders import Lineup, Running, Stage, lineup
from bench.options import Options
from bench.report import Section, number, ratio, spread, table
from bench.samples import by_turns

THROUGHPUT = "200 MB result, throughput / PgBouncer"
GROWTH = "200 MB result, memory growth, MB"
SLOW_GROWTH = "200 MB result, slow reader, memory growth, MB"
RATE_BYTES_S = 1_000_000
SIP_BYTES = 50_000
ROW_BYTES = 1_000
MIB = 1024 * 1024
HEADER = (
    "contender", "MB/s", "MB/s / PgBouncer", "CPU ms", "memory growth MB", "slow reader: growth MB", "slow reader: MB/s"
)  # fmt: skip


@dataclass(frozen=True)
class Transfer:
    """One result read; sizes in bytes. ``growth`` is None without a proxy."""

    bytes_read: int
    seconds: float
    cpu_ms: float | None = None
    growth: int | None = None
    failure: str = ""

    @property
    def rate(self) -> float:
        return self.bytes_read / self.seconds / 1e6 if self.seconds and not self.failure else 0.0


@contextmanager
def growth(contender: Running) -> Iterator[Callable[[], int | None]]:
    """Yields a function that tells by how many bytes the proxy's memory has peaked above where it stood."""
    daemon = contender.daemon
    if daemon is None:
        yield lambda: None
        return
    daemon.reset_peak()
    before = daemon.rss_bytes()
    yield lambda: max(0, daemon.peak_rss_bytes() - before)


def _statement(rows: int) -> str:
    return f"SELECT repeat('x', {ROW_BYTES}) FROM generate_series(1, {rows})"


def read_all(client: socket.socket, rows: int) -> int:
    """Reads to the end of the result and returns its size; ConnectionError if it is not the whole result."""
    end = f"SELECT {rows}\0".encode() + wire.READY
    buffer, total, tail = bytearray(MIB), 0, b""
    while not tail.endswith(wire.READY):
        count = client.recv_into(buffer)
        if count == 0:
            raise ConnectionError(f"closed after {total} bytes")
        total += count
        tail = (tail + bytes(memoryview(buffer)[max(0, count - 64) : count]))[-64:]
    if not tail.endswith(end):
        raise ConnectionError(f"wrong end of the result: {tail!r}")
    return total


def _fast(contender: Running, rows: int) -> Transfer:
    try:
        with wire.login(contender.port, timeout_s=60) as client, growth(contender) as grown:
            cpu_before = contender.daemon.cpu_ns() if contender.daemon else 0
            started = time.monotonic()
            client.sendall(wire.query_message(_statement(rows)))
            total = read_all(client, rows)
            seconds = time.monotonic() - started
            cpu_ms = (contender.daemon.cpu_ns() - cpu_before) / 1e6 if contender.daemon else None
            return Transfer(total, seconds, cpu_ms, grown())
    except OSError as error:
        return Transfer(0, 0.0, failure=str(error))


def _sip(client: socket.socket, seconds: float) -> int:
    """Takes RATE_BYTES_S for ``seconds`` and leaves the rest unread; returns the bytes taken."""
    started, total = time.monotonic(), 0
    while (elapsed := time.monotonic() - started) < seconds:
        if total > elapsed * RATE_BYTES_S:
            time.sleep(total / RATE_BYTES_S - elapsed)
            continue
        part = client.recv(SIP_BYTES)
        if not part:
            raise ConnectionError(f"closed after {total} bytes")
        total += len(part)
    return total


def _slow(contender: Running, rows: int, seconds: float) -> Transfer:
    try:
        with wire.login(contender.port, timeout_s=60) as client, growth(contender) as grown:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
            client.sendall(wire.query_message(_statement(rows)))
            return Transfer(_sip(client, seconds), seconds, growth=grown())
    except OSError as error:
        return Transfer(0, 0.0, failure=str(error))


def _all_slow(present: Lineup, options: Options) -> dict[str, Transfer]:
    """All slow readers at the same time: they cost nearly no CPU, and each proxy's memory is its own."""
    found: dict[str, Transfer] = {}

    def read(contender: Running) -> None:
        found[contender.name] = _slow(contender, options.wide_rows, options.slow_s)

    threads = [threading.Thread(target=read, args=(one,)) for one in present.running if one.daemon]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def run(stage: Stage, options: Options, progress: Callable[[str], None]) -> Section:
    size = options.wide_rows * ROW_BYTES / 1e6
    section = Section(
        "One wide result", f"`{_statement(options.wide_rows)}` ({size:.0f} MB), read as fast as it comes."
    )
    section.about += f" The slow reader takes 1 MB/s for {options.slow_s:.0f} s, then goes away."
    fast: dict[str, list[Transfer]] = {}
    # The floor takes whole frames per read and no full socket for granted, so it cannot pass this on.
    names = [name for name in options.contenders if name != "floor"]
    with lineup(stage, names) as present:
        pgbench.warm_up(stage, present.running)
        for contender in by_turns(present.running, options.rounds):
            transfer = _fast(contender, options.wide_rows)
            fast.setdefault(contender.name, []).append(transfer)
            progress(f"wide: {contender.name} {transfer.rate:.0f} MB/s {transfer.failure}")
        slow = _all_slow(present, options)
        section.note_absent(present.absent)
        section.tables.append(table(HEADER, [_row(one.name, fast, slow) for one in present.running]))
    for name, transfers in fast.items():
        section.notes += [f"{name}: {one.failure}" for one in transfers if one.failure]
    section.notes += [f"{name}, slow reader: {one.failure}" for name, one in slow.items() if one.failure]
    section.figures = _figures(fast, slow)
    return section


def _megabytes(transfers: Sequence[Transfer]) -> list[float]:
    return [one.growth / 1e6 for one in transfers if one.growth is not None]


def _rates(fast: dict[str, list[Transfer]], name: str) -> list[float]:
    pairs = zip(fast.get(name, []), fast.get("pgbouncer", []), strict=False)
    return [ours.rate / theirs.rate for ours, theirs in pairs if theirs.rate]


def _row(name: str, fast: dict[str, list[Transfer]], slow: dict[str, Transfer]) -> list[str]:
    transfers = fast[name]
    sip = slow.get(name)
    return [
        name,
        spread([one.rate for one in transfers], 0),
        ratio(_rates(fast, name)),
        spread([one.cpu_ms for one in transfers if one.cpu_ms is not None], 0),
        spread(_megabytes(transfers), 2),
        spread(_megabytes([sip]), 2) if sip else "-",
        number(sip.rate, 2) if sip else "-",
    ]


def _figures(fast: dict[str, list[Transfer]], slow: dict[str, Transfer]) -> dict[str, Sequence[float]]:
    growth = _megabytes(fast.get("trunkline", []))
    return {
        THROUGHPUT: _rates(fast, "trunkline"),
        GROWTH: [max(growth)] if growth else [],
        SLOW_GROWTH: _megabytes([slow["trunkline"]]) if "trunkline" in slow else [],
    }
