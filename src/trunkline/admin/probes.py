"""What drivers say on their own: transactions, resets, questions about the server. Answered, with no effect.

PgBouncer's console refuses them, and with that every driver that is not in autocommit mode or that resets its sessions.
"""

from __future__ import annotations

import re

from trunkline import __version__
from trunkline.admin.columns import Column
from trunkline.admin.commands import Answer, Command, Request, register
from trunkline.admin.grammar import split
from trunkline.admin.result import Value
from trunkline.protocol.messages import INT4, TEXT, parameter_status

_number = re.match(r"\d+\.\d+\.\d+", __version__)
VERSION_NUMBER = _number[0] if _number else "0.0.0"
"""Always three numbers: monitors look for them, and drivers make a number of `server_version`."""
VERSION_LINE = f"Trunkline {VERSION_NUMBER}"
"""What SHOW VERSION tells, and the first line of `trunkline-pgbouncer --version`."""

VOID = 2278
_IN_TRANSACTION, _IDLE = b"T", b"I"

PARAMETERS: dict[str, str] = {
    "server_version": f"{VERSION_NUMBER}/trunkline",
    "client_encoding": "UTF8",
    "server_encoding": "UTF8",
    "DateStyle": "ISO",
    "TimeZone": "GMT",
    "standard_conforming_strings": "on",
}
"""What the greeting reports and SHOW answers."""

_MORE_PARAMETERS = {
    "integer_datetimes": "on",
    "default_transaction_isolation": "read committed",
    "default_transaction_read_only": "off",
    "extra_float_digits": "2",
    "transaction_isolation": "read committed",
    "transaction_read_only": "off",
    "in_hot_standby": "off",
    "search_path": "public",
}
PARAMETERS_OF_SESSION = {**PARAMETERS, **_MORE_PARAMETERS}

# Words -> (tag, transaction status afterwards).
_NO_OPS: dict[str, tuple[str, bytes]] = {
    "BEGIN": ("BEGIN", _IN_TRANSACTION),
    "START TRANSACTION": ("START TRANSACTION", _IN_TRANSACTION),
    "COMMIT": ("COMMIT", _IDLE),
    "END": ("COMMIT", _IDLE),
    "ROLLBACK": ("ROLLBACK", _IDLE),
    "ABORT": ("ROLLBACK", _IDLE),
    "ROLLBACK TO": ("ROLLBACK", b""),
    "SAVEPOINT": ("SAVEPOINT", b""),
    "RELEASE": ("RELEASE", b""),
    "RESET": ("RESET", b""),
    "DISCARD ALL": ("DISCARD ALL", b""),
    "DISCARD PLANS": ("DISCARD PLANS", b""),
    "DISCARD TEMP": ("DISCARD TEMP", b""),
    "DISCARD SEQUENCES": ("DISCARD SEQUENCES", b""),
    "DEALLOCATE": ("DEALLOCATE", b""),
    "DEALLOCATE ALL": ("DEALLOCATE ALL", b""),
    "CLOSE": ("CLOSE CURSOR", b""),
    "CLOSE ALL": ("CLOSE CURSOR ALL", b""),
    "UNLISTEN": ("UNLISTEN", b""),
}

# SQLAlchemy looks for PostgreSQL and a number.
VERSION = f"Trunkline {VERSION_NUMBER}, speaking as PostgreSQL 18.0"

# A SELECT as drivers write it -> its one column (name, type) and value.
_SELECTS: dict[str, tuple[Column, Value]] = {
    "SELECT 1": (("?column?", INT4), 1),
    "SELECT version()": (("version", TEXT), VERSION),
    "SELECT pg_catalog.version()": (("version", TEXT), VERSION),
    "SELECT pg_advisory_unlock_all()": (("pg_advisory_unlock_all", VOID), ""),
}


def greeting(is_admin: bool) -> bytes:
    """The ParameterStatus messages of a new session."""
    reported = {**PARAMETERS, "is_superuser": "on" if is_admin else "off"}
    return b"".join(parameter_status(name.encode(), value.encode()) for name, value in reported.items())


def _register_no_op(words: str, tag: str, leaves: bytes) -> None:
    async def run(request: Request) -> Answer:
        return Answer()

    register(Command(tuple(words.split()), run, tag, argument=None, listed=False, leaves=leaves))


def _register_value(text: str, column: Column, value: Value) -> None:
    async def run(request: Request) -> Answer:
        return Answer([(value,)])

    (statement,) = split(text)
    words = statement.keywords(len(statement.words))
    register(Command(words, run, "SHOW" if words[0] == "SHOW" else "SELECT 1", (column,), listed=False))


for _words, (_tag, _leaves) in _NO_OPS.items():
    _register_no_op(_words, _tag, _leaves)
for _name, _value in PARAMETERS_OF_SESSION.items():
    _register_value(f"SHOW {_name}", (_name, TEXT), _value)
_register_value("SHOW TRANSACTION ISOLATION LEVEL", ("transaction_isolation", TEXT), "read committed")
for _text, (_column, _answer) in _SELECTS.items():
    _register_value(_text, _column, _answer)
