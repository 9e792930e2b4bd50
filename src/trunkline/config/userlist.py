"""PgBouncer's userlist.txt: ``"user" "secret"`` on a line, ``""`` for a double quote, ``;`` before a comment.

Contract: text in, secrets by user out, and every bad line as a diagnostic; a secret never gets into a diagnostic.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from trunkline.config.diagnostics import Diagnostic

_QUOTED = r'"((?:[^"]|"")*)"'
# PgBouncer takes what follows the secret as room for later fields.
_LINE = re.compile(rf"\s*{_QUOTED}\s+{_QUOTED}(?:\s.*)?")
_USER = re.compile(rf"\s*{_QUOTED}\s*")


@dataclass(frozen=True, slots=True)
class Userlist:
    """What a userlist holds: secrets by user, what could not be read, and who is listed again; the last line counts."""

    secrets: dict[str, str] = field(default_factory=dict, repr=False)
    diagnostics: list[Diagnostic] = field(default_factory=list)
    repeated: list[Diagnostic] = field(default_factory=list)


def parse_userlist(text: str, file: str) -> Userlist:
    """Read a userlist; ``file`` is what diagnostics call it."""
    users = Userlist()
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.lstrip().startswith(";"):
            _read_line(users, line, number, file)
    return users


def _read_line(users: Userlist, line: str, number: int, file: str) -> None:
    match = _LINE.fullmatch(line)
    if match is None:
        users.diagnostics.append(_bad_line(line, number, file))
        return
    name, secret = match[1].replace('""', '"'), match[2].replace('""', '"')
    if not name:
        users.diagnostics.append(_told(line, number, file, "empty user name"))
    elif "\0" in line:
        users.diagnostics.append(_told(line, number, file, "a zero byte", behind_user=True))
    else:
        if name in users.secrets:
            users.repeated.append(_told(line, number, file, f"user `{name}` is listed twice"))
        users.secrets[name] = secret


def _told(line: str, number: int, file: str, message: str, *, behind_user: bool = False) -> Diagnostic:
    shown, column = _shown(line)
    return Diagnostic(file, number, column if behind_user else 1, message, "", shown)


def _bad_line(line: str, number: int, file: str) -> Diagnostic:
    shown, column = _shown(line)
    hint = 'write "user" "secret", each in double quotes; comments begin with ;'
    return Diagnostic(file, number, column, "not a userlist line", hint, shown)


def _shown(line: str) -> tuple[str, int]:
    """The line with everything after the user masked, and the column where that begins."""
    match = _USER.match(line)
    end = match.end() if match else 0
    return line[:end] + "*" * (len(line) - end), end + 1
