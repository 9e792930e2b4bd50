"""What a client sends for its COPY FROM STDIN."""

from __future__ import annotations

from typing import Any

import pytest

from trunkline.errors import ProtocolViolation
from trunkline.protocol.messages import message
from trunkline.proxy.copy_data import fed


class Said:
    """An inbox with these messages, and a COPY that notes what it gets."""

    def __init__(self, *messages: tuple[bytes, bytes]) -> None:
        self.messages = list(messages)
        self.data = b""

    async def message(self, most: int) -> tuple[int, bytes]:
        kind, body = self.messages.pop(0)
        return kind[0], body

    async def feed(self, messages: bytes) -> None:
        self.data += messages

    async def finish(self) -> bytes:
        return b"COPY 1"


async def test_data_are_fed_up_to_their_end() -> None:
    said: Any = Said((b"d", b"1\n"), (b"S", b""), (b"H", b""), (b"d", b"2\n"), (b"c", b""))
    assert await fed(said, said) == b"COPY 1"
    assert said.data == message(b"d", b"1\n") + message(b"d", b"2\n")


async def test_anything_else_breaks_the_protocol() -> None:
    said: Any = Said((b"Q", b""))
    with pytest.raises(ProtocolViolation):
        await fed(said, said)
