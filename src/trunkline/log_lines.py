"""What the lines of the log look like: ours, and PgBouncer's where its file is read, since scripts look for those.

Contract: one event is one line, whatever a stranger calls himself. What PgBouncer logs too is said as it says it, as in
``TIME [PID] LOG C-0x...: db/user@host:port ...``; other events are told in our words, in a line of its shape.
"""

from __future__ import annotations

import logging
import os
import time
import zlib
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

_LEVELS = {"INFO": "LOG", "CRITICAL": "FATAL"}


class OneLine(logging.Formatter):
    """What a stranger names himself is logged, so it must not be able to end a line and begin one of its own."""

    _ESCAPES: ClassVar = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))}

    def formatMessage(self, record: logging.LogRecord) -> str:
        return super().formatMessage(record).translate(self._ESCAPES)


class PgBouncerLine(OneLine):
    """One of its lines; ``bare`` without time and level, for syslog, which has its own."""

    def __init__(self, *, bare: bool = False) -> None:
        super().__init__("%(message)s")
        self._bare = bare

    def formatMessage(self, record: logging.LogRecord) -> str:
        said = _WORDS.get(str(record.msg))
        if said is not None and isinstance(record.args, tuple):
            record.message = said(*record.args)
        line = super().formatMessage(record)
        return line if self._bare else f"{_stamp(record)} {line}"


def _stamp(record: logging.LogRecord) -> str:
    then = time.localtime(record.created)
    clock = f"{time.strftime('%Y-%m-%d %H:%M:%S', then)}.{int(record.msecs):03d} {time.strftime('%Z', then)}"
    return f"{clock} [{os.getpid()}] {_LEVELS.get(record.levelname, record.levelname)}"


def _client(database: str, user: str, peer: object) -> str:
    """How it names a client: the same from its login to its end."""
    who = f"{database or '(nodb)'}/{user or '(nouser)'}@{peer}"
    return f"C-0x{zlib.crc32(who.encode('utf-8', 'replace')):x}: {who}"


def _login(database: str, user: str, peer: object, tls: str) -> str:
    secure = tls.removeprefix(" tls=") or "no"
    return f"{_client(database, user, peer)} login attempt: db={database} user={user} tls={secure} replication=no"


def _left(database: str, user: str, peer: object, age: float, reason: str) -> str:
    return f"{_client(database, user, peer)} closing because: {reason} (age={int(age)}s)"


def _pooler_error(who: Any, code: str, sqlstate: str, message: str) -> str:
    return f"{_client(who.database, who.user, who.peer)} pooler error: {message}"


def _server(server: Any) -> str:
    pool = server.owner
    where = f"{getattr(pool, 'database', '(nodb)')}/{getattr(pool, 'user', '(nouser)')}@{server.address}"
    return f"S-0x{server.id:x}: {where}"


def _server_opened(server: Any) -> str:
    return f"{_server(server)} new connection to server"


def _server_closed(server: Any, reason: str) -> str:
    return f"{_server(server)} closing because: {reason} (age={int(server.engine.now - server.connected_at)}s)"


_WORDS: Mapping[str, Callable[..., str]] = {
    "login: db=%s user=%s from=%s%s": _login,
    "left: db=%s user=%s from=%s age=%.1fs: %s": _left,
    "%s: %s %s: %s": _pooler_error,
    "new server connection: %s": _server_opened,
    "closing server connection: %s: %s": _server_closed,
    "ready port=%d version=%s config=%s": lambda port, version, file: (
        f"process up: Trunkline {version}, port {port}, config {file}"
    ),
    "reload refused, the old settings stay: %s": lambda why: f"config file loading failed: {why}",
}
"""By the text of our event: its arguments in PgBouncer's words."""
