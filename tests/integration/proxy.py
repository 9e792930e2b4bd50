"""Trunkline as a real process in front of real servers, with the verbs that ``Postgres`` has.

    async with Proxy({"default_pool_size": 2}, databases={"app": postgres}) as proxy:
        await proxy.fetch("SELECT 1", database="app")

A configuration is a mapping, laid over defaults that suit a test, or the text of a file, used as it is. A database is
a server (its database ``postgres`` is meant), a URL, or a mapping of that database's settings.
"""

from __future__ import annotations

import json
import os
import signal
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlencode

import psycopg
from psycopg.rows import dict_row

from tests.faults import audit
from tests.integration.postgres import PASSWORD
from tests.integration.waiting import wait_until
from trunkline.demo.postgres_server import PostgresServer
from trunkline.demo.serving import Trunkline

HOST = "127.0.0.1"
USER = "postgres"
DEFAULTS: Mapping[str, Any] = {
    "listen_addr": HOST,
    "listen_port": 0,
    "auth_type": "scram-sha-256",
    "auth_file": "userlist.txt",
    "admin_users": [USER],
}

# What each session holds is examined at each release (tests.faults.audit); on demand, for it closes the compiled way.
AUDIT = bool(os.environ.get("TRUNKLINE_TEST_AUDIT"))

Database = PostgresServer | str | Mapping[str, Any]


class Proxy:
    """A Trunkline process with a directory, a port and a log of its own."""

    def __init__(
        self,
        config: str | Mapping[str, Any] | None = None,
        *,
        databases: Mapping[str, Database] | None = None,
        users: Mapping[str, str] | None = None,
        environ: Mapping[str, str] | None = None,
        audited: bool = True,
    ) -> None:
        """``audited`` is False where the audit would be in the way: state is meant to stay, or order counts."""
        self._temporary = tempfile.TemporaryDirectory(prefix="trunkline-proxy-")
        self.directory = Path(self._temporary.name)
        self.users = {USER: PASSWORD} | dict(users or {})
        self.config_path = self.directory / "trunkline.toml"
        self._audited = AUDIT and audited
        surroundings = audit.environment(environ) if self._audited else environ
        self._process = Trunkline(self.config_path, self.directory / "trunkline.log", surroundings)
        self.write_config(config if config is not None else {}, databases)

    def __repr__(self) -> str:
        return f"<Proxy {self._process!r}>"

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            self._temporary.cleanup()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self.stop()
        finally:
            self._temporary.cleanup()

    # --- its files --------------------------------------------------------------------------------------------

    def write_config(self, config: str | Mapping[str, Any], databases: Mapping[str, Database] | None = None) -> None:
        """Replace the configuration file; takes effect at the next ``start`` or ``reload``."""
        self.write_users(self.users)
        if not isinstance(config, str):
            tables = {name: _database(database) for name, database in (databases or {}).items()}
            config = toml({**DEFAULTS, **config, "databases": {**config.get("databases", {}), **tables}})
        self.config_path.write_text(config)

    def write_users(self, users: Mapping[str, str]) -> None:
        """Replace the userlist; the secrets are plain passwords, md5 hashes or SCRAM secrets."""
        self.users = dict(users)
        lines = [f"{_userlist_quoted(name)} {_userlist_quoted(secret)}\n" for name, secret in users.items()]
        (self.directory / "userlist.txt").write_text("".join(lines))

    # --- its life ---------------------------------------------------------------------------------------------

    async def start(self) -> None:
        await self._process.start()

    async def stop(self) -> int | None:
        code = await self._process.stop()
        assert not (self._audited and audit.complaints(self.log)), audit.complaints(self.log)
        return code

    async def restart(self) -> None:
        await self.stop()
        await self.start()

    async def kill(self) -> None:
        self._process.kill()

    async def reload(self) -> str:
        """Send SIGHUP and wait for the log to tell what came of it; those lines are returned."""
        said = len(self.log)
        self.send_signal(signal.SIGHUP)
        await wait_until(lambda: "reload" in self.log[said:].lower(), what="the log tells of the reload")
        return self.log[said:]

    def send_signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    async def wait(self, timeout_s: float = 10) -> int:
        """The exit code, once it has ended by itself."""
        return await self._process.wait(timeout_s)

    @property
    def is_running(self) -> bool:
        return self._process.is_running

    @property
    def port(self) -> int:
        return self._process.port

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def log(self) -> str:
        return self._process.log

    # --- its clients ------------------------------------------------------------------------------------------

    def dsn(self, database: str = "postgres", *, user: str = USER, password: str | None = None, **options: str) -> str:
        secret = self.users.get(user, PASSWORD) if password is None else password
        query = f"?{urlencode(options, quote_via=quote)}" if options else ""
        return f"postgres://{quote(user, safe='')}:{quote(secret, safe='')}@{HOST}:{self.port}/{quote(database)}{query}"

    async def connect(self, database: str = "postgres", **options: Any) -> psycopg.AsyncConnection:
        """A psycopg connection in autocommit mode; the caller closes it."""
        return await psycopg.AsyncConnection.connect(self.dsn(database), autocommit=True, **options)

    async def fetch(self, sql: str, *parameters: Any, database: str = "postgres") -> list[tuple[Any, ...]]:
        connection = await self.connect(database)
        async with connection:
            cursor = await connection.execute(sql, parameters or None)
            return await cursor.fetchall() if cursor.description else []

    async def admin(self, sql: str) -> list[dict[str, Any]]:
        """One console command; its rows by column name."""
        connection = await self.connect("trunkline")
        async with connection, connection.cursor(row_factory=dict_row) as cursor:
            await cursor.execute(sql)
            return await cursor.fetchall() if cursor.description else []


def _database(database: Database) -> Mapping[str, Any]:
    if isinstance(database, PostgresServer):
        return {"primary": f"postgres://{HOST}:{database.port}/postgres"}
    return {"primary": database} if isinstance(database, str) else database


def _userlist_quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _inline(value: Any) -> str:
    """A value on one line: tables in lists are inline."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(name)} = {_inline(one)}" for name, one in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_inline, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def toml(table: Mapping[str, Any], path: tuple[str, ...] = ()) -> str:
    """A table as TOML: its own values first, then the tables in it."""
    values = {name: value for name, value in table.items() if not isinstance(value, Mapping)}
    lines = [f"[{'.'.join(json.dumps(part) for part in path)}]\n"] if path and values else []
    # JSON's strings, numbers, booleans and arrays of them are TOML's.
    lines += [f"{json.dumps(name)} = {_inline(value)}\n" for name, value in values.items()]
    inner = (toml(value, (*path, name)) for name, value in table.items() if isinstance(value, Mapping))
    return "".join([*lines, *inner])
