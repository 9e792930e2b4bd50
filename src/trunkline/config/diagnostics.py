"""What is wrong with a configuration, said so that an operator can mend it: where, what, and what was perhaps meant.

Rules:
1. All errors are collected and told at once; a ``Report`` never stops at the first one.
2. A secret is never shown: source lines are redacted here, before they are stored.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from trunkline.errors import ConfigError

Path = tuple[str | int, ...]
Part = Literal["key", "value"]

# A password in a URL, in a URL whose host was forgotten, in a query, and after `password =`.
_SECRETS = re.compile(
    r"""(://[^/@"'\s?]*?:) .* (?=@)
      | (://[^/@"'\s?\[]*?:) (?![0-9]{1,5}(?:[/?,"'\s]|$)) [^"'\s?]*
      | ([?&]password=) [^&\s"'\#]*
      | (password["']?\s*=\s*) (?:"{3}.*|'{3}.*|"(?:[^"\\]|\\.)*"|'[^']*'|.+)
    """,
    re.IGNORECASE | re.VERBOSE,
)
_RED, _BOLD, _CYAN, _PLAIN = "\x1b[31m", "\x1b[1m", "\x1b[36m", "\x1b[0m"


def redact(line: str) -> str:
    """Mask passwords in a line of a file or in a URL, keeping its length so that columns stay true."""
    return _SECRETS.sub(_mask, line)


def _mask(match: re.Match[str]) -> str:
    kept: str = next(filter(None, match.groups()))
    return kept + "*" * (len(match[0]) - len(kept))


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint with the nearest known word, or nothing when none is near."""
    words = {known_word.lower(): known_word for known_word in known}
    near = difflib.get_close_matches(word.lower(), words, n=1)
    return f"did you mean `{words[near[0]]}`?" if near else ""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a thing was written. Lines and columns count from 1; line 0 means the source as a whole."""

    file: str
    line: int = 0
    column: int = 0
    source_line: str = ""


class Source(Protocol):
    """Something settings came from: a file, a URL, the environment."""

    def place(self, path: Path, part: Part) -> Place | None:
        """Where the key or value of this path stands, or None if this source does not have it."""


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One error: what an editor or a person needs to go there and mend it."""

    file: str
    line: int
    column: int
    message: str
    hint: str = ""
    source_line: str = ""

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return f"{where}: {self.message}" + (f" ({self.hint})" if self.hint else "")

    def render(self, color: bool = False) -> str:
        """Several lines: where and what, the source line, a caret, the hint."""
        where = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        lines = [f"{_paint(where, _BOLD, color)}: {_paint('error', _RED, color)}: {self.message}"]
        if self.source_line:
            lines += self._excerpt(color)
        if self.hint:
            lines.append(f"  {_paint('hint', _CYAN, color)}: {self.hint}")
        return "\n".join(lines)

    def _excerpt(self, color: bool) -> list[str]:
        number = str(self.line) if self.line else ""
        # A tab before the caret stays a tab, so that the caret stands right at any tab width.
        before = "".join("\t" if c == "\t" else " " for c in self.source_line[: max(self.column - 1, 0)])
        return [
            f"  {number} | {_printable(self.source_line)}",
            f"  {' ' * len(number)} | {before}{_paint('^', _RED, color)}",
        ]


def _printable(line: str) -> str:
    """A source line is foreign text: control characters must not reach a terminal."""
    return "".join(c if c.isprintable() or c == "\t" else "�" for c in line)


def _paint(text: str, style: str, color: bool) -> str:
    return f"{style}{text}{_PLAIN}" if color else text


class ConfigErrors(ConfigError):
    """Everything that is wrong with one configuration; ``diagnostics`` is never empty."""

    def __init__(self, diagnostics: Sequence[Diagnostic]) -> None:
        self.diagnostics = sorted(diagnostics, key=lambda d: (d.file, d.line, d.column))
        more = len(self.diagnostics) - 1
        super().__init__(str(self.diagnostics[0]) + (f", and {more} more" if more else ""))

    def render(self, color: bool = False) -> str:
        """All errors in the order of the file, with a blank line between them."""
        return "\n\n".join(d.render(color) for d in self.diagnostics)


class Report:
    """Collects errors against the sources a configuration was read from; the first source that knows a path wins."""

    def __init__(self, name: str, *sources: Source) -> None:
        self.name = name
        self.sources = list(sources)
        self.diagnostics: list[Diagnostic] = []
        self.warnings: list[Diagnostic] = []
        """What is accepted, and not meant as it looks."""
        self._refused: set[Path] = set()

    def add(self, path: Path, message: str, hint: str = "", *, part: Part = "value", offset: int = 0) -> None:
        """Report an error at a path, or ``offset`` characters into what is written there."""
        self.refuse(path)
        self.add_at(self._find(path, part), message, hint, offset=offset)

    def add_at(self, place: Place, message: str, hint: str = "", *, offset: int = 0) -> None:
        line = redact(place.source_line)
        self.diagnostics.append(Diagnostic(place.file, place.line, place.column + offset, message, hint, line))

    def warn(self, path: Path, message: str, hint: str = "", *, part: Part = "value") -> None:
        """Tell of something that does not keep the configuration from being used."""
        place = self._find(path, part)
        shown = redact(place.source_line)
        self.warnings.append(Diagnostic(place.file, place.line, place.column, message, hint, shown))

    def extend(self, diagnostics: Iterable[Diagnostic]) -> None:
        self.diagnostics.extend(diagnostics)

    def refuse(self, path: Path) -> None:
        """Note that what stands for this path in the result is not what was written."""
        self._refused.add(path)

    def is_refused(self, *tail: str | int) -> bool:
        """Whether any refused path ends so; a check on a stand-in value would only confuse."""
        return any(path[-len(tail) :] == tail for path in self._refused)

    def raise_errors(self) -> None:
        """Raise ConfigErrors if anything was reported."""
        if self.diagnostics:
            raise ConfigErrors(self.diagnostics)

    def _find(self, path: Path, part: Part) -> Place:
        """The place of the path, else of the nearest table around it, else the source as a whole."""
        for end in range(len(path), 0, -1):
            for source in self.sources:
                place = source.place(path[:end], part if end == len(path) else "key")
                if place is not None:
                    return place
        return Place(self.name)
