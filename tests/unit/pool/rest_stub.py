"""A REST API that says what a test tells it to, as Patroni's does: HTTP/1.0, and closed after each answer."""

from __future__ import annotations

import asyncio
import json
from types import TracebackType
from typing import Any, Self


def http(body: bytes, status: str = "200 OK") -> bytes:
    return b"HTTP/1.0 %b\r\nServer: BaseHTTP/0.6\r\nContent-Type: application/json\r\n\r\n%b" % (status.encode(), body)


def member(name: str, port: int, role: str = "replica", state: str = "streaming", **more: Any) -> dict[str, Any]:
    """As versions 3 and 4 describe one; `running` is what version 2 says of replicas too."""
    api_url = f"http://127.0.0.1:8008/{name}"
    known = {"name": name, "role": role, "state": state, "api_url": api_url, "host": "127.0.0.1", "port": port}
    return {**known, "timeline": 1, **more}


class RestStub:
    """`said` is what it answers, whole; None is nothing at all."""

    def __init__(self, *members: dict[str, Any]) -> None:
        self.said: bytes | None = None
        self.requests: list[bytes] = []
        self.tell(*members)

    def tell(self, *members: dict[str, Any]) -> None:
        self.said = http(json.dumps({"members": members, "scope": "demo"}).encode())

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._on_request, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _on_request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            self.requests.append(await reader.readuntil(b"\r\n\r\n"))
            if self.said is None:
                await reader.read()  # until whoever asked gives up
            else:
                writer.write(self.said)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # it has gone
        finally:
            writer.close()
