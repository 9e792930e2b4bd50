"""The part of the lab that kills proxies and shards at every point of a commit over two shards.

    python -m tests.faults.lab.transfers --rounds 20 --write

Clients transfer money between accounts on two shards, each a server of its own (`tests.faults.transfers`). At every
point of the commit the proxy is killed so many times, and each shard, coordinator or not, while a commit is there;
whoever was killed is started again, and everybody goes on. Behind each, every cent and every row is looked for. Then 16
writers transfer while readers add up all accounts, and in the end a shard falls silent so many times, at any point.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import secrets
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.commit_points import BEFORE, BEHIND
from tests.faults.lab.options import RESULTS
from tests.faults.lab.report import write_transfers
from tests.faults.transfers import TOTAL, Bank, bank
from tests.integration.postgres import Farm
from trunkline.demo.cluster import Workspace

WRITERS, READING_WRITERS, READERS = 6, 16, 4
LATEST_HIT = 12  # of a point, at which the kill comes
Say = Callable[[str], None]


@dataclass
class Course:
    """What has come of it."""

    seed: int
    rounds: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    told: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    sums: Counter[int] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)
    seconds: float = 0.0
    read_s: float = 0.0

    def facts(self) -> dict[str, str]:
        odd = sum(count for seen, count in self.sums.items() if seen != TOTAL)
        kills = ", ".join(f"{count} x {who}" for who, count in sorted(self.kills.items()))
        return {
            "rounds at each point": f"{self.rounds}, in {self.seconds:.0f} s",
            "killed, or silent": kills,
            "transfers that were told to be committed": f"{self.told['done']:,}",
            "transfers that were told to have failed": f"{self.told['failed']:,}",
            "transfers whose outcome was not told": f"{self.told['unknown']:,}",
            "**findings: a cent, a row, something prepared for 30 s**": str(len(self.findings)),
            f"sums read under {READING_WRITERS} writers, in {self.read_s:.0f} s": f"{self.sums.total():,}",
            "**sums that were off**": str(odd),
            "errors of clients": ", ".join(f"{count} x {code}" for code, count in sorted(self.errors.items())),
        }

    def text(self) -> str:
        return "\n".join([*(f"{name}: {value}" for name, value in self.facts().items()), *self.findings])


async def run(rounds: int, read_s: float, seed: int, limit_s: float, say: Say = print) -> Course:
    """All points, so many times or so long, and then the readers."""
    course, begun_at = Course(seed, read_s=read_s), time.monotonic()
    choices = random.Random(seed)
    with Workspace() as workspace, tempfile.TemporaryDirectory() as directory:
        farm = Farm(workspace)
        async with bank(farm, Path(directory), seed) as made:
            while course.rounds < rounds and time.monotonic() - begun_at < limit_s:
                for point in (*BEFORE, *BEHIND):
                    for who in ("proxy", "shard 0", "shard 1"):
                        await _kill(made, who, point, choices)
                        course.kills[who] += 1
                course.rounds += 1
                say(f"round {course.rounds}: {made.done} transfers, {len(made.findings)} findings")
            course.seconds = time.monotonic() - begun_at
            made.open(READING_WRITERS, READERS)
            await asyncio.sleep(read_s)
            await made.close()
            await made.check("reading")
            course.told.update(made.told.values())
            course.errors, course.sums, course.findings = made.errors, made.sums, made.findings
            _look_for_errors(made, course)
        silent_at = time.monotonic()
        async with bank(farm, Path(directory), seed, may_be_silent=True) as made:
            for number in range(course.rounds):
                if time.monotonic() - silent_at > limit_s:
                    break
                await _silence(made, choices)
                course.kills["silent shard"] += 1
                say(f"silence {number + 1}: {made.done} transfers, {len(made.findings)} findings")
            course.told.update(made.told.values())
            course.errors += made.errors
            course.findings += made.findings
            _look_for_errors(made, course)
    return course


def _look_for_errors(made: Bank, course: Course) -> None:
    if "Traceback" in made.proxy.log:
        at = made.proxy.log.index("Traceback")
        course.findings.append(f"internal error: {made.proxy.log[max(0, at - 300) : at + 2000]}")


async def _kill(made: Bank, who: str, point: str, choices: random.Random) -> None:
    hit = choices.randint(1, LATEST_HIT)
    made.open(WRITERS)
    await made.goes_on(2)
    if who == "proxy":
        await made.kill_proxy(point, hit)
    else:
        await made.kill_shard(point, hit, int(who[-1]))
    await made.goes_on(2)
    await made.close()
    await made.check(f"{who} at {point}")


async def _silence(made: Bank, choices: random.Random) -> None:
    point, shard = choices.choice((*BEFORE, *BEHIND)), choices.randint(0, 1)
    made.open(WRITERS)
    await made.goes_on(2)
    await made.silence_shard(point, choices.randint(1, LATEST_HIT), shard)
    await made.goes_on(2)
    await made.close()
    await made.check(f"shard {shard} silent at {point}")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="tests.faults.lab.transfers", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20, help="kills of each at each point")
    parser.add_argument("--seconds", type=float, default=60.0, help="of reading under writers")
    parser.add_argument("--limit", type=float, default=3600.0, help="seconds after which no round begins")
    parser.add_argument("--seed", type=int, default=None, help="of all choices; by default a new one")
    parser.add_argument("--write", action="store_true", help=f"put the result into {Path(RESULTS).name}")
    given = parser.parse_args(arguments)
    seed = secrets.randbits(31) if given.seed is None else given.seed
    course = asyncio.run(run(given.rounds, given.seconds, seed, given.limit))
    print(course.text())
    if given.write:
        said = f"--rounds {course.rounds} --seconds {given.seconds:g} --seed {seed}"
        command = f"python -m tests.faults.lab.transfers {said}"
        write_transfers(RESULTS, course.facts() | {"command": command})
    if course.findings:
        return 1
    return 2 if course.rounds < given.rounds else 0


if __name__ == "__main__":
    sys.exit(main())
