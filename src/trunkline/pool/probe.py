"""What a server is asked about a session, and how its answer is read.

One query, made of the parts that are in doubt; every name is qualified, for the session's search_path is the client's.
Sources: pg_settings.source, pg_locks, pg_depend (all that is in pg_temp hangs on it), pg_cursors,
pg_prepared_statements, pg_listening_channels.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from trunkline.protocol.params import quote
from trunkline.routing.session.session_effects import State

Row = tuple[bytes | None, ...]

_EQ = b"OPERATOR(pg_catalog.=)"
_SETTINGS = (
    b"SELECT 'setting', name, setting FROM pg_catalog.pg_settings WHERE source %b 'session'" % _EQ,
    b"SELECT 'setting', 'role', pg_catalog.current_setting('role')",
)
_PARTS: dict[State, tuple[bytes, ...]] = {
    State.SETTINGS: _SETTINGS,
    State.LOCKS: (
        b"SELECT 'locks', '', '' WHERE EXISTS (SELECT FROM pg_catalog.pg_locks"
        b" WHERE locktype %b 'advisory' AND pid %b pg_catalog.pg_backend_pid())" % (_EQ, _EQ),
    ),
    State.TEMPORARY: (
        b"SELECT 'temporary', '', '' WHERE EXISTS (SELECT FROM pg_catalog.pg_depend WHERE refclassid %b 2615"
        b" AND refobjid %b pg_catalog.pg_my_temp_schema())" % (_EQ, _EQ),
    ),
    State.CURSORS: (b"SELECT 'cursors', '', '' WHERE EXISTS (SELECT FROM pg_catalog.pg_cursors WHERE is_holdable)",),
    State.PREPARED: (
        b"SELECT 'prepared', '', '' WHERE EXISTS (SELECT FROM pg_catalog.pg_prepared_statements"
        b" WHERE from_sql OR name OPERATOR(pg_catalog.!~) '^trunkline_[0-9a-f]+$')",
        b"SELECT 'ours', '', pg_catalog.count(*)::pg_catalog.text FROM pg_catalog.pg_prepared_statements"
        b" WHERE NOT from_sql AND name OPERATOR(pg_catalog.~) '^trunkline_[0-9a-f]+$'",
    ),
    State.LISTENING: (b"SELECT 'listening', channel, '' FROM pg_catalog.pg_listening_channels() AS channel",),
}
_KINDS = {
    b"locks": State.LOCKS,
    b"temporary": State.TEMPORARY,
    b"cursors": State.CURSORS,
    b"prepared": State.PREPARED,
    b"listening": State.LISTENING,
}
# Facts of a transaction, which the view lists among the settings.
_NO_SETTINGS = frozenset((b"transaction_isolation", b"transaction_read_only", b"transaction_deferrable"))


@dataclass(slots=True)
class Found:
    """What a session holds: settings that differ from those it began with, by lower-case name, and other state."""

    state: State = State(0)  # noqa: RUF009
    settings: dict[bytes, bytes] = field(default_factory=dict)
    channels: list[bytes] = field(default_factory=list)
    ours: int | None = None  # how many statements it knows by names of ours, if that was asked


def question(doubt: State, names: Iterable[bytes]) -> bytes:
    """The query for what is in doubt. `names` are settings with a dot, which the view does not list."""
    parts = [part for state, lines in _PARTS.items() if doubt & state for part in lines]
    listed = b", ".join(b"(%b)" % quote(name) for name in sorted(names))
    if doubt & State.SETTINGS and listed:
        parts.append(
            b"SELECT 'setting', name, pg_catalog.current_setting(name, true) FROM (VALUES %b) AS own(name)" % listed
        )
    return b" UNION ALL ".join(parts)


def read(bodies: Sequence[bytes]) -> Found:
    """The answer, from the bodies of its DataRow messages."""
    found = Found()
    for body in bodies:
        kind, name, value = columns(body)
        if kind == b"ours":
            found.ours = int(value or 0)
        elif kind != b"setting":
            found.state |= _KINDS[kind or b""]
            if kind == b"listening" and name is not None:
                found.channels.append(name)
        elif name is not None and value and not _says_nothing(name, value):
            found.settings[name.lower()] = value
    return found


def _says_nothing(name: bytes, value: bytes) -> bool:
    return name in _NO_SETTINGS or (name == b"role" and value == b"none")


def columns(body: bytes) -> Row:
    """The columns of a DataRow in text format."""
    count, at = int.from_bytes(body[:2], "big"), 2
    row: list[bytes | None] = []
    for _ in range(count):
        size = int.from_bytes(body[at : at + 4], "big", signed=True)
        at += 4
        row.append(None if size < 0 else body[at : at + size])
        at += max(size, 0)
    return tuple(row)
