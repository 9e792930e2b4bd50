"""A storm of SCRAM logins, and what clients that are already working notice of it.

pgbench runs throughout. Its transactions that end in the seconds before the storm are the quiet ones, those that end
while the storm lasts are the disturbed ones: one log, so that both are of the same run. The storm's own client takes
CPU away as well, from every contender alike: read the ratio beside PgBouncer's. The same logins at a steady pace, which
leaves the client nearly idle, show what of the burst's disturbance is the proxy's.
"""

from __future__ import annotations

import asyncio
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import pgbench, scram, wire
from bench.contenders import Running, Setup, Stage, lineup
from bench.options import Options
from bench.pgbench import Load
from bench.report import Section, spread, table
from bench.samples import by_turns, percentile
from bench.scram import Credentials

SECONDS = "SCRAM logins in a burst, seconds"
DISTURBANCE = "SCRAM logins in a burst, p99 during / quiet"
FAILED = "SCRAM logins in a burst, failed"
IN_FLIGHT = 100
PACES: dict[str, float | None] = {"burst": None, "500/s": 500.0}
CLIENTS = 16
QUIET_S = 2.0
SETTLE_S = 0.5
STORM_LIMIT_S = 10.0
PASSWORD = "correct horse"
HEADER = ("contender, pace", "seconds", "logins/s", "p99 ms quiet", "p99 ms during", "during / quiet", "failed")


@dataclass(frozen=True)
class Storm:
    """When it was (epoch seconds), how many came in, and how many did not."""

    started: float
    ended: float
    succeeded: int
    failures: tuple[str, ...]

    @property
    def seconds(self) -> float:
        return self.ended - self.started


@dataclass(frozen=True)
class Outcome:
    storm: Storm
    quiet_p99_ms: float
    during_p99_ms: float

    def __str__(self) -> str:
        return (
            f"{self.storm.seconds:.2f} s, {len(self.storm.failures)} failed, "
            f"p99 {self.quiet_p99_ms:.1f} then {self.during_p99_ms:.1f} ms"
        )

    @property
    def disturbance(self) -> float:
        return self.during_p99_ms / self.quiet_p99_ms


Outcomes = dict[tuple[str, str], list[Outcome]]


async def _log_in_all(port: int, count: int, pace: float | None) -> Storm:
    """``count`` logins, at most IN_FLIGHT at a time and ``pace`` a second, all kept open until the last one is in."""
    credentials = Credentials(wire.USER, PASSWORD)
    gate, failures = asyncio.Semaphore(IN_FLIGHT), list[str]()
    inside: list[asyncio.StreamWriter] = []

    async def one(number: int) -> None:
        if pace is not None:
            await asyncio.sleep(number / pace)
        async with gate:
            try:
                inside.append(await scram.log_in(port, credentials))
            except (OSError, EOFError) as error:
                failures.append(str(error))

    started = time.time()
    try:
        async with asyncio.timeout(STORM_LIMIT_S):
            await asyncio.gather(*(one(number) for number in range(count)))
    except TimeoutError:
        failures += ["not in within the limit"] * (count - len(inside) - len(failures))
    ended = time.time()
    for writer in inside:
        writer.close()
    return Storm(started, ended, len(inside), tuple(failures))


@contextmanager
def _pgbench_beside(stage: Stage, contender: Running, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    load = Load("simple", CLIENTS, SETTLE_S + QUIET_S + STORM_LIMIT_S)
    environment = pgbench.environment(load) | {"PGPASSWORD": PASSWORD}
    process = subprocess.Popen(
        pgbench.command(stage, contender.port, load, log),
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        if process.stderr is not None:
            process.stderr.close()


def _p99_ms(log: Path, start: float, end: float) -> float:
    """Of the transactions that ended between two epoch times, without the line that the end of pgbench cut short."""
    lines = (fields for fields in pgbench.log_lines(log) if len(fields) == 6)
    ended = ((int(fields[4]) + int(fields[5]) / 1e6, int(fields[2])) for fields in lines)
    latencies = sorted(latency for when, latency in ended if start <= when <= end)
    return percentile(latencies, 0.99) / 1000 if latencies else float("nan")


def _wait_for_full_buffers(log: Path, after: float) -> None:
    """pgbench's log is buffered: go on until a line from after the storm is in the file."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        lines = [fields for fields in pgbench.log_lines(log) if len(fields) == 6]
        if lines and int(lines[-1][4]) > after:
            return
        time.sleep(0.2)


def _outcome(stage: Stage, contender: Running, count: int, pace: float | None) -> Outcome:
    with tempfile.TemporaryDirectory(dir=stage.directory) as directory:
        log = Path(directory) / "log"
        with _pgbench_beside(stage, contender, log):
            time.sleep(SETTLE_S + QUIET_S)
            storm = asyncio.run(_log_in_all(contender.port, count, pace))
            _wait_for_full_buffers(log, storm.ended)
        quiet = _p99_ms(log, storm.started - QUIET_S, storm.started)
        return Outcome(storm, quiet, _p99_ms(log, storm.started, storm.ended))


def run(stage: Stage, options: Options, progress: Callable[[str], None]) -> Section:
    about = (
        f"{options.logins:,} logins, {IN_FLIGHT} at a time, by one client process with a cached key; the proxies hold "
    )
    about += f"a SCRAM secret. Beside them `pgbench -n -S` with {CLIENTS} clients."
    section = Section("SCRAM logins", about)
    setup = Setup("scram-sha-256", ((wire.USER, scram.make_secret(PASSWORD)),))
    outcomes: Outcomes = {}
    names = [name for name in options.contenders if name in ("pgbouncer", "trunkline")]
    with lineup(stage, names, setup) as present:
        for contender in by_turns(present.running, options.rounds):
            for pace in PACES:
                outcome = _outcome(stage, contender, options.logins, PACES[pace])
                outcomes.setdefault((pace, contender.name), []).append(outcome)
                progress(f"logins: {contender.name} {pace}: {outcome}")
                section.notes += [f"{contender.name}, {pace}: {reason}" for reason in outcome.storm.failures]
        section.note_absent(present.absent)
        rows = [_row(f"{one.name}, {pace}", outcomes[pace, one.name]) for pace in PACES for one in present.running]
    section.tables.append(table(HEADER, rows))
    section.figures = _figures(outcomes.get(("burst", "trunkline"), []))
    return section


def _row(name: str, outcomes: Sequence[Outcome]) -> list[str]:
    return [
        name,
        spread([one.storm.seconds for one in outcomes]),
        spread([one.storm.succeeded / one.storm.seconds for one in outcomes], 0),
        spread([one.quiet_p99_ms for one in outcomes]),
        spread([one.during_p99_ms for one in outcomes]),
        spread([one.disturbance for one in outcomes]),
        str(sum(len(one.storm.failures) for one in outcomes)),
    ]


def _figures(outcomes: Sequence[Outcome]) -> dict[str, Sequence[float]]:
    """Of seconds and failures the worst round counts: "all" means all."""
    if not outcomes:
        return {}
    return {
        SECONDS: [max(one.storm.seconds for one in outcomes)],
        DISTURBANCE: [one.disturbance for one in outcomes],
        FAILED: [float(sum(len(one.storm.failures) for one in outcomes))],
    }
