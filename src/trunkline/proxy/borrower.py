"""Borrower: a lessee without a socket, for when the proxy itself needs a server for a moment."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from trunkline.errors import ServerLost, ServerRefused, TrunklineError
from trunkline.failpoints import failpoint
from trunkline.net.engine import Engine
from trunkline.net.inbox import ConnectionEnded, Inbox
from trunkline.pool.pool import Pool
from trunkline.pool.server import Lessee, ServerLink
from trunkline.protocol.params import Params


class Borrower(Lessee):
    """Waits in line like a client; takes a server whatever its parameters are."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.params = None
        self.outcome: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def granted(self) -> None:
        if not self.outcome.done():
            self.outcome.set_result(None)

    def refused(self, error: TrunklineError) -> None:
        if not self.outcome.done():
            self.outcome.set_exception(error)

    def give_up(self) -> None:
        """Nobody wants the server any more."""
        if not self.outcome.done():
            self.outcome.set_exception(ConnectionEnded())

    def server_lost(self, server: ServerLink | None, error: TrunklineError | None, goes_on: bool) -> None:
        self.refused(error or ServerRefused("08006", "server closed the connection unexpectedly"))


@asynccontextmanager
async def borrow(pool: Pool, engine: Engine, asker: Inbox | None = None) -> AsyncIterator[ServerLink]:
    """A leased server. It goes back only if its session proves that nothing is owed.

    ConnectionEnded if the asker, for whom it is, leaves while it waits.
    """
    borrower = Borrower(engine)
    if asker is not None:
        asker.on_end = borrower.give_up
    server: ServerLink | None = None
    try:
        server = pool.request(borrower)
        if server is None:
            await borrower.outcome
            server = borrower.server
        if server is None:  # lost between the grant and our turn
            raise ServerLost("server closed the connection unexpectedly")
        yield server
    finally:
        if asker is not None:
            asker.on_end = None
        if borrower.place is not None:
            pool.stop_waiting(borrower)
        _give_back(pool, borrower)


def _give_back(pool: Pool, borrower: Borrower) -> None:
    server = borrower.server
    borrower.close()
    if server is None:
        return
    if server.session.free and server.setup is None:
        pool.release(server)
    else:
        server.drop("a task of our own was ended")


async def judge(pool: Pool, server: ServerLink, settings: tuple[tuple[bytes, bytes], ...]) -> Params:
    """What a session with these startup settings has, by a server's word; ServerRefused (FATAL) if it refuses them."""
    before = server.params
    base = pool.base() or before
    error = None
    if any(name.lower() == b"datestyle" for name, _ in settings):
        error = await _adjust(server, base)  # half a DateStyle would leave the other half as somebody else had it
    error = error or await _adjust(server, base.requested(settings))
    failpoint("profile_judged")
    if error is not None:
        server.params = Params.of(server.params.reported, before.extra)
        raise ServerRefused(error["C"], error["M"], detail=error.get("D"), hint=error.get("H"))
    return server.params


async def _adjust(server: ServerLink, params: Params) -> dict[str, str] | None:
    """The error that the server answered with, if it did."""
    outcome: asyncio.Future[dict[str, str] | None] = asyncio.get_running_loop().create_future()
    return await outcome if server.adjust(params, partial(_settle, outcome)) else None


def _settle(outcome: asyncio.Future[dict[str, str] | None], error: dict[str, str] | None) -> None:
    if not outcome.done():  # whoever asked may have been cancelled
        outcome.set_result(error)
