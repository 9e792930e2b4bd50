"""``make fuzz``: every target for a given time, then random conversations with a real PostgreSQL; exit 1 on a finding.

    python -m tests.fuzz --seconds 60 --conversations 20000 --seed 1 --write

New inputs are kept in ``build/fuzz/corpus`` and read again next time; what breaks something is in
``build/fuzz/findings``, to become a seed once it is mended.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from tests.fuzz import campaign, instrumented, results
from tests.fuzz.campaign import Outcome
from tests.fuzz.conversations import Count, hold_random_conversations
from tests.fuzz.targets import TARGETS, Target
from tests.integration.postgres import Farm, flavours_to_run
from trunkline.demo.cluster import Workspace

CORPUS = instrumented.BUILD / "corpus"
FINDINGS = instrumented.BUILD / "findings"


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make fuzz", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--targets", nargs="*", choices=TARGETS, default=list(TARGETS), metavar="NAME")
    parser.add_argument("--conversations", type=int, default=20_000, help="with a real PostgreSQL; 0 for none")
    parser.add_argument("--seed", type=int, default=random.randrange(1, 1 << 31))
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="targets at a time")
    parser.add_argument("--write", action="store_true", help=f"write {results.PATH.name}")
    return parser.parse_args()


def main() -> int:
    chosen = options()
    print(f"seed {chosen.seed}")
    outcomes = fuzz([TARGETS[name] for name in chosen.targets], chosen.seconds, chosen.seed, chosen.jobs)
    count, seconds = Count(), 0.0
    if chosen.conversations:
        began = time.monotonic()
        count = asyncio.run(converse(chosen.conversations, chosen.seed))
        seconds = time.monotonic() - began
        print(results.of_conversations(count, seconds))
    if chosen.write:
        results.write(outcomes, count, seconds, chosen.seed)
    return 1 if any(outcome.failed for outcome in outcomes) else 0


def fuzz(targets: list[Target], seconds: int, seed: int, jobs: int) -> list[Outcome]:
    def run(target: Target) -> Outcome:
        outcome = campaign.run(
            target,
            seconds=seconds,
            seed=seed,
            corpus=CORPUS / target.name,
            findings=FINDINGS,
            environment=environment_of_compiled() if target.compiled else {},
        )
        print(results.of_target(outcome) + (f"\n{outcome.output[-4000:]}" if outcome.failed else ""), flush=True)
        return outcome

    print(results.HEADING, flush=True)
    with ThreadPoolExecutor(jobs) as pool:
        outcomes = list(pool.map(run, targets))
    print(results.of_all(outcomes), flush=True)
    return outcomes


def environment_of_compiled() -> Mapping[str, str]:
    """The build, if one is needed, takes place while targets of pure Python run already."""
    if instrumented.compiler() is None:
        print("no clang: compiled modules are fuzzed without their coverage and without a sanitizer")
        return {}
    return instrumented.environment()


async def converse(conversations: int, seed: int) -> Count:
    with Workspace() as workspace:
        farm = Farm(workspace)
        try:
            postgres = await farm.get(flavours_to_run(every_postgres=False)[0])
            return await hold_random_conversations(postgres, conversations, seed)
        finally:
            await farm.stop()


if __name__ == "__main__":
    raise SystemExit(main())
