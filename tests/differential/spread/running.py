"""Many worlds at once behind one Trunkline, and what is reported of them."""

from __future__ import annotations

import asyncio
import math
import sys
import time
from collections import Counter
from collections.abc import Sequence

from tests.differential.spread.saying import Statement
from tests.differential.spread.shrinking import shrink
from tests.differential.spread.world import Tally, World
from tests.integration.postgres import Postgres
from tests.integration.proxy import Proxy

CONFIG = {"pool_mode": "transaction", "default_pool_size": 4, "server_round_robin": True}
BATCH = 16  # worlds that one Trunkline knows: their servers' connections are all kept until it ends


async def run(
    servers: Sequence[Postgres],
    seed: int,
    count: int,
    shards: Sequence[int],
    *,
    worlds: int = 1,
    at_once: int = 4,
    known: int = 5,
    shrunk: bool = False,
    told: bool = False,
    until: float = math.inf,
) -> Tally:
    """``count`` statements over so many worlds of each number of shards, in turn on each of the servers.

    Nothing is asked after ``until``, by the monotonic clock.
    """
    made = [
        World(servers[(number + place) % len(servers)], f"{seed}-{number}", many)
        for number in range(worlds)
        for place, many in enumerate(shards)
    ]
    total = Tally()
    for batch in (made[place : place + BATCH] for place in range(0, len(made), BATCH)):
        if time.monotonic() > until:
            break
        for world in batch:
            await world.create()
        limit = asyncio.Semaphore(at_once)

        async def one(world: World, limit: asyncio.Semaphore = limit) -> None:
            async with limit:
                tally = await _run_one(world, proxy.port, -(-count // len(made)), known, until, shrunk=shrunk)
            total.add(tally)
            if tally.findings or told:
                print(f"{world.name}: {tally}", *tally.findings, sep="\n", file=sys.stderr, flush=True)

        async with Proxy(CONFIG, databases={world.name: world.settings() for world in batch}) as proxy:
            await asyncio.gather(*map(one, batch))
        for world in batch:
            await world.drop()
    return total


async def _run_one(world: World, port: int, count: int, known: int, until: float, *, shrunk: bool) -> Tally:
    await world.connect(port)
    try:
        tally = await world.run(count, known, until)
        if shrunk:
            tally.findings = [await shrink(world, one) for one in tally.findings]
        return tally
    finally:
        await world.close()


async def single(servers: Sequence[Postgres], sql: str, seed: str, shards: Sequence[int]) -> int:
    """One statement of one world; 1 if it is wrong."""
    code = 0
    for server in servers:
        for many in shards:
            world = World(server, seed, many)
            await world.create()
            async with Proxy(CONFIG, databases={world.name: world.settings()}) as proxy:
                await world.connect(proxy.port)
                await world.say([Statement(sql)])
                for finding in world.tally.findings:
                    code = 1
                    print(await shrink(world, finding))
                print(f"{many} shards: {world.tally} {dict(world.tally.refused)}")
                await world.close()
            await world.drop()
    return code


def report(tally: Tally, command: str, seconds: float) -> str:
    """RESULTS.md of this run."""
    schemas = Counter(tally.schemas.values())
    many = ", ".join(f"{count} on {shards} shard{'s' * (shards > 1)}" for shards, count in sorted(schemas.items()))
    lines = [
        "# Random statements on one PostgreSQL and on several shards",
        "",
        f"By `{command}`, in {seconds:.0f} s,",
        f"over random schemas, {many}:",
        "",
        f"    {tally}",
        "",
        "Errors that were equal on both sides, by SQLSTATE: "
        + (", ".join(f"{code} {count}" for code, count in sorted(tally.failed.items())) or "none")
        + ".",
        "",
        "Refused, by reason, with one statement each:",
        "",
    ]
    for reason, count in tally.refused.most_common(25):
        lines += [f"- {count}: {reason}", "", f"      {tally.examples[reason][:400]}", ""]
    if tally.findings:
        lines += ["Wrong:", ""]
        lines += [f"- {finding}\n" for finding in tally.findings]
    return "\n".join(lines).rstrip() + "\n"
