"""What operators wait for: a start with many databases, a worker in a dead one's place, a reload of many users."""

from __future__ import annotations

import os
import re
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from bench import postgres, process, wire
from bench.contenders import Running, Setup, Stage, lineup, trunkline
from bench.options import Options
from bench.process import Daemon, DidNotStart
from bench.report import Section, number, table
from trunkline.demo.free_port import free_port

DATABASES, USERS = 100, 5_000
START = f"start to the first accepted connection, {DATABASES} databases, seconds"
REPLACED = "a dead worker replaced, seconds"
RELOAD = f"reload of {USERS} users, seconds"
PAUSE = f"reload of {USERS} users, longest pause of a running client, ms"
TABLES = f"the same with a table of TOML for each of {USERS} users, seconds"
HEADER = ("what", "median", "least", "most")
ABOUT = (
    f"A pgbouncer.ini with {DATABASES} databases; a worker of two that is killed, until another one serves; and RELOAD "
    f"with another password for each of {USERS} users, while one client asks one query after the other."
)
LIMIT_S = 10.0


def run(stage: Stage, options: Options, progress: Callable[[str], None]) -> Section:
    section = Section("Operation", ABOUT)
    found: dict[str, list[float]] = {key: [] for key in (START, REPLACED, RELOAD, PAUSE, TABLES)}
    quiet: list[float] = []
    try:
        _start(stage)  # Python keeps what it has compiled
        for _ in range(options.rounds):
            found[START].append(_start(stage))
            found[REPLACED].append(_replaced(stage))
            seconds, pause, before = _reload(stage, _userlist)
            found[RELOAD].append(seconds)
            quiet.append(before)
            found[TABLES].append((in_tables := _reload(stage, _tables))[0])
            found[PAUSE].append(max(pause, in_tables[1]))
            progress("operation: " + ", ".join(f"{key} {values[-1]:.3f}" for key, values in found.items()))
    except DidNotStart as reason:
        section.notes.append(str(reason))
    named = {**found, "the same client without a reload, longest pause, ms": quiet}
    rows = [
        (key, *(number(one, 3) for one in (sorted(values)[len(values) // 2], min(values), max(values))))
        for key, values in named.items()
        if values
    ]
    section.tables.append(table(HEADER, rows))
    section.figures = {key: values for key, values in found.items() if values}
    return section


def _start(stage: Stage) -> float:
    directory = Path(tempfile.mkdtemp(prefix="start-", dir=stage.directory))
    port = free_port()
    server = f"host=127.0.0.1 port={stage.server.port} user={wire.USER}"
    names = "".join(f"app{n} = {server} dbname=app{n}\n" for n in range(DATABASES - 1))
    ini = directory / "pgbouncer.ini"
    ini.write_text(
        f"[databases]\n{names}{wire.DATABASE} = {server}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n"
        "unix_socket_dir =\nauth_type = any\n"
    )
    command = [sys.executable, "-m", "trunkline", "serve", str(ini)]
    environment = postgres.environment(PYTHONPATH=os.pathsep.join(sys.path))
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # as where it is installed
    began = time.monotonic()
    daemon = process.start("trunkline", command, directory / "log", environment=environment)
    try:
        while True:
            try:
                wire.answers(port)
                return time.monotonic() - began
            except OSError:
                _still(daemon, began)
                time.sleep(0.002)
    finally:
        daemon.stop()


def _still(daemon: Daemon, began: float) -> None:
    if not daemon.alive() or time.monotonic() - began > LIMIT_S:
        raise DidNotStart(daemon.last_words())


def _replaced(stage: Stage) -> float:
    with lineup(stage, ("two workers",)) as present:
        for contender in present.running:
            assert contender.daemon is not None
            began = time.monotonic()
            os.kill(_workers(contender.daemon)[-1][1], signal.SIGKILL)
            before = len(_workers(contender.daemon))
            while len(_workers(contender.daemon)) == before:
                _still(contender.daemon, began)
                time.sleep(0.005)
            return time.monotonic() - began
        raise DidNotStart("; ".join(present.absent.values()))


def _workers(daemon: Daemon) -> list[tuple[str, int]]:
    """Each that has begun to serve, by its number, with its process."""
    text = daemon.log.read_text()
    return [(number, int(pid)) for number, pid in re.findall(r"worker (\d+) serves, pid (\d+)", text)]


def _userlist(directory: Path) -> None:
    lines = [f'"user{n}" "after{n}"\n' for n in range(USERS)]
    (directory / "userlist.txt").write_text(f'"{wire.USER}" ""\n' + "".join(lines))


def _tables(directory: Path) -> None:
    tables = [f'[users.user{n}]\npassword = "after{n}"\npool_size = 3\n' for n in range(USERS)]
    file = directory / "trunkline.toml"
    file.write_text(file.read_text() + "".join(tables))


def _reload(stage: Stage, change: Callable[[Path], None]) -> tuple[float, float, float]:
    """How long it takes, the longest pause of a client meanwhile, and that of the same client in the second before."""
    directory = Path(tempfile.mkdtemp(prefix="reload-", dir=stage.directory))
    users = tuple((f"user{n}", f"before{n}") for n in range(USERS))
    contender = trunkline(stage, Setup(userlist=((wire.USER, ""), *users)), directory)
    assert contender.daemon is not None
    try:
        client = Asker(contender)
        time.sleep(1.0)
        before = client.longest_ms()
        change(directory)
        began = time.monotonic()
        contender.daemon.process.send_signal(signal.SIGHUP)
        while b"reloaded" not in contender.daemon.log.read_bytes():
            _still(contender.daemon, began)
            time.sleep(0.005)
        seconds = time.monotonic() - began
        return seconds, client.stop(), before
    finally:
        contender.daemon.stop()


class Asker:
    """A client that asks one query after the other, in a thread."""

    def __init__(self, contender: Running) -> None:
        self._client = wire.login(contender.port)
        self._longest = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ask)
        self._thread.start()

    def _ask(self) -> None:
        said = wire.query_message("SELECT 1")
        while not self._over.is_set():
            began = time.monotonic()
            self._client.sendall(said)
            wire.read_answer(self._client)
            self._longest = max(self._longest, time.monotonic() - began)

    def longest_ms(self) -> float:
        """Until now, since the last call."""
        longest, self._longest = self._longest * 1000, 0.0
        return longest

    def stop(self) -> float:
        self._over.set()
        self._thread.join()
        self._client.close()
        return self.longest_ms()
