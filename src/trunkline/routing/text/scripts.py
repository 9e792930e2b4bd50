"""A file of SQL into its statements, by the rules by which psql parts them: the tokens are PostgreSQL's.

A semicolon ends a statement unless it stands in parentheses or in the body of a function that is written without
quotes. A backslash at the beginning of a statement, and the data behind COPY FROM stdin, are no SQL and passed over.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field

from trunkline.routing.text.tokens import tokens_of

_COPY_IN = re.compile(rb"copy\b.*\bfrom\s+stdin\b", re.IGNORECASE | re.DOTALL)
_END_OF_DATA = re.compile(rb"^\\\.\r?(?:\n|\Z)", re.MULTILINE)
_HINT = b"trunkline:"


@dataclass(slots=True)
class _Nesting:
    """What is open in the statement that is read."""

    parentheses: int = 0
    blocks: int = 0
    words: list[bytes] = field(default_factory=list)

    def take(self, kind: str, token: bytes) -> None:
        if token == b"(":
            self.parentheses += 1
        elif token == b")":
            self.parentheses = max(self.parentheses - 1, 0)
        elif kind == "word" and not self.parentheses:
            self._word(token.lower())

    def _word(self, word: bytes) -> None:
        if len(self.words) < 4:
            self.words.append(word)
        if not (self.words[0] == b"create" and {b"function", b"procedure"} & set(self.words)):
            return
        if word == b"begin" or (word == b"case" and self.blocks):
            self.blocks += 1
        elif word == b"end" and self.blocks:
            self.blocks -= 1

    @property
    def is_open(self) -> bool:
        return bool(self.parentheses or self.blocks)


def split(text: bytes) -> Iterator[tuple[int, bytes]]:
    """Each statement, without its semicolon, behind the number of the line that it begins in."""
    line, counted, at = 1, 0, 0
    while at < len(text):
        spans = _spans(text, at)
        while True:
            try:
                start, end = next(spans)
            except StopIteration as over:
                at = over.value
                break
            line, counted = line + text.count(b"\n", counted, start), start
            yield line, text[start:end]


def _spans(text: bytes, at: int) -> Generator[tuple[int, int], None, int]:
    """Of the statements up to the next thing that is no SQL; returns where SQL goes on behind that."""
    nesting, first, last, before = _Nesting(), -1, at, at
    for kind, start, end in tokens_of(text[at:] if at else text):
        token = text[at + start : at + end]
        if first < 0 and token == b"\\":
            return _behind(text, at + end, b"\n")
        if token == b";" and not nesting.is_open:
            if first >= 0:
                yield first, last
                if _COPY_IN.match(text, first, last):
                    data = _END_OF_DATA.search(text, at + end)
                    return len(text) if data is None else data.end()
            nesting, first, before = _Nesting(), -1, at + end
            continue
        nesting.take(kind, token)
        if first < 0:
            first = at + start
            if _HINT in text[before:first]:  # a comment that is for us belongs to what it stands before
                first = before + len(text[before:first]) - len(text[before:first].lstrip())
        last = at + end
    if first >= 0:
        yield first, len(text.rstrip()) if _HINT in text[last:] else last
    return len(text)


def _behind(text: bytes, at: int, what: bytes) -> int:
    found = text.find(what, at)
    return len(text) if found < 0 else found + len(what)
