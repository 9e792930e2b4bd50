"""The grammar that pg_hba.conf and pg_ident.conf share: lines of fields, fields of names, and files within files.

A field is one name, or several with commas. Quotes take a name's special meaning (keyword, `@file`), and may
hold spaces, commas and `#`; `""` is a quote. A backslash at the end goes on with the next line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from trunkline.config.diagnostics import Diagnostic
from trunkline.config.sources import Unreadable, read_text

MAX_DEPTH = 10  # PostgreSQL's CONF_FILE_MAX_DEPTH

_TOKEN = re.compile(r'(?P<space>\s+)|(?P<comma>,)|(?P<comment>#.*)|(?P<name>(?:"(?:[^"]|"")*"|[^\s,"#])+)')
_QUOTED = re.compile(r'"((?:[^"]|"")*)"')
_POSIX_CLASSES = {
    "[:alpha:]": "a-zA-Z",
    "[:digit:]": "0-9",
    "[:alnum:]": "a-zA-Z0-9",
    "[:upper:]": "A-Z",
    "[:lower:]": "a-z",
    "[:space:]": r"\s",
    "[:xdigit:]": "0-9A-Fa-f",
    "[:punct:]": r"!-/:-@\[-`{-~",
}


@dataclass(frozen=True, slots=True)
class Token:
    """One name; ``is_quoted`` if it begins with a quote."""

    text: str
    column: int
    is_quoted: bool = False

    @property
    def keyword(self) -> str:
        """What it means if it is a keyword; a name in quotes never is one."""
        return "" if self.is_quoted else self.text


Field = tuple[Token, ...]


@dataclass(frozen=True, slots=True)
class Line:
    """One entry, and where it stands."""

    file: str
    number: int
    text: str
    fields: tuple[Field, ...]

    def error(self, message: str, hint: str = "", at: Token | None = None) -> Diagnostic:
        column = at.column if at is not None else 1
        return Diagnostic(self.file, self.number, column, message, hint, self.text)


@dataclass(slots=True)
class Reader:
    """Reads a file and those that it includes; ``diagnostics`` is everything that cannot be read."""

    diagnostics: list[Diagnostic] = field(default_factory=list)

    def lines(self, path: Path, depth: int = 0) -> Iterator[Line]:
        """The entries, those of included files in their places; Unreadable if there is no such file."""
        for number, text in _joined(read_text(path)):
            line = self._split(str(path), number, text)
            if line is None or not line.fields:
                continue
            include = _INCLUDES.get(line.fields[0][0].keyword)
            if include is None:
                yield Line(line.file, line.number, line.text, tuple(self._expanded(line, one) for one in line.fields))
            elif len(line.fields) != 2 or len(line.fields[1]) != 1:
                self.diagnostics.append(line.error("one file name is needed here"))
            else:
                yield from include(self, line, path.parent / line.fields[1][0].text, depth + 1)

    def _split(self, file: str, number: int, text: str) -> Line | None:
        fields: list[list[Token]] = []
        position, joins = 0, False
        while position < len(text):
            match = _TOKEN.match(text, position)
            if match is None:  # only a quote that nobody closes
                self.diagnostics.append(Diagnostic(file, number, position + 1, "a quote is not closed", "", text))
                return None
            position = match.end()
            if match["comma"]:
                joins = bool(fields)
            elif match["name"]:
                token = Token(_QUOTED.sub(_unquoted, match["name"]), match.start() + 1, match["name"].startswith('"'))
                if joins:
                    fields[-1].append(token)
                else:
                    fields.append([token])
                joins = False
        return Line(file, number, text, tuple(map(tuple, fields)))

    def _expanded(self, line: Line, written: Field) -> Field:
        """With the names in a file where `@file` stands."""
        tokens: list[Token] = []
        for token in written:
            if token.keyword.startswith("@") and len(token.text) > 1:
                tokens += self._names_in(line, token, 1)
            else:
                tokens.append(token)
        return tuple(tokens)

    def _names_in(self, line: Line, token: Token, depth: int) -> Iterator[Token]:
        path = Path(line.file).parent / token.text[1:]
        try:
            text = read_text(path) if depth <= MAX_DEPTH else ""
        except Unreadable as error:
            self.diagnostics.append(line.error(str(error.diagnostic), at=token))
            return
        if depth > MAX_DEPTH:
            self.diagnostics.append(line.error(f"{path}: files are nested too deeply", at=token))
            return
        for number, said in _joined(text):
            inner = self._split(str(path), number, said)
            for name in (name for one in (inner.fields if inner else ()) for name in one):
                if inner is not None and name.keyword.startswith("@") and len(name.text) > 1:
                    yield from self._names_in(inner, name, depth + 1)
                else:
                    yield Token(name.text, token.column, name.is_quoted)

    def _include(self, line: Line, path: Path, depth: int) -> Iterator[Line]:
        if depth > MAX_DEPTH:
            self.diagnostics.append(line.error(f"{path}: files are nested too deeply", at=line.fields[1][0]))
            return
        try:
            yield from self.lines(path, depth)
        except Unreadable as error:
            self.diagnostics.append(line.error(str(error.diagnostic), at=line.fields[1][0]))

    def _include_if_exists(self, line: Line, path: Path, depth: int) -> Iterator[Line]:
        if path.exists():
            yield from self._include(line, path, depth)

    def _include_dir(self, line: Line, path: Path, depth: int) -> Iterator[Line]:
        if not path.is_dir():
            self.diagnostics.append(line.error(f"{path} is no directory", at=line.fields[1][0]))
            return
        for file in sorted(path.glob("*.conf")):
            if not file.name.startswith("."):
                yield from self._include(line, file, depth)


_INCLUDES = {
    "include": Reader._include,
    "include_if_exists": Reader._include_if_exists,
    "include_dir": Reader._include_dir,
}


def compiled(line: Line, token: Token) -> re.Pattern[str] | Diagnostic:
    """The regular expression behind a name's slash, in Python's flavour with PostgreSQL's classes of characters."""
    written = token.text[1:]
    for name, characters in _POSIX_CLASSES.items():
        written = written.replace(name, characters)
    try:
        return re.compile(written)
    except (re.error, OverflowError, RecursionError) as error:
        return line.error(f"not a regular expression: {error}", at=token)


def _joined(text: str) -> Iterator[tuple[int, str]]:
    """Lines by number, with those that a backslash goes on with."""
    before, first = "", 0
    for number, line in enumerate(text.split("\n"), 1):
        first = first or number
        if line.endswith("\\"):
            before += line[:-1]
            continue
        yield first, before + line
        before, first = "", 0
    if before:
        yield first, before


def _unquoted(match: re.Match[str]) -> str:
    return match[1].replace('""', '"')
