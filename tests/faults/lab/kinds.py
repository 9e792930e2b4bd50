"""The kinds of faults that the lab makes, as a table: what is done, how often, and to whom.

A fault of a fault proxy is a kind for each place, side and action; those that change what is said are only for
``rough``, where nobody believes anything. Of these, a server is given no others than a network could produce that is
noticed: a message of the wrong type, or bytes between two messages.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import psycopg

from tests.faults.fault_proxy import ACTIONS, SIDES, WHOLE, Action, Flip, Inject, Rule, Side
from tests.faults.lab.stage import Stage

Act = Callable[[Stage, random.Random], Awaitable[bool]]
"""Does it; false when there was nothing to do it to."""

LIES = ("dup", "drop", "inject", "flip")
KILLS = ("kill", "terminate")
WEIGHTS = {"blackhole": 0.15, "kill": 0.02, "rate": 0.4, "delay": 0.5, "down": 0.3, "cancel": 2.0, "terminate": 2.0}
"""How often an action comes, against 1 for the others: some hold a connection up for long, a kill all of them."""
TYPES = {"fe": ("Q", "P", "B", "E", "S", "dc", "H", "X", ""), "be": ("T", "D", "C", "Z", "E", "12", "sN", "GH", "")}
PAUSE_S = 0.2


@dataclass(frozen=True)
class Kind:
    """One kind; ``act`` counts by itself if it is done by a fault proxy."""

    name: str
    weight: float
    act: Act
    counts: bool = True


# --- by the fault proxies -------------------------------------------------------------------------------------------


def _place_in_frame(chance: random.Random) -> int:
    return chance.choice((0, 0, WHOLE, chance.randrange(1, 30)))


def _struck(where: str, side: Side, name: str) -> Act:
    async def act(stage: Stage, chance: random.Random) -> bool:
        rule = Rule(side, chance.choice(TYPES[side]), after=chance.randrange(3), bytes=_place_in_frame(chance))
        stage.fault_proxies[where].add(rule, ACTIONS[name](chance))
        return True

    return act


def _falsified(side: Side, make: Callable[[random.Random], Action]) -> Act:
    async def act(stage: Stage, chance: random.Random) -> bool:
        rule = Rule(side, chance.choice(TYPES[side]), after=chance.randrange(3), bytes=0)
        stage.fault_proxies["rough"].add(rule, make(chance))
        return True

    return act


def _by_fault_proxies() -> list[Kind]:
    kinds = []
    for where in ("clients", "faulty"):
        for side in SIDES:
            for name in ACTIONS:
                if name not in LIES and (where == "faulty" or name not in KILLS):
                    act = _struck(where, side, name)
                    kinds.append(Kind(f"{where} {side} {name}", WEIGHTS.get(name, 1.0), act, counts=False))
    for side in SIDES:
        kinds += [Kind(f"rough clients {side} {n}", 0.3, _struck("rough clients", side, n), counts=False) for n in LIES]
        flip = _falsified(side, lambda chance: Flip(chance.randrange(1, 256)))
        inject = _falsified(side, lambda chance: Inject(b"%c\0\0\0\4" % chance.choice((0, 1, 63, 127, 255))))
        kinds += [Kind(f"rough {side} flip", 0.3, flip, counts=False)]
        kinds += [Kind(f"rough {side} inject", 0.3, inject, counts=False)]
    return kinds


# --- to the server's processes --------------------------------------------------------------------------------------

BACKENDS = (
    "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND {}"
    " ORDER BY pid"
)


async def _backends(stage: Stage, condition: str) -> list[int]:
    """Process ids of the proxy's servers; none while PostgreSQL cannot be asked."""
    try:
        return [int(row[0]) for row in await stage.postgres.fetch(BACKENDS.format(condition))]
    except psycopg.OperationalError:
        return []


def _signalled(number: signal.Signals, condition: str = "true") -> Act:
    async def act(stage: Stage, chance: random.Random) -> bool:
        pids = await _backends(stage, condition)
        if not pids:
            return False
        try:
            os.kill(chance.choice(pids), number)
        except ProcessLookupError:
            return False
        return True

    return act


async def _terminate_all(stage: Stage, chance: random.Random) -> bool:
    pids = await _backends(stage, "true")
    for pid in pids:
        try:
            os.kill(pid, signal.SIGTERM)
        except ProcessLookupError:
            continue
    return bool(pids)


def _restarted(mode: str) -> Act:
    async def act(stage: Stage, chance: random.Random) -> bool:
        await stage.postgres.stop("fast" if mode == "fast" else "immediate")
        await asyncio.sleep(chance.uniform(0, 0.5))
        await stage.postgres.start()
        return True

    return act


# --- by the console -------------------------------------------------------------------------------------------------


def _commanded(*commands: str) -> Act:
    async def act(stage: Stage, chance: random.Random) -> bool:
        database = chance.choice(("plain", "faulty"))
        for number, command in enumerate(commands):
            if number:
                await asyncio.sleep(chance.uniform(0, PAUSE_S))
            await stage.target.admin(command.format(db=database))
        return True

    return act


async def _paused(stage: Stage, chance: random.Random) -> bool:
    """PAUSE answers when all is quiet, which may take longer than we want to wait."""
    database = chance.choice(("plain", "faulty"))
    pausing = asyncio.create_task(stage.target.admin(f"PAUSE {database}"))
    await asyncio.wait([pausing], timeout=chance.uniform(0, 2 * PAUSE_S))
    with contextlib.suppress(psycopg.Error):  # it was not paused yet
        await stage.target.admin(f"RESUME {database}")
    await asyncio.wait([pausing], timeout=5)
    pausing.cancel()
    return isinstance((await asyncio.gather(pausing, return_exceptions=True))[0], list | psycopg.Error)


CONSOLE = {
    "RELOAD": _commanded("RELOAD"),
    "RECONNECT": _commanded("RECONNECT {db}"),
    "PAUSE": _paused,
    "KILL": _commanded("KILL {db}", "RESUME {db}"),
    "DISABLE": _commanded("DISABLE {db}", "ENABLE {db}"),
}

OTHERS = [
    Kind("server: pg_terminate_backend", 12.0, _signalled(signal.SIGTERM)),
    Kind("server: pg_terminate_backend in a transaction", 5.0, _signalled(signal.SIGTERM, "state ~ '^idle in'")),
    Kind("server: pg_terminate_backend of an idle one", 3.0, _signalled(signal.SIGTERM, "state = 'idle'")),
    Kind("server: terminate all", 0.3, _terminate_all),
    Kind("server: kill -9", 0.25, _signalled(signal.SIGKILL)),
    Kind("server: restart fast", 0.08, _restarted("fast")),
    Kind("server: restart immediate", 0.08, _restarted("immediate")),
    *(Kind(f"console: {name}", 0.8, act) for name, act in CONSOLE.items()),
]

KINDS = _by_fault_proxies() + OTHERS
