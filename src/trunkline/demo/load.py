"""Clients that work through a failover, and a record of everything that they were told.

Writers put a nonce a transaction into a table, sometimes in one statement and sometimes in a block, and look for it at
once; readers only read. A client that is told an error goes on with its next transaction, as an application would.
"""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass, field
from enum import StrEnum

from trunkline.demo.session import CONNECTION_LOST, NO_ANSWER, Session
from trunkline.net.tasks import Tasks

TABLE = "trunkline_nonces"
CREATE_TABLE = f"CREATE TABLE {TABLE} (nonce text PRIMARY KEY)"
THINK_S = 0.004  # between two transactions of a client: what is measured is not how fast this machine is
ACCOUNTS = 100_000  # that pgbench makes at scale 1


class Kind(StrEnum):
    """What a client was about."""

    WRITE = "write"
    LOOK = "look"  # of a writer, for what it has just written
    READ = "read"


@dataclass(slots=True)
class Attempt:
    """One transaction, or one read; ``codes`` are the SQLSTATEs that it was told, in their order."""

    kind: Kind
    nonce: str
    began: float
    ended: float = 0.0
    codes: list[str] = field(default_factory=list)
    stale: bool = False

    @property
    def succeeded(self) -> bool:
        return not self.codes


class Load:
    """So many writers and readers of one database, from ``start`` to ``stop``."""

    def __init__(self, port: int, database: str, user: str, password: str, *, writers: int = 16, readers: int = 4):
        self.attempts: list[Attempt] = []  # that have come to their end
        self._where = (port, database, user, password)
        self._counts = {Kind.WRITE: writers, Kind.READ: readers}
        self._tasks = Tasks()
        self._stopping = False
        self._done: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Returns when every client is logged in."""
        for kind, count in self._counts.items():
            for number in range(count):
                session = await Session.open(*self._where)
                self._done.append(self._tasks.spawn(self._work(kind, number, session), f"{kind} {number}"))

    async def stop(self) -> None:
        """Let each client end what it is about."""
        self._stopping = True
        await asyncio.gather(*self._done, return_exceptions=True)

    async def abort(self) -> None:
        await self._tasks.cancel()

    def take(self) -> list[Attempt]:
        """What has come to its end since the last time."""
        taken, self.attempts = self.attempts, []
        return taken

    def acknowledged_since(self, moment: float) -> int:
        """How many writes were acknowledged after this moment of ``time.monotonic``."""
        return sum(1 for one in self.attempts if one.kind is Kind.WRITE and one.succeeded and one.ended > moment)

    async def _work(self, kind: Kind, number: int, session: Session) -> None:
        choice = random.Random(f"{kind} {number}")
        act = {Kind.WRITE: _write, Kind.READ: _read}[kind]
        count = 0
        try:
            while not self._stopping:
                count += 1
                attempt = Attempt(kind, f"{kind}-{number}-{count}", time.monotonic())
                done = await act(session, attempt, choice)
                self.attempts += done
                if any(code in (CONNECTION_LOST, NO_ANSWER) for one in done for code in one.codes):
                    await session.close()
                    session = await Session.open(*self._where)
                await asyncio.sleep(THINK_S * 2 * choice.random())
        finally:
            await session.close()


async def _write(session: Session, attempt: Attempt, choice: random.Random) -> list[Attempt]:
    insert = f"INSERT INTO {TABLE} VALUES ('{attempt.nonce}')"
    for sql in (insert,) if choice.random() < 0.5 else ("BEGIN", insert, "COMMIT"):
        answer = await session.ask(sql)
        if answer.code:
            attempt.codes.append(answer.code)
            break
    attempt.ended = time.monotonic()
    if session.in_block:
        answer = await session.ask("ROLLBACK")
        if answer.code:
            attempt.codes.append(answer.code)
    if attempt.codes:
        return [attempt]
    look = Attempt(Kind.LOOK, attempt.nonce, time.monotonic())
    answer = await session.ask(f"SELECT count(*) FROM {TABLE} WHERE nonce = '{attempt.nonce}'")
    look.ended = time.monotonic()
    if answer.code:
        look.codes.append(answer.code)
    look.stale = not answer.code and answer.rows != ([b"1"],)
    return [attempt, look]


async def _read(session: Session, attempt: Attempt, choice: random.Random) -> list[Attempt]:
    answer = await session.ask(f"SELECT abalance FROM pgbench_accounts WHERE aid = {choice.randint(1, ACCOUNTS)}")
    attempt.ended = time.monotonic()
    if answer.code or len(answer.rows) != 1:
        attempt.codes.append(answer.code or "no row")
    return [attempt]
