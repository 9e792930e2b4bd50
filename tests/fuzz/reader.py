"""Reads a fuzzer's bytes as choices: never runs out, so that every input is a whole story.

Choices are read from the front and cost few bytes each, so that a mutation of one byte changes one choice, and the end
of the input is simply where the story ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Reader:
    """A cursor over the input; reads past the end give zeros and empty strings."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def __bool__(self) -> bool:
        """Whether something is left."""
        return self._at < len(self._data)

    def byte(self) -> int:
        self._at += 1
        return self._data[self._at - 1] if self._at <= len(self._data) else 0

    def pick(self, options: Sequence[T]) -> T:
        return options[self.byte() % len(options)]

    def take(self, count: int) -> bytes:
        taken = self._data[self._at : self._at + count]
        self._at += count
        return taken

    def rest(self) -> bytes:
        return self.take(len(self._data))

    def chunk(self) -> bytes:
        """Bytes behind a length of one byte; 255 stands for all that is left."""
        size = self.byte()
        return self.rest() if size == 255 else self.take(size)

    def slices(self, data: bytes) -> list[bytes]:
        """``data`` in up to 255 pieces of sizes that are chosen here."""
        pieces = []
        while data and (size := self.byte()):
            pieces.append(data[:size])
            data = data[size:]
        return [*pieces, data]
