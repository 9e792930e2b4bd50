"""Where each key and value of a TOML text stands, which tomllib does not tell.

Contract: the text has already been accepted by tomllib, so this only walks it; it checks nothing. The walk follows the
grammar as far as it must to skip strings and find the end of values: tables, arrays of tables, dotted keys, inline
tables, arrays.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right
from contextlib import suppress
from functools import cached_property

from trunkline.config.diagnostics import Part, Path, Place

_BLANK = re.compile(r"(?:[ \t\n]|#[^\n]*)*")
_KEY_PART = re.compile(r"""[ \t]*("(?:[^"\\\n]|\\.)*"|'[^'\n]*'|[A-Za-z0-9_-]+)[ \t]*""")
_STRINGS = (
    re.compile(r'"""(?:[^\\]|\\.)*?"""(?:""|")?', re.DOTALL),
    re.compile(r"'''.*?'''(?:''|')?", re.DOTALL),
    re.compile(r'"(?:[^"\\\n]|\\.)*"'),
    re.compile(r"'[^'\n]*'"),
)
_BARE = re.compile(r"[^,\]}\n#]*")


class Positions:
    """The index of one text, usable as a ``diagnostics.Source``."""

    def __init__(self, file: str, text: str) -> None:
        self._file = file
        self._text = text
        self._lines = text.split("\n")
        self._starts = _line_starts(self._lines)

    @cached_property
    def _offsets(self) -> dict[Part, dict[Path, int]]:
        """Looked for when the first place is asked for: most files have nothing to tell."""
        walk = _Walk(self._text)
        with suppress(RecursionError):  # then what has been found is what can be told
            walk.run()
        return {"key": walk.keys, "value": walk.values}

    def place(self, path: Path, part: Part) -> Place | None:
        """Where a path's key or value begins; a table that only stands in longer headers is where it first appears."""
        offset = self._offsets[part].get(path, self._offsets["key"].get(path))
        return None if offset is None else self.place_at(offset)

    def place_at(self, offset: int) -> Place:
        line = _last_not_above(self._starts, offset)
        return Place(self._file, line + 1, offset - self._starts[line] + 1, self._lines[line])


def _line_starts(lines: list[str]) -> list[int]:
    starts = [0]
    for line in lines[:-1]:
        starts.append(starts[-1] + len(line) + 1)
    return starts


def _last_not_above(starts: list[int], offset: int) -> int:
    return bisect_right(starts, offset) - 1


class _Walk:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.keys: dict[Path, int] = {}
        self.values: dict[Path, int] = {}
        self._array_lengths: dict[Path, int] = {}
        self._last_part = 0

    def run(self) -> None:
        table: Path = ()
        self._blank()
        while self.at < len(self.text):
            if self.text[self.at] == "[":
                table = self._header()
            else:
                self._pair(table)
            self._blank()

    def _blank(self) -> None:
        self._skip(_BLANK)

    def _skip(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self.text, self.at)
        # Nothing to skip in an accepted text would be an endless loop; one character forward keeps the walk finite.
        end = match.end() if match else self.at + 1
        skipped, self.at = self.text[self.at : end], end
        return skipped

    def _header(self) -> Path:
        is_array = self.text.startswith("[[", self.at)
        self.at += 1 + is_array
        path = self._key(())
        self.at += 1 + is_array
        if is_array:
            index = self._array_lengths[path] = self._array_lengths.get(path, -1) + 1
            path = (*path, index)
            self.keys[path] = self._last_part
        return path

    def _key(self, table: Path) -> Path:
        """Read a dotted key and note where each of its parts stands."""
        path = table
        while True:
            self._skip_spaces()
            start = self.at
            path = (*self._into_array(path), _unquote(self._skip(_KEY_PART).strip(" \t")))
            self.keys.setdefault(path, start)
            self._last_part = start
            if not self.text.startswith(".", self.at):
                return path
            self.at += 1

    def _skip_spaces(self) -> None:
        while self.text.startswith((" ", "\t"), self.at):
            self.at += 1

    def _into_array(self, path: Path) -> Path:
        """A header below an array of tables means the array's last table."""
        return (*path, self._array_lengths[path]) if path in self._array_lengths else path

    def _pair(self, table: Path) -> None:
        path = self._key(table)
        self.at += 1
        self._value(path)

    def _value(self, path: Path) -> None:
        self._blank()
        self.values[path] = self.at
        match self.text[self.at : self.at + 1]:
            case "[":
                self._array(path)
            case "{":
                self._inline_table(path)
            case '"' | "'":
                self._string()
            case _:
                self._skip(_BARE)

    def _string(self) -> None:
        for pattern in _STRINGS:
            if pattern.match(self.text, self.at):
                self._skip(pattern)
                return
        self.at = len(self.text)

    def _array(self, path: Path) -> None:
        self.at += 1
        index = 0
        while self._more("]"):
            self._value((*path, index))
            index += 1

    def _inline_table(self, path: Path) -> None:
        self.at += 1
        while self._more("}"):
            self._pair(path)

    def _more(self, closing: str) -> bool:
        """Step over a comma, or over the closing bracket, which ends the list."""
        self._blank()
        if self.text.startswith(",", self.at):
            self.at += 1
            self._blank()
        if self.at < len(self.text) and self.text[self.at] != closing:
            return True
        self.at += 1
        return False


def _unquote(key: str) -> str:
    if key[:1] == '"':
        return str(tomllib.loads(f"k={key}")["k"])
    return key[1:-1] if key[:1] == "'" else key
