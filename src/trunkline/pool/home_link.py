"""A connection to the home shard that listens, and is asked meanwhile: for directories, and where tables lie."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from trunkline.errors import ServerLost, ServerRefused, TrunklineError
from trunkline.net.inbox import Inbox
from trunkline.pool.server import ServerLink
from trunkline.protocol.messages import parse_fields, query

ANSWER_S = 10.0
_MAX_MESSAGE_BYTES = 1 << 20


class HomeLink:
    """`read` has to run as long as it lives; `on_notification` hears the payload of each notification."""

    def __init__(self, server: ServerLink, on_notification: Callable[[str], None]) -> None:
        self.server = server
        self._inbox = Inbox(server)
        self._on_notification = on_notification
        self._asked: deque[asyncio.Future[list[bytes]]] = deque()
        self._rows: list[bytes] = []
        self._error: TrunklineError | None = None

    def __repr__(self) -> str:
        return f"<HomeLink {self.server.address} pid={self.server.pid}>"

    async def ask(self, sql: str, patience_s: float = ANSWER_S) -> list[bytes]:
        """The rows of a simple query, as bodies of DataRow messages; ServerRefused, or ServerLost.

        A server that does not answer this in time is given up, but not one that is still busy with what came before.
        """
        if not self.server.opened:
            raise ServerLost("the connection to the home shard was lost")
        asked: asyncio.Future[list[bytes]] = asyncio.get_running_loop().create_future()
        self._asked.append(asked)
        self.server.write(query(sql.encode()))
        try:
            async with asyncio.timeout(patience_s):
                return await asked
        except TimeoutError:
            if self._asked and self._asked[0] is asked:
                self.close("the home shard does not answer")
            raise ServerLost("the home shard does not answer") from None

    async def read(self) -> None:
        """Take what the server says; ConnectionEnded when it is lost."""
        while True:
            kind, body = await self._inbox.message(_MAX_MESSAGE_BYTES)
            if kind == ord("D"):
                self._rows.append(body)
            elif kind == ord("E"):
                fields = parse_fields(body)
                self._error = ServerRefused(fields["C"], fields["M"])
            elif kind == ord("A"):
                self._on_notification(body[4:].split(b"\0")[1].decode(errors="replace"))
            elif kind == ord("Z") and self._asked:
                self._settle(self._asked.popleft())

    def _settle(self, asked: asyncio.Future[list[bytes]]) -> None:
        rows, error, self._rows, self._error = self._rows, self._error, [], None
        if asked.done():
            return
        if error is None:
            asked.set_result(rows)
        else:
            asked.set_exception(error)

    def close(self, reason: str) -> None:
        self.server.close()
        for asked in self._asked:
            if not asked.done():
                asked.set_exception(ServerLost(reason))
