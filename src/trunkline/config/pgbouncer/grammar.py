"""The grammar of pgbouncer.ini: a text, and what it includes, as headers and entries with their places.

Rules, as PgBouncer has them:
1. White space before anything is skipped, and a line ends a value, whose white space at both ends is dropped. There is
   no comment behind a value, and nothing in a value is quoted here.
2. A header ends at its bracket, so that an entry may follow on its line. Headers go on beyond the end of an included
   file, and a header may come again.
3. ``%include FILE`` is taken relative to the working directory, and only ten deep.
Every line that breaks the grammar is reported, where PgBouncer stops at the first.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from trunkline.config.diagnostics import Diagnostic, Place
from trunkline.config.sources import Unreadable, read_text

MAX_INCLUDES = 10
_WHITE = " \t\n\r\f\v"
_SPACE = re.compile(r"\s*", re.ASCII)
_COMMENT = re.compile(r"[#;][^\n]*")
_INCLUDE = re.compile(r"%include[ \t]+([^\n]*)")
_HEADER = re.compile(r"\[([^\]\n]*)\]")
# A name with other characters is quoted as SQL quotes one.
_ENTRY = re.compile(r'([A-Za-z0-9_.*-]*|"(?:[^"\n]|"")*")[ \t]*=[ \t]*([^\n]*)')
_LINE = re.compile(r"[^\n]*")
_SECRET = re.compile(r"(password[ ]*=[ ]*)(?:'(?:[^']|'')*(?:'|$)|[^ ]+)")


@dataclass(frozen=True, slots=True)
class Header:
    """``[name]``"""

    name: str
    place: Place


@dataclass(frozen=True, slots=True)
class Entry:
    """``key = value``, with the places of both; a password in their line is masked."""

    key: str
    value: str
    key_place: Place
    value_place: Place


class Reading:
    """One file and what it includes; ``diagnostics`` is complete when ``items`` has ended."""

    def __init__(self) -> None:
        self.diagnostics: list[Diagnostic] = []

    def items(self, text: str, file: str, depth: int = 0) -> Iterator[Header | Entry]:
        """Everything in the order of the text, an included file in the place of its line."""
        text = text.partition("\0")[0]
        lines, at = _Lines(text, file), 0
        while True:
            at = _end(_SPACE, text, at)
            if at >= len(text):
                return
            if comment := _COMMENT.match(text, at):
                at = comment.end()
            elif header := _HEADER.match(text, at):
                yield Header(header[1], lines.place(at + 1))
                at = header.end()
            elif include := _INCLUDE.match(text, at):
                yield from self._included(include[1].rstrip(_WHITE), lines.place(include.start(1)), depth)
                at = include.end()
            elif entry := _ENTRY.match(text, at):
                places = lines.place(at), lines.place(entry.start(2))
                yield Entry(_unquoted(entry[1]), entry[2].rstrip(_WHITE), *places)
                at = entry.end()
            else:
                self._syntax_error(text[at : _end(_LINE, text, at)], lines.place(at))
                at = _end(_LINE, text, at)

    def _included(self, name: str, place: Place, depth: int) -> Iterator[Header | Entry]:
        if depth >= MAX_INCLUDES:
            self._add(place, "included too deeply", f"at most {MAX_INCLUDES} files may include one another")
            return
        try:
            text = read_text(Path(name))
        except Unreadable as error:
            self._add(place, f"{name} {error.diagnostic.message}", error.diagnostic.hint)
            return
        yield from self.items(text, name, depth + 1)

    def _syntax_error(self, line: str, place: Place) -> None:
        if line.startswith("["):
            self._add(place, "a section without its closing bracket", "write [databases]")
        elif re.match(r'["A-Za-z0-9_.*-]', line):
            self._add(place, "not a setting", "write name = value; a name with other characters needs double quotes")
        else:
            self._add(place, "neither a setting nor a section", "comments begin with ; or #")

    def _add(self, place: Place, message: str, hint: str) -> None:
        self.diagnostics.append(Diagnostic(place.file, place.line, place.column, message, hint, place.source_line))


class _Lines:
    """From an offset to its place."""

    def __init__(self, text: str, file: str) -> None:
        self._file = file
        self._lines = text.split("\n")
        self._starts = [0]
        for line in self._lines[:-1]:
            self._starts.append(self._starts[-1] + len(line) + 1)

    def place(self, offset: int) -> Place:
        number = bisect_right(self._starts, offset)
        line = _SECRET.sub(_mask, self._lines[number - 1])
        return Place(self._file, number, offset - self._starts[number - 1] + 1, line)


def _mask(match: re.Match[str]) -> str:
    return match[1] + "*" * (len(match[0]) - len(match[1]))


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    match = pattern.match(text, at)
    return match.end() if match else at


def _unquoted(key: str) -> str:
    return key[1:-1].replace('""', '"') if key.startswith('"') else key
