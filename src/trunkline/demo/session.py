"""A client of Trunkline that knows what it was told: each statement's rows, or the SQLSTATE of its error.

A driver would do more than a demo of failures can use: it would reconnect, retry, or hide what came first. Every wait
has an end, so that an answer that never comes is an error too.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from trunkline.auth import scram
from trunkline.auth.replies import Derive, Send
from trunkline.auth.server_login import ServerAuthentication
from trunkline.demo.free_port import HOST
from trunkline.errors import ServerRefused
from trunkline.protocol import messages

ANSWER_S = 60.0  # above every wait of the proxy
NO_ANSWER = "no answer"
CONNECTION_LOST = "connection lost"

Row = list[bytes | None]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a statement led to; ``code`` is the SQLSTATE of its error, or empty."""

    rows: tuple[Row, ...] = ()
    code: str = ""
    text: str = ""


class Session:
    """One logged-in connection; ``in_block`` says whether it is in a transaction block."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self.in_block = False

    @classmethod
    async def open(cls, port: int, database: str, user: str, password: str) -> Self:
        session = cls(*await asyncio.open_connection(HOST, port))
        try:
            async with asyncio.timeout(ANSWER_S):
                await session._log_in(database, user, password)
        except BaseException:
            await session.close()
            raise
        return session

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        self._writer.close()
        try:
            await self._writer.wait_closed()
        except OSError:
            return

    async def _log_in(self, database: str, user: str, password: str) -> None:
        self._writer.write(messages.startup_message([(b"user", user.encode()), (b"database", database.encode())]))
        login = ServerAuthentication(user, password)
        while True:
            kind, body = await self._read()
            if kind == b"E":
                fields = messages.parse_fields(body)
                raise ServerRefused(fields["C"], fields["M"])
            if kind == b"Z":
                return
            if kind == b"R":
                reply = login.feed(int.from_bytes(body[:4]), body[4:])
                if isinstance(reply, Derive):
                    reply = login.derived(scram.derive(reply.password, reply.salt, reply.iterations))
                if isinstance(reply, Send):
                    self._writer.write(reply.payload)

    async def ask(self, sql: str) -> Answer:
        """One statement, and all that it is answered."""
        rows: list[Row] = []
        error: Mapping[str, str] | None = None
        self._writer.write(messages.query(sql.encode()))
        try:
            async with asyncio.timeout(ANSWER_S):
                while True:
                    kind, body = await self._read()
                    if kind == b"D":
                        rows.append(_values(body))
                    elif kind == b"E":
                        error = error or messages.parse_fields(body)
                    elif kind == b"Z":
                        self.in_block = body != b"I"
                        break
        except TimeoutError:
            return Answer(tuple(rows), NO_ANSWER)
        except (OSError, EOFError):
            return Answer(tuple(rows), CONNECTION_LOST)
        return Answer(tuple(rows), error["C"], error["M"]) if error is not None else Answer(tuple(rows))

    async def _read(self) -> tuple[bytes, bytes]:
        header = await self._reader.readexactly(5)
        return header[:1], await self._reader.readexactly(int.from_bytes(header[1:]) - 4)


def _values(body: bytes) -> Row:
    """The columns of a DataRow."""
    (count,) = struct.unpack_from("!H", body)
    values: Row = []
    at = 2
    for _ in range(count):
        (size,) = struct.unpack_from("!i", body, at)
        at += 4
        values.append(None if size < 0 else body[at : at + size])
        at += max(size, 0)
    return values
