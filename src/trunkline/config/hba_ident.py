"""auth_ident_file, in pg_ident.conf's grammar: which names of a system or certificate may be which user here."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from trunkline.config.diagnostics import Diagnostic
from trunkline.config.hba_tokens import Line, Reader, Token, compiled
from trunkline.config.pattern_search import search

_CAPTURE = r"\1"


@dataclass(frozen=True, slots=True)
class IdentLine:
    """One line: ``user`` is a name, perhaps with \\1 in it, a pattern, or None for all."""

    map: str
    system_user: str | re.Pattern[str]
    user: str | re.Pattern[str] | None

    def allows(self, system_user: str, user: str) -> bool:
        captured = ""
        if isinstance(self.system_user, str):
            if self.system_user != system_user:
                return False
        else:
            match = search(self.system_user, system_user)
            if match is None:
                return False
            captured = (match[1] or "") if match.re.groups else ""
        if self.user is None:
            return True
        if isinstance(self.user, str):
            return self.user.replace(_CAPTURE, captured) == user
        return search(self.user, user) is not None


@dataclass(frozen=True, slots=True)
class IdentMaps:
    """All maps; in a map, any line may allow."""

    lines: tuple[IdentLine, ...] = ()

    def __contains__(self, name: str) -> bool:
        return any(line.map == name for line in self.lines)

    def allows(self, name: str, system_user: str, user: str) -> bool:
        """Whether ``system_user`` may be ``user``; without a map, only if that is its name."""
        if not name:
            return system_user == user
        return any(line.map == name and line.allows(system_user, user) for line in self.lines)


def load_ident(path: Path) -> tuple[IdentMaps, list[Diagnostic]]:
    """The maps of a file, and all that is wrong in it; Unreadable if there is none."""
    reader = Reader()
    found: list[IdentLine] = []
    for line in reader.lines(path):
        read = _read(line)
        if isinstance(read, Diagnostic):
            reader.diagnostics.append(read)
        else:
            found.append(read)
    return IdentMaps(tuple(found)), reader.diagnostics


def _read(line: Line) -> IdentLine | Diagnostic:
    if len(line.fields) != 3 or any(len(one) != 1 for one in line.fields):
        return line.error("not a line of an ident map", "write MAP SYSTEM-USER USER")
    (name,), (system,), (user,) = line.fields
    system_user = compiled(line, system) if system.text.startswith("/") else system.text
    if isinstance(system_user, Diagnostic):
        return system_user
    target = _target(line, user)
    if isinstance(target, Diagnostic):
        return target
    captures = system_user.groups if isinstance(system_user, re.Pattern) else 0
    if isinstance(target, str) and _CAPTURE in target and not captures:
        return line.error(r"\1 stands for nothing", "the system user needs to be a pattern with parentheses", user)
    return IdentLine(name.text, system_user, target)


def _target(line: Line, token: Token) -> str | re.Pattern[str] | Diagnostic | None:
    if token.keyword == "all":
        return None
    if token.keyword.startswith("+"):
        return line.error("members of roles are not known here", "name the users", token)
    return compiled(line, token) if token.text.startswith("/") else token.text
