"""The same conversation with PostgreSQL itself and with a proxy before it: what comes back must be the same.

A scenario is a coroutine that is given a logged-in ``Wire`` and returns the frames it saw. What may differ between two
sessions (when a ParameterStatus comes, process ids) is left out of the comparison.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

from tests.integration.postgres import PASSWORD, Postgres
from tests.integration.proxy import USER, Proxy
from tests.integration.wire import Frame, Wire, error_fields

Scenario = Callable[[Wire], Awaitable[Sequence[Frame]]]


@asynccontextmanager
async def session(server: Postgres | Proxy, *, database: str = "postgres", **parameters: str) -> AsyncIterator[Wire]:
    """A logged-in raw client of a server or of a proxy."""
    async with await Wire.connect(server.port) as wire:
        await wire.login(USER, PASSWORD, database=database, **parameters)
        yield wire


async def same_as_direct(postgres: Postgres, proxy: Proxy, scenario: Scenario) -> list[Frame]:
    """Run the scenario at the server, then through the proxy, which must answer the same; returns the answers."""
    direct, pooled = [await _transcript(server, scenario) for server in (postgres, proxy)]
    seen, wanted = [_readable(frame) for frame in pooled], [_readable(frame) for frame in direct]
    assert seen == wanted, f"through the proxy {seen}, from PostgreSQL {wanted}"
    return direct


async def _transcript(server: Postgres | Proxy, scenario: Scenario) -> list[Frame]:
    async with session(server) as wire:
        return [frame for frame in await scenario(wire) if frame.type != "S"]


def _readable(frame: Frame) -> object:
    return (frame.type, error_fields(frame)) if frame.type in "EN" else frame


def shape(frames: Sequence[Frame]) -> str:
    """The types in one word, such as ``12DCZ``; ParameterStatus left out."""
    return "".join(frame.type for frame in frames if frame.type != "S")


def errors(frames: Sequence[Frame]) -> list[str]:
    """The SQLSTATEs of all errors."""
    return [error_fields(frame)["C"] for frame in frames if frame.type == "E"]


def messages(frames: Sequence[Frame]) -> list[str]:
    """The texts of all errors."""
    return [error_fields(frame)["M"] for frame in frames if frame.type == "E"]


async def read_units(wire: Wire, count: int) -> list[Frame]:
    """All frames up to and with so many ReadyForQuery."""
    frames: list[Frame] = []
    for _ in range(count):
        frames += await wire.read_until("Z")
    return frames


async def transact(wire: Wire, *messages: bytes, units: int = 1) -> list[Frame]:
    """Send these messages at once and read what they lead to."""
    await wire.send(*messages)
    return await read_units(wire, units)
