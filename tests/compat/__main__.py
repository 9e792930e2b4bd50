"""``python -m tests.compat``: installs the clients, runs their scripts everywhere, prints what came of it."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.compat.clients import CLIENTS, Client
from tests.compat.ecosystems import NotInstalled, install
from tests.compat.report import Outcome, document, table
from tests.compat.sections import differences, failed_by_itself, passed
from tests.compat.targets import THROUGH, run_everywhere
from tests.integration.postgres import Farm, Postgres, flavours_to_run
from trunkline.demo.cluster import Workspace

RESULTS = Path(__file__).parent / "RESULTS.md"
TARGETS = [target.name for target in THROUGH]


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.compat", description=__doc__)
    parser.add_argument("--only", action="append", default=[], metavar="WORD", help="clients with this in their name")
    parser.add_argument("--write", action="store_true", help="write tests/compat/RESULTS.md")
    return parser.parse_args(arguments)


def _chosen(words: Sequence[str]) -> list[Client]:
    return [client for client in CLIENTS if not words or any(word.lower() in client.name.lower() for word in words)]


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


async def _try_out(postgres: Postgres, client: Client) -> Outcome:
    _say(f"{client.name} ...")
    try:
        command = install(client)
    except NotInstalled as refusal:
        _say(f"{client.name}: {refusal}\n{refusal.detail}")
        return Outcome(client.name, missing=str(refusal))
    direct, others = await run_everywhere(postgres, client, command)
    outcome = Outcome(client.name, direct.printed.version, len(direct.printed.steps))
    if failed_by_itself(direct.printed.steps["ends"]):
        _say(f"{client.name} does not come to its end:\n{direct.complaints}")
    for name, run in others.items():
        good = passed(direct.printed, run.printed)
        outcome.passed[name] = len(good)
        if len(good) < outcome.steps:
            _say("\n".join([f"--- {client.name}, {name}", *differences(direct.printed, run.printed), run.complaints]))
    return outcome


async def _run(clients: Sequence[Client]) -> tuple[str, list[Outcome]]:
    with Workspace() as workspace:
        farm = Farm(workspace)
        try:
            postgres = await farm.get(flavours_to_run(every_postgres=False)[0])
            outcomes = [await _try_out(postgres, client) for client in clients]
            return f"PostgreSQL {postgres.launcher.binaries.version}", outcomes
        finally:
            await farm.stop()


def main(arguments: Sequence[str]) -> int:
    options = _options(arguments)
    server, outcomes = asyncio.run(_run(_chosen(options.only)))
    print(table(outcomes, TARGETS))
    if options.write:
        RESULTS.write_text(document(outcomes, TARGETS, server))
        _say(f"wrote {RESULTS.name}")
    return 0 if outcomes and all(outcome.is_good for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
