"""Thousands of conversations held both ways; a difference between two transcripts is made as small as it gets."""

from __future__ import annotations

import difflib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.fuzz.both_ways import Script, Side, leaves, readable, undecidable
from tests.fuzz.conversation import Heard
from tests.fuzz.judged import judge
from tests.fuzz.phrases import scripts
from tests.fuzz.vocabulary import spell
from tests.integration.postgres import PASSWORD, Postgres
from tests.integration.proxy import Proxy
from tests.integration.wire import split_frames

DIRECT, POOLED = "direct", "pooled"
SERVERS = 2
TRIES = 3
SETTINGS = {"pool_mode": "transaction", "default_pool_size": SERVERS, "server_round_robin": 1}


@dataclass
class Count:
    """What has been held so far."""

    conversations: int = 0
    messages: int = 0
    frames: int = 0
    errors: int = 0
    closed: int = 0
    judged: int = 0


@dataclass
class BothWays:
    """The two sides of every conversation."""

    direct: Side
    pooled: Side
    proxy: Proxy
    count: Count = field(default_factory=Count)

    def hold(self, script: Script) -> None:
        """One conversation; AssertionError with the transcripts where they differ.

        When a peer closes while there is something that it has not read, the kernel may drop its last words (RST): a
        difference that comes with an end has to show again.
        """
        for _ in range(TRIES):
            answers = [self._hear(side, script) for side in (self.direct, self.pooled)]
            difference = self._compare(script, *answers)
            if difference is None or not any(heard.ended for side in answers for heard in side):
                break
        if difference is not None:
            raise AssertionError(f"{difference}\n{self.proxy.log[-2000:]}")
        self._count(script, answers[0])
        self._judge(script, answers[0])

    @staticmethod
    def _hear(side: Side, script: Script) -> list[Heard]:
        side.begin()
        side.say(script)
        return side.hear()

    @staticmethod
    def _compare(script: Script, direct: list[Heard], pooled: list[Heard]) -> str | None:
        for client, (wanted, heard) in enumerate(zip(direct, pooled, strict=True)):
            said, shown = readable(wanted), readable(heard)
            if said != shown and not is_meant(script, client, said, shown):
                return f"client {client} heard something else:\n{diff(said, shown)}"
        return None

    def _judge(self, script: Script, answers: list[Heard]) -> None:
        """What PostgreSQL said is no surprise to the proxy's own session."""
        for client, heard in enumerate(answers):
            if undecidable(script, client):
                continue
            said = b"".join(spell(saying.name, client) for saying in script if saying.client == client)
            judge(split_frames(said + self.direct.fences[client]), heard)
            self.count.judged += 1

    def _count(self, script: Script, answers: list[Heard]) -> None:
        lines = [line for heard in answers for line in readable(heard)]
        self.count.conversations += 1
        self.count.messages += len(script)
        self.count.frames += len(lines)
        self.count.errors += sum(isinstance(line, tuple) and line[0] == "E" for line in lines)
        self.count.closed += "closed" in lines


def is_meant(script: Script, client: int, said: list[object], shown: list[object]) -> bool:
    """The differences that are allowed: PostgreSQL is at a loss, nobody can tell, or nobody is there to hear."""
    if any(isinstance(line, tuple) and line[0] == "E" and line[1]["C"] == "XX000" for line in said):
        return True  # a query inside a batch leaves an implicit transaction open, which ROLLBACK then stumbles over
    if "G" in kinds(said) and undecidable(script, client):
        return True
    return leaves(script, client) and finished(said) == finished(shown)


def finished(lines: list[object]) -> list[object]:
    """Up to the last ReadyForQuery: what comes behind is said to nobody, if at all."""
    ready = [number for number, line in enumerate(lines) if isinstance(line, tuple) and line[0] == "Z"]
    return lines[: ready[-1] + 1] if ready else []


def kinds(lines: list[object]) -> list[object]:
    return [line[0] for line in lines if isinstance(line, tuple)]


def diff(wanted: list[object], heard: list[object]) -> str:
    shown = ([str(line)[:300] for line in lines] for lines in (wanted, heard))
    return "\n".join(difflib.unified_diff(*shown, "PostgreSQL", "through the proxy", lineterm="", n=3))


@asynccontextmanager
async def both_ways(postgres: Postgres) -> AsyncIterator[BothWays]:
    """A database for each side, and a proxy before the second."""
    for database in (DIRECT, POOLED):
        await postgres.fetch(f"create database {database}")
    url = f"postgres://127.0.0.1:{postgres.port}/{POOLED}"
    try:
        async with Proxy(SETTINGS, databases={POOLED: url}) as proxy:
            direct = Side(postgres.port, PASSWORD, DIRECT, postgres.port)
            pooled = Side(proxy.port, PASSWORD, POOLED, postgres.port)
            try:
                for side in (direct, pooled):
                    side.create_tables()
                yield BothWays(direct, pooled, proxy)
            finally:
                for side in (direct, pooled):
                    side.close()
            assert "Traceback" not in proxy.log, proxy.log[proxy.log.index("Traceback") - 500 :][:4000]
    finally:
        for database in (DIRECT, POOLED):
            await postgres.fetch(f"drop database {database} with (force)")


def explore(sides: BothWays, conversations: int, number: int) -> None:
    """Hold so many random conversations, from the seed ``number``; a difference is made as small as it gets."""

    @seed(number)
    @settings(
        max_examples=conversations,
        deadline=None,
        database=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink),
    )
    @given(scripts())
    def hold(script: Script) -> None:
        sides.hold(script)

    hold()


async def hold_random_conversations(postgres: Postgres, conversations: int, number: int) -> Count:
    async with both_ways(postgres) as sides:
        explore(sides, conversations, number)
        return sides.count
