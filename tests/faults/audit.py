"""The audit: at each release, the whole state of a server's session is read and compared with what Trunkline believes.

It lives in the process under test and is no part of the product: ``environment`` has Python install it at the start of
a child (``audit_startup``), where it takes the place of ``Leases.settle``, through which every server goes back once
``reset_always`` keeps the compiled shortcut closed. The question is written here a second time, independent of the one
that Trunkline itself asks, and asks for more: section 1c of the catalogue of faults.

What is not clean is logged as ``audit: not clean`` and the server closed, so that the fault stays where it was made.
"""

from __future__ import annotations

import atexit
import logging
import os
import re
import sys
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from trunkline.pool.pool import Pool
from trunkline.pool.server import ServerLink

log = logging.getLogger("trunkline.audit")

ROOT = Path(__file__).parents[2]
FOUND = "audit: not clean"
EXAMINED = re.compile(r"audit: (\d+) releases were examined")

# Every name and operator is qualified, for search_path may be a client's.
_EQ, _NE, _LIKE = (f"OPERATOR(pg_catalog.{operator})" for operator in ("=", "<>", "~"))
_PID = f"pid {_EQ} pg_catalog.pg_backend_pid()"
_QUESTION = " UNION ALL ".join(
    (
        f"SELECT 'setting', name, setting, pg_catalog.current_setting(name) FROM pg_catalog.pg_settings"
        f" WHERE source {_EQ} 'session'",
        "SELECT 'role', '', pg_catalog.current_setting('role'), ''",
        f"SELECT 'login', session_user, usename, '' FROM pg_catalog.pg_stat_activity"
        f" WHERE {_PID} AND usename {_NE} session_user",
        "SELECT 'statement', name, from_sql::pg_catalog.text, '' FROM pg_catalog.pg_prepared_statements",
        "SELECT 'cursor', name, '', '' FROM pg_catalog.pg_cursors",
        f"SELECT 'advisory lock', objid::pg_catalog.text, mode, '' FROM pg_catalog.pg_locks"
        f" WHERE locktype {_EQ} 'advisory' AND {_PID}",
        "SELECT 'channel', channel, '', '' FROM pg_catalog.pg_listening_channels() AS channel",
        f"SELECT 'temporary', relname, '', '' FROM pg_catalog.pg_class"
        f" WHERE relnamespace {_EQ} pg_catalog.pg_my_temp_schema()",
        "SELECT 'transaction', xid::pg_catalog.text, '', '' FROM pg_catalog.pg_current_xact_id_if_assigned() AS xid"
        " WHERE xid IS NOT NULL",
    )
)
# Facts of a transaction that the view shows among the settings.
_NO_SETTINGS = frozenset((b"transaction_isolation", b"transaction_read_only", b"transaction_deferrable"))
_OURS = re.compile(rb"trunkline_[0-9a-f]+")
# What our own question may meet because of a setting that follows its client: a limit of time.
_HARMLESS = frozenset(("57014",))


class Row(NamedTuple):
    """One thing that a session holds; ``shown`` is a setting as SHOW writes it."""

    kind: bytes
    name: bytes
    value: bytes
    shown: bytes


class Belief(NamedTuple):
    """What Trunkline holds a session for: its settings by lower-case name, and its statements by name."""

    reported: Mapping[bytes, bytes]
    extra: Mapping[bytes, bytes]
    statements: frozenset[bytes]
    at_start: Mapping[bytes, bytes]

    @classmethod
    def of(cls, server: ServerLink, at_start: Mapping[bytes, bytes]) -> Belief:
        reported = {name.lower(): value for name, value in server.params.reported.items()}
        names = frozenset(statement.server_name for statement in server.prepared)
        return cls(reported, dict(server.params.extra), names, at_start)


# --- judging: pure ------------------------------------------------------------------------------------------------


def judge(rows: Iterable[Row], belief: Belief) -> list[str]:
    """What is there and should not be, or is not and should."""
    rows = list(rows)
    settings = {row.name.lower(): row for row in rows if row.kind == b"setting"}
    statements = {row.name for row in rows if row.kind == b"statement"}
    wrong = [f"setting {name!r} is {row.shown!r}" for name, row in settings.items() if not _is_known(row, belief)]
    wrong += [f"setting {name!r} is believed and not there" for name in _plain(belief.extra) - settings.keys()]
    wrong += [f"statement {name!r}" for name in statements - belief.statements]
    wrong += [f"statement {name!r} is believed and not there" for name in belief.statements - statements]
    wrong += [f"statement {row.name!r} by SQL" for row in rows if row.kind == b"statement" and row.value == b"true"]
    for row in rows:
        if row.kind == b"login" and row.name == belief.reported.get(b"session_authorization"):
            continue
        if row.kind == b"role" and row.value != belief.extra.get(b"role", b"none"):
            wrong.append(f"role is {row.value!r}")
        elif row.kind not in (b"setting", b"statement", b"role"):
            wrong.append(f"{row.kind.decode()} {row.name!r} {row.value!r}")
    return wrong


def _plain(extra: Mapping[bytes, bytes]) -> set[bytes]:
    """Settings that the view lists: none with a dot, and not the role."""
    return {name for name in extra if b"." not in name and name != b"role"}


def _is_known(row: Row, belief: Belief) -> bool:
    name = row.name.lower()
    if name in _NO_SETTINGS or name in (b"role", b"session_authorization"):
        return True  # asked for by themselves
    if belief.at_start.get(name) == row.value or belief.reported.get(name) in (row.value, row.shown):
        return True
    believed = belief.extra.get(name)
    return believed is not None and (believed in (row.value, row.shown) or believed.strip(b"0123456789") != b"")


def read(bodies: Iterable[bytes]) -> list[Row]:
    """The rows of the answer, from the bodies of DataRow messages."""
    return [Row(*_columns(body)) for body in bodies]


def _columns(body: bytes) -> list[bytes]:
    columns, at = [], 2
    while at < len(body):
        size = int.from_bytes(body[at : at + 4], "big", signed=True)
        columns.append(body[at + 4 : at + 4 + max(size, 0)])
        at += 4 + max(size, 0)
    return columns


# --- in the process under test ------------------------------------------------------------------------------------


class Auditor:
    """Takes the place of two methods of pools."""

    def __init__(self) -> None:
        self.settle = Pool.settle
        self.reconfigure = Pool.reconfigure
        self.examined = 0
        self._at_start: dict[int, Mapping[bytes, bytes]] = {}
        self._passed: set[int] = set()

    def on_reconfigure(self, pool: Pool) -> None:
        self.reconfigure(pool)
        pool.reset_always = True  # every release comes by `settle`

    def on_settle(self, pool: Pool, server: ServerLink) -> None:
        if server.id in self._passed or not _is_postgresql(server):
            self._passed.discard(server.id)
            self.settle(pool, server)
            return
        pool.place_server(server, pool.tested)
        server.ask(_QUESTION.encode(), partial(self._on_answer, pool, server), True)

    def _on_answer(self, pool: Pool, server: ServerLink, error: Mapping[str, str] | None) -> None:
        if not server.opened:
            return
        if error is not None:
            level = logging.DEBUG if error["C"] in _HARMLESS else logging.ERROR
            log.log(level, "%s: it could not be read: %s %s", FOUND, error["C"], error["M"])
        elif wrong := self._judge(server, read(server.answer or [])):
            log.error("%s: %r: %s", FOUND, server, "; ".join(wrong))
            server.drop("it is not clean")
            return
        self._passed.add(server.id)
        pool._back(server)
        self._passed.discard(server.id)

    def _judge(self, server: ServerLink, rows: list[Row]) -> list[str]:
        if server.id not in self._at_start:  # fresh from its login, perhaps with what connect_query has set
            self._at_start[server.id] = {row.name.lower(): row.value for row in rows if row.kind == b"setting"}
        self.examined += 1
        return judge(rows, Belief.of(server, self._at_start[server.id]))

    def report(self) -> None:
        print(f"audit: {self.examined} releases were examined", file=sys.stderr, flush=True)


def _is_postgresql(server: ServerLink) -> bool:
    """Not one that only plays it (tests.faults.scripted_server)."""
    return b"session_authorization" in server.params.reported


def install() -> None:
    """Audit every pool that is made in this process."""
    auditor = Auditor()
    pool: Any = Pool
    pool.settle = lambda self, server: auditor.on_settle(self, server)
    pool.reconfigure = lambda self: auditor.on_reconfigure(self)
    atexit.register(auditor.report)


# --- in the tests -------------------------------------------------------------------------------------------------


def environment(environ: Mapping[str, str] | None) -> dict[str, str]:
    """Variables that have a Trunkline process audited, over those that it gets anyway."""
    given = dict(environ or {})
    tree = Path(sys.modules["trunkline"].__file__ or "").parents[1]
    paths = [str(ROOT / "tests" / "faults" / "audit_startup"), given.get("PYTHONPATH", ""), str(tree), str(ROOT)]
    return given | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}


def releases(log_text: str) -> int:
    """How many releases were examined, by the log of a process that has ended."""
    return sum(int(count) for count in EXAMINED.findall(log_text))


def complaints(log_text: str) -> list[str]:
    return [line for line in log_text.splitlines() if FOUND in line]
