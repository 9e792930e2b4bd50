"""``python -m tests.differential.spread --seed N --count N --shards 1,2,3,4``: run, print, and with --write keep it.

``--only 'SELECT ...' --world 1-0`` asks one statement of one world again, and shrinks it if it is wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import sys
import time
from pathlib import Path

from tests.differential.spread.running import report, run, single
from tests.integration.postgres import FLAVOURS, Farm
from trunkline.demo.cluster import Workspace

RESULTS = Path(__file__).parents[1] / "RESULTS.md"


async def _main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--count", type=int, default=5000)
    arguments.add_argument("--seconds", type=float, default=math.inf, help="no world goes on any longer")
    arguments.add_argument("--shards", default="1,2,3,4")
    arguments.add_argument("--worlds", type=int, default=4, help="schemas for each number of shards")
    arguments.add_argument("--at-once", type=int, default=4, help="clients")
    arguments.add_argument("--findings", type=int, default=5, help="with so many a world ends")
    arguments.add_argument("--shrink", action="store_true")
    arguments.add_argument("--write", action="store_true", help="write tests/differential/RESULTS.md")
    arguments.add_argument("--only", help="one statement")
    arguments.add_argument("--world", default="1-0", help="of this world")
    said = arguments.parse_args()
    counts = [int(count) for count in said.shards.split(",")]
    flavours = [name for name, find in FLAVOURS.items() if next(find(), None) is not None]
    with Workspace() as workspace:
        farm = Farm(workspace)
        try:
            servers = [await farm.get(name) for name in flavours]
            if said.only:
                return await single(servers, said.only, said.world, counts)
            begun = time.monotonic()
            tally = await run(
                servers, said.seed, said.count, counts,
                worlds=said.worlds, at_once=said.at_once, known=said.findings, shrunk=said.shrink, told=True,
                until=begun + said.seconds,
            )  # fmt: skip
            command = " ".join(["python -m tests.differential.spread", *sys.argv[1:]])
            text = report(tally, command, time.monotonic() - begun)
            print(text)
            if said.write:
                RESULTS.write_text(text)
            return 1 if tally.findings else 0
        finally:
            await farm.stop()


if __name__ == "__main__":
    sys.exit(asyncio.run(_main()))
