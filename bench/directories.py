"""What a large directory of a `lookup` costs: ``python -m bench.directories [ROWS]``.

Memory and time of the reading that the first client waits for; then, while the directory is read again, how long a
client that reads the same row again and again has to wait at most, beside the same while nothing is read, and how long
one waits whose key is missing. Last, how long Trunkline's loop is busy at a stretch, at most, while it reads.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psycopg

from bench import postgres, process, wire
from bench.postgres import SETTINGS, TRUST, find_binaries
from bench.process import Daemon
from trunkline.demo.free_port import free_port
from trunkline.demo.postgres_server import PostgresServer
from trunkline.demo.privileges import choose_launcher

ROWS = 1_000_000
ROUNDS = 3
WATCHED_S = 5.0
MIB = 1024 * 1024
# The keys of a directory, by type; `n` counts from 1.
KEYS: Mapping[str, str] = {"int8": "n", "text": "'tenant-' || md5(n::text)", "uuid": "md5(n::text)::uuid"}


def toml(server_port: int, port: int, type: str) -> str:
    shards = "".join(
        f'[[databases.{type}.shards]]\nname = "s{n}"\nprimary = "postgres://{wire.USER}@127.0.0.1:{server_port}/s{n}"\n'
        for n in range(2)
    )
    lookup = f'{{ table = "places_{type}", key = "k", shard = "shard" }}'
    return (
        f'listen_addr = "127.0.0.1"\nlisten_port = {port}\nauth_type = "any"\nadmin_users = ["{wire.USER}"]\n'
        f'pool_mode = "transaction"\n{shards}[databases.{type}.tables]\n'
        f'rows_{type} = {{ shard_by = "k", method = "lookup", lookup = {lookup} }}\n'
    )


@contextmanager
def server(directory: Path, rows: int) -> Iterator[PostgresServer]:
    """Two shards in one server, and a directory of so many rows for each type of key."""
    launcher = choose_launcher(find_binaries(), directory)
    made = PostgresServer(
        directory / "postgres", launcher, user=wire.USER, settings=SETTINGS, hba=TRUST, port=free_port()
    )

    async def start() -> None:
        await made.create()
        await made.start()

    asyncio.run(start())
    try:
        with connect(made.port, "postgres") as own:
            own.execute("CREATE DATABASE s0")
            own.execute("CREATE DATABASE s1")
        for shard in ("s0", "s1"):
            with connect(made.port, shard) as own:
                for type, key in KEYS.items():
                    own.execute(f"CREATE TABLE rows_{type} (k {type} PRIMARY KEY)".encode())
                    own.execute(f"CREATE TABLE places_{type} (k {type} PRIMARY KEY, shard text)".encode())
                    fill = f"INSERT INTO places_{type} SELECT {key}, 's' || n % 2 FROM generate_series(1, {rows}) AS n"
                    own.execute((fill if shard == "s0" else "SELECT 1").encode())
        yield made
    finally:
        asyncio.run(made.stop("fast"))


def connect(port: int, database: str) -> psycopg.Connection:
    return psycopg.connect(host="127.0.0.1", port=port, user=wire.USER, dbname=database, autocommit=True)


@contextmanager
def trunkline(directory: Path, server_port: int, type: str, *timed: str | Path) -> Iterator[tuple[Daemon, int]]:
    port = free_port()
    file = directory / f"{type}.toml"
    file.write_text(toml(server_port, port, type))
    daemon = process.start(
        "trunkline",
        [sys.executable, "-m", *(timed or ("trunkline",)), "serve", file],
        directory / f"{type}.log",
        environment=postgres.environment(PYTHONPATH=os.pathsep.join(sys.path)),
    )
    try:
        process.wait_until_ready(daemon, lambda: wire.answers(port))
        yield daemon, port
    finally:
        daemon.stop()


def longest_wait_ms(client: psycopg.Connection, sql: str, goes_on: Callable[[], bool]) -> float:
    """Of one query after the other."""
    longest = 0.0
    while goes_on():
        begun = time.perf_counter()
        client.execute(sql.encode())
        longest = max(longest, time.perf_counter() - begun)
    return longest * 1000


def for_a_while() -> Callable[[], bool]:
    until = time.monotonic() + WATCHED_S
    return lambda: time.monotonic() < until


class Readings:
    """Counts whole readings by what the console says, asked ten times a second at most."""

    def __init__(self, port: int) -> None:
        self._console = connect(port, "trunkline")
        self._asked_at = 0.0
        self.begun_at = time.monotonic()
        self.before = self._count()

    def _count(self) -> int:
        rows = self._console.execute("SHOW DIRECTORIES", prepare=False)
        names = [column.name for column in rows.description or ()]
        [row] = rows.fetchall()
        return int(dict(zip(names, row, strict=True))["readings"])

    def goes_on(self) -> bool:
        now = time.monotonic()
        if now - self._asked_at < 0.1:
            return True
        self._asked_at = now
        return self._count() == self.before

    def seconds(self) -> float:
        return time.monotonic() - self.begun_at


def measure(directory: Path, home: PostgresServer, rows: int, type: str) -> None:
    with connect(home.port, "s0") as own, trunkline(directory, home.port, type) as (daemon, port):
        [text] = own.execute(f"SELECT k::text FROM places_{type} LIMIT 1".encode()).fetchone() or [""]
        known = f"SELECT FROM rows_{type} WHERE k = '{text}'"
        empty = daemon.rss_bytes()
        begun = time.monotonic()
        with connect(port, type) as client:
            client.execute(known.encode())
            print(f"{type}: {rows:,} rows: the first client waits {time.monotonic() - begun:.1f} s")
            held = (daemon.rss_bytes() - empty) / MIB
            print(f"{type}: memory {held:.0f} MB, {held * MIB / rows:.0f} bytes a row")
            for _ in range(ROUNDS):
                quiet = longest_wait_ms(client, known, for_a_while())
                daemon.reset_peak()
                readings = Readings(port)
                own.execute("NOTIFY trunkline_directory")
                stall = longest_wait_ms(client, known, readings.goes_on)
                seconds, peak = readings.seconds(), (daemon.peak_rss_bytes() - empty) / MIB
                print(
                    f"{type}: read again in {seconds:.1f} s, {peak:.0f} MB meanwhile; "
                    f"longest wait of a query {stall:.1f} ms, without a reading {quiet:.1f} ms"
                )
            missing(port, own, client, type)
    measure_steps(directory, home, type, known)


def measure_steps(directory: Path, home: PostgresServer, type: str, known: str) -> None:
    """Of a second reading: with the first, much is done for the first time."""
    steps = directory / f"{type}.steps"
    with (
        trunkline(directory, home.port, type, "bench.loop_steps", steps) as (daemon, port),
        connect(home.port, "s0") as own,
        connect(port, type) as client,
    ):
        client.execute(known.encode())
        readings = Readings(port)
        daemon.process.send_signal(signal.SIGPROF)
        own.execute("NOTIFY trunkline_directory")
        longest_wait_ms(client, known, readings.goes_on)
    print(f"{type}: the longest step of Trunkline's loop takes {steps.read_text()} ms of CPU")


def missing(port: int, own: psycopg.Connection, client: psycopg.Connection, type: str) -> None:
    """How long a client waits whose key is new, while the directory is read."""
    readings = Readings(port)
    own.execute("NOTIFY trunkline_directory")
    waits = []
    for number in range(20):
        if not readings.goes_on():
            break
        key = {"int8": str(-number - 1), "text": f"new {number}", "uuid": f"{number:032x}"}[type]
        own.execute(f"INSERT INTO places_{type} VALUES ('{key}', 's1')".encode())
        begun = time.perf_counter()
        client.execute(f"SELECT FROM rows_{type} WHERE k = '{key}'".encode())
        waits.append((time.perf_counter() - begun) * 1000)
    print(
        f"{type}: a new key during a reading waits {sorted(waits)[len(waits) // 2]:.1f} ms, at most {max(waits):.1f} ms"
    )


def main() -> None:
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else ROWS
    directory = Path(tempfile.mkdtemp(prefix="trunkline-bench-"))
    directory.chmod(0o755)  # ours; the server may run as another user
    try:
        with server(directory, rows) as home:
            for type in KEYS:
                measure(directory, home, rows, type)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
