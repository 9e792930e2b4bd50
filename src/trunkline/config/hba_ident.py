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
    is_role: bool = False
    """Whether the name is that of a role whose members are meant: `+name`."""

    def allows(self, system_user: str, user: str, roles: frozenset[str]) -> bool:
        captured = self._captured(system_user)
        if captured is None:
            return False
        if self.user is None:
            return True
        if isinstance(self.user, str):
            name = self.user.replace(_CAPTURE, captured)
            return name in roles if self.is_role else name == user
        return search(self.user, user) is not None

    def may_depend_on_roles(self, system_user: str) -> bool:
        """Whether it would allow a member of some role."""
        return self.is_role and self._captured(system_user) is not None

    def _captured(self, system_user: str) -> str | None:
        """What \\1 stands for; None if the line is not for this one."""
        if isinstance(self.system_user, str):
            return "" if self.system_user == system_user else None
        match = search(self.system_user, system_user)
        if match is None:
            return None
        return (match[1] or "") if match.re.groups else ""


@dataclass(frozen=True, slots=True)
class IdentMaps:
    """All maps; in a map, any line may allow."""

    lines: tuple[IdentLine, ...] = ()

    def __contains__(self, name: str) -> bool:
        return any(line.map == name for line in self.lines)

    def allows(self, name: str, system_user: str, user: str, roles: frozenset[str] = frozenset()) -> bool:
        """Whether ``system_user`` may be ``user``, a member of these roles; without a map, only if that is its name."""
        if not name:
            return system_user == user
        return any(line.map == name and line.allows(system_user, user, roles) for line in self.lines)

    def depends_on_roles(self, name: str, system_user: str, user: str) -> bool:
        """Whether that cannot be told before the user's roles are known."""
        may = any(line.map == name and line.may_depend_on_roles(system_user) for line in self.lines)
        return may and not self.allows(name, system_user, user)

    @property
    def names_roles(self) -> bool:
        """Whether any line depends on roles."""
        return any(line.is_role for line in self.lines)


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
    if user.keyword.startswith("+") and isinstance(target, str):
        return IdentLine(name.text, system_user, target[1:], is_role=True)
    return IdentLine(name.text, system_user, target)


def _target(line: Line, token: Token) -> str | re.Pattern[str] | Diagnostic | None:
    if token.keyword == "all":
        return None
    if token.keyword == "+":
        return line.error("a role is missing behind +", "", token)
    return compiled(line, token) if token.text.startswith("/") else token.text
