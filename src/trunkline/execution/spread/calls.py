"""A statement as a client calls it, and what comes of it once it runs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from trunkline.execution.spread.asked import Answer, CopyIn
from trunkline.execution.spread.description import Description


@dataclass(frozen=True, slots=True)
class Statement:
    """One call as the client makes it; `bind` is its Bind from behind the names, b"" of a simple query."""

    sql: bytes
    types: tuple[int, ...] = ()
    formats: tuple[int, ...] = ()
    values: tuple[bytes | None, ...] = ()
    result_formats: tuple[int, ...] = ()
    bind: bytes = b""

    @property
    def body(self) -> bytes:
        """Of the Parse, from its text on."""
        return (
            self.sql
            + b"\0"
            + len(self.types).to_bytes(2, "big")
            + b"".join(one.to_bytes(4, "big") for one in self.types)
        )


@dataclass(frozen=True, slots=True)
class Begun:
    """A statement that runs: what is said of its rows, None of one that has none, and the answer."""

    described: Description | None
    answer: Answer | CopyIn


class Said:
    """An answer without rows."""

    def __init__(self, tag: bytes) -> None:
        self._tag = tag

    async def rows(self) -> AsyncIterator[bytes]:
        """None."""
        nothing: tuple[bytes, ...] = ()
        for rows in nothing:
            yield rows

    def tag(self) -> bytes:
        return self._tag


def said(tag: bytes) -> Begun:
    return Begun(None, Said(tag))
