"""A connection to the console of a running Trunkline, as any driver would open it."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

import asyncpg

from trunkline.errors import ServerUnavailable

CONSOLE = "pgbouncer"
ANSWER_S = 10.0


class ConsoleLink:
    """Asks for rows; ServerUnavailable if the console cannot be reached, refuses, or is gone."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    @classmethod
    async def open(cls, url: str) -> Self:
        """Of what a URL leaves out, libpq's environment and defaults hold; the database is the console's."""
        try:
            opening = asyncpg.connect(url, database=CONSOLE, timeout=ANSWER_S, statement_cache_size=0)
            return cls(await opening)
        except (OSError, TimeoutError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise ServerUnavailable(f"the console cannot be reached: {error or type(error).__name__}") from None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.terminate()

    async def rows(self, command: str) -> list[dict[str, Any]]:
        """What one command shows, by the names of its columns."""
        try:
            return [dict(row) for row in await self._connection.fetch(command, timeout=ANSWER_S)]
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise ServerUnavailable(f"{command}: {error or type(error).__name__}") from None
