"""Runs pgbench, the same binary for every contender, and reads what it reports and logs."""

from __future__ import annotations

import re
import subprocess
import tempfile
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import postgres, wire
from bench.contenders import Running, Stage
from bench.samples import Sample, percentile

GRACE_S = 10.0
_NUMBER = {
    "transactions": re.compile(r"^number of transactions actually processed: (\d+)", re.M),
    "tps": re.compile(r"^tps = ([\d.]+)", re.M),
    "average_ms": re.compile(r"^latency average = ([\d.]+) ms", re.M),
}
_FAILURE = re.compile(r"aborted|ERROR:|FATAL:")


@dataclass(frozen=True)
class Load:
    """What pgbench is asked to do."""

    mode: str = "simple"
    clients: int = 16
    seconds: float = 4
    reconnect: bool = False
    tls: bool = False
    script: str | Path = "select-only"  # one of pgbench's own, or a file
    database: str = wire.DATABASE
    threads: int = 1


def command(stage: Stage, port: int, load: Load, log: Path) -> list[str | Path]:
    words: list[str | Path] = [
        stage.server.pgbench,
        "-n",
        "-f" if isinstance(load.script, Path) else "-b",
        load.script,
        "-M",
        load.mode,
        "-j",
        str(load.threads),
    ]
    words += ["-c", str(load.clients), "-T", str(max(1, round(load.seconds))), "-l", "--log-prefix", log]
    words += ["-h", "127.0.0.1", "-p", str(port), "-U", wire.USER, load.database]
    return [*words[:1], "-C", *words[1:]] if load.reconnect else words


def environment(load: Load) -> dict[str, str]:
    return postgres.environment(PGSSLMODE="require" if load.tls else "disable", PGCONNECT_TIMEOUT="10")


def log_lines(prefix: Path) -> list[list[str]]:
    """The fields of each line of pgbench's log: client, number, latency in us, script, epoch seconds and their us."""
    return [line.split() for path in prefix.parent.glob(f"{prefix.name}.*") for line in path.read_text().splitlines()]


def _p99_ms(prefix: Path) -> float:
    latencies = array("q", sorted(int(fields[2]) for fields in log_lines(prefix)))
    return percentile(latencies, 0.99) / 1000 if latencies else float("nan")


def _number(name: str, output: str) -> float:
    found = _NUMBER[name].search(output)
    return float(found[1]) if found else 0.0


def _complaints(text: str) -> list[str]:
    return [line for line in text.splitlines() if _FAILURE.search(line)]


def measure(stage: Stage, contender: Running, load: Load) -> Sample:
    """One run, with the proxy's CPU read right before and right after it. Failures are counted, never raised."""
    before = contender.daemon.cpu_ns() if contender.daemon and contender.daemon.alive() else 0
    with tempfile.TemporaryDirectory(dir=stage.directory) as directory:
        log = Path(directory) / "log"
        try:
            done = subprocess.run(
                command(stage, contender.port, load, log),
                env=environment(load),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=load.seconds + GRACE_S,
            )
        except subprocess.TimeoutExpired:
            return Sample(0, 0.0, float("nan"), float("nan"), None, load.clients, "pgbench hung and was stopped")
        p99_ms = _p99_ms(log)
    return _sample(contender, done, before, p99_ms)


def _sample(contender: Running, done: subprocess.CompletedProcess[str], before_ns: int, p99_ms: float) -> Sample:
    complaints = _complaints(done.stderr)
    if done.returncode and not complaints:
        complaints = [done.stderr.strip()[-200:] or f"pgbench exit status {done.returncode}"]
    daemon = contender.daemon
    if daemon is not None and not daemon.alive():
        complaints.append(f"{contender.name} ended: {daemon.last_words()}")
    transactions = int(_number("transactions", done.stdout))
    has_cpu = daemon is not None and daemon.alive() and transactions > 0
    return Sample(
        transactions,
        _number("tps", done.stdout),
        _number("average_ms", done.stdout),
        p99_ms,
        (daemon.cpu_ns() - before_ns) / transactions / 1000 if daemon is not None and has_cpu else None,
        len(complaints),
        complaints[0] if complaints else "",
    )


def warm_up(stage: Stage, contenders: Sequence[Running], tls: bool = False) -> None:
    """Opens every pool and reads the tables into memory, so that the first round is like the others."""
    for contender in contenders:
        measure(stage, contender, Load(clients=32, seconds=1, tls=tls))
