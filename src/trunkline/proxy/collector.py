"""Collector: keeps what a client says until enough of it is here to decide where it goes."""

from __future__ import annotations

from trunkline.net.link import Link

KEPT_BYTES = 60_000  # a link keeps so much by itself


class Collector:
    """In the place of an inbox: takes what comes until there are `needed` bytes, then gives all of it back."""

    __slots__ = ("_data", "_link", "_needed")

    def __init__(self, link: Link, needed: int) -> None:
        self._link = link
        self._needed = needed
        self._data = bytearray()
        link.open_inbox(self)

    def feed(self, data: bytes) -> None:
        self._data += self._link.take_kept()
        self._data += data
        if len(self._data) >= self._needed:
            self._link.close_inbox(bytes(self._data))

    def end(self) -> None:
        """The link is closed: nobody wants it any more."""
