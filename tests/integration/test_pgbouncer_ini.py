"""The configuration of PgBouncer's own quick start, run as it says, in front of a real PostgreSQL."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from typer.testing import CliRunner

from tests.integration.postgres import PASSWORD as SERVERS_PASSWORD
from tests.integration.postgres import Postgres
from tests.integration.waiting import wait_until
from trunkline.cli import app
from trunkline.config.pgbouncer.reader import load
from trunkline.demo.serving import child_environment

INI = """\
[databases]
template1 = host=localhost port={server} dbname=template1

[pgbouncer]
listen_port = {port}
listen_addr = localhost
auth_type = md5
auth_file = userlist.txt
logfile = pgbouncer.log
pidfile = pgbouncer.pid
admin_users = someuser
"""
# The superuser is refused; and whoever is not, might not be let into the directories where Python is.
SOMEBODY = (
    "setpriv --reuid=nobody --regid=nogroup --clear-groups --inh-caps=-all,+dac_read_search "  # noqa: SIM905
    "--ambient-caps=+dac_read_search".split()
    if os.geteuid() == 0
    else []
)
PASSWORD = "same_password_as_in_server"


class Started:
    """What ``trunkline-pgbouncer -d pgbouncer.ini`` has left behind in its directory."""

    def __init__(self, directory: Path, server: int) -> None:
        self.directory = directory
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.server = server
        self.write()
        (directory / "userlist.txt").write_text(f'"someuser" "{PASSWORD}"\n')

    def write(self, more: str = "") -> None:
        (self.directory / "pgbouncer.ini").write_text(INI.format(server=self.server, port=self.port) + more)

    def start(self, *options: str) -> subprocess.CompletedProcess[bytes]:
        command = [*SOMEBODY, sys.executable, "-P", "-m", "trunkline.pgbouncer", *options, "pgbouncer.ini"]
        return subprocess.run(
            command,
            cwd=self.directory,
            env=child_environment(os.environ),
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=20,
        )

    @property
    def pid(self) -> int:
        return int((self.directory / "pgbouncer.pid").read_text())

    @property
    def log(self) -> str:
        file = self.directory / "pgbouncer.log"
        return file.read_text() if file.exists() else ""

    def fetch(self, database: str, sql: str, **options: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(
            host="localhost",
            port=self.port,
            user="someuser",
            password=PASSWORD,
            dbname=database,
            autocommit=True,
            **options,
        ) as connection:
            return connection.execute(sql).fetchall()

    def is_alive(self, pid: int) -> bool:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        return True


@pytest.fixture
def directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="trunkline-pgbouncer-", ignore_cleanup_errors=True) as made:
        os.chmod(made, 0o777)
        yield Path(made)


@pytest.fixture
async def started(directory: Path, postgres: Postgres) -> AsyncIterator[Started]:
    """In the background, ready; ended with the test."""
    await postgres.create_role("someuser", PASSWORD)
    proxy = Started(directory, postgres.port)
    try:
        done = proxy.start("-d")
        assert done.returncode == 0, done.stderr.decode()
        await wait_until(lambda: "process up" in proxy.log, what="it says that it is up")
        yield proxy
    finally:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            pid = proxy.pid
            os.kill(pid, signal.SIGQUIT)
            await wait_until(lambda: not proxy.is_alive(pid))
        await postgres.fetch("DROP ROLE someuser")


async def test_the_quick_start_works_as_it_is_written(started: Started) -> None:
    assert started.fetch("template1", "SELECT current_user, current_database()") == [("someuser", "template1")]
    databases = {row[0]: row for row in started.fetch("pgbouncer", "SHOW DATABASES")}
    assert databases["template1"][1:3] == ("localhost", started.server)
    config = {row[0]: row[1] for row in started.fetch("pgbouncer", "SHOW CONFIG")}
    assert (config["pool_mode"], config["max_client_conn"], config["unix_socket_dir"]) == ("session", "100", "/tmp")


async def test_its_log_has_pgbouncers_lines(started: Started) -> None:
    started.fetch("template1", "SELECT 1")
    await wait_until(lambda: "closing because: client close request" in started.log)
    stamp = rf"\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{{3}} \S+ \[{started.pid}\]"
    assert all(re.match(stamp + r" (LOG|WARNING|ERROR) ", line) for line in started.log.splitlines())
    assert re.search(rf"{stamp} LOG S-0x[0-9a-f]+: template1/someuser@\S+:\d+ new connection to server", started.log)
    client = r"C-0x[0-9a-f]+: template1/someuser@\S+:\d+"
    assert re.search(rf"{stamp} LOG {client} login attempt: db=template1 user=someuser tls=no", started.log)
    assert re.search(rf"{stamp} LOG {client} closing because: client close request \(age=\d+s\)", started.log)


async def test_a_hangup_reads_the_file_again(started: Started) -> None:
    started.write("max_client_conn = 7\npkt_buf = 8192\n")
    os.kill(started.pid, signal.SIGHUP)
    await wait_until(lambda: "reloaded" in started.log)
    assert ("max_client_conn", "7") in [row[:2] for row in started.fetch("pgbouncer", "SHOW CONFIG")]
    assert "got SIGHUP, re-reading config" in started.log
    assert "WARNING pgbouncer.ini:13:1: `pkt_buf` has no effect: " in started.log
    started.write("no_such_thing = 1\n")
    os.kill(started.pid, signal.SIGHUP)
    await wait_until(lambda: "ERROR config file loading failed" in started.log)
    assert "unknown setting `no_such_thing`" in started.log
    assert ("max_client_conn", "7") in [row[:2] for row in started.fetch("pgbouncer", "SHOW CONFIG")]


async def test_its_hba_and_ident_files_decide_who_comes_in(started: Started) -> None:
    """As in its documentation: methods by line, and a map for whom the system knows."""
    (started.directory / "hba.conf").write_text(
        "# TYPE  DATABASE        USER            ADDRESS                 METHOD\n"
        "local   all             all                                     peer map=mymap\n"
        "host    template1       someuser        127.0.0.1/32            md5\n"
        "host    all             all             ::1/128                 reject\n"
        'host    pgbouncer       "someuser"      127.0.0.1  255.255.255.255  scram-sha-256\n'
    )
    (started.directory / "ident.conf").write_text("# MAPNAME  SYSTEM-USERNAME  PG-USERNAME\nmymap  nobody  someuser\n")
    started.write("auth_type = hba\nauth_hba_file = hba.conf\nauth_ident_file = ident.conf\n")
    os.kill(started.pid, signal.SIGHUP)
    await wait_until(lambda: "reloaded" in started.log)
    assert started.fetch("template1", "SELECT 1", hostaddr="127.0.0.1") == [(1,)]
    assert ("auth_type", "hba") in [row[:2] for row in started.fetch("pgbouncer", "SHOW CONFIG", hostaddr="127.0.0.1")]
    with pytest.raises(psycopg.OperationalError, match="login rejected"):
        started.fetch("other", "SELECT 1", hostaddr="127.0.0.1")


async def test_a_second_one_is_refused_while_the_first_runs(started: Started) -> None:
    done = started.start()
    assert done.returncode == 1
    assert b"FATAL pidfile 'pgbouncer.pid' exists, another instance running?" in done.stderr.replace(
        str(started.directory).encode() + b"/", b""
    )


async def test_it_ends_in_order_and_takes_its_pidfile_along(started: Started) -> None:
    pid = started.pid
    os.kill(pid, signal.SIGTERM)
    await wait_until(lambda: not started.is_alive(pid))
    assert not (started.directory / "pgbouncer.pid").exists()
    assert "got SIGTERM, shutting down, waiting for all clients disconnect" in started.log


@pytest.mark.skipif(not Path("/etc/pgbouncer/pgbouncer.ini").exists(), reason="Debian's PgBouncer is not installed")
def test_the_file_that_debian_ships_can_be_read() -> None:
    try:
        config = load("/etc/pgbouncer/pgbouncer.ini")
    except Exception as error:
        pytest.skip(f"it is not for us to read: {error}") if os.geteuid() else pytest.fail(str(error))
    assert config.from_ini


async def test_the_servers_of_a_file_are_checked(postgres: Postgres, tmp_path: Path) -> None:
    file = tmp_path / "pgbouncer.ini"
    where = f"host=127.0.0.1 port={postgres.port} dbname=postgres user=postgres password='{SERVERS_PASSWORD}'"
    file.write_text(f"[databases]\napp = {where}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nauth_type = trust\n")
    result = await asyncio.to_thread(CliRunner().invoke, app, ["check", "--online", str(file)])
    assert result.exit_code == 0, result.output
    assert f"{file}: ok\n" in result.output
