"""A process of nonce clients for the lab: ``python -m tests.faults.nonce.worker``.

It reads one line of JSON (``Orders``) from stdin and starts; any further line, or the end of stdin, ends it. On stdout
it writes a line of JSON now and then: ``{"tally": ...}``, ``{"finding": ...}`` and at last ``{"ledger": path}``.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.faults.nonce.client import Place
from tests.faults.nonce.judge import Rules
from tests.faults.nonce.swarm import Swarm
from tests.faults.nonce.tally import as_json

REPORT_S = 0.25
CODES = ("excused", "disabled")  # the sets of SQLSTATEs among the rules
MOST_FINDINGS = 200  # a proxy that is wrong is wrong often: the first ones tell


def place_from(data: Mapping[str, Any]) -> Place:
    codes = {name: frozenset(data["rules"][name]) for name in CODES}
    rules = Rules(**{**data["rules"], **codes})
    return Place(**{**data, "rules": rules, "can": frozenset(data["can"])})


def place_as_json(place: Place) -> dict[str, Any]:
    rules = {name: getattr(place.rules, name) for name in ("rough", "canceled_by_others")}
    rules |= {name: sorted(getattr(place.rules, name)) for name in CODES}
    return {**place.__dict__, "rules": rules, "can": sorted(place.can)}


def _say(message: dict[str, Any]) -> None:
    print(json.dumps(message), flush=True)


class Reporter:
    """Says what is new."""

    def __init__(self, swarm: Swarm) -> None:
        self.swarm = swarm
        self.said = 0

    def say(self) -> None:
        for finding in self.swarm.findings[self.said : MOST_FINDINGS]:
            _say({"finding": as_json(finding)})
        self.said = len(self.swarm.findings)
        _say({"tally": self.swarm.tally.as_dict()})

    async def run(self) -> None:
        while True:
            self.say()
            await asyncio.sleep(REPORT_S)


async def work() -> None:
    loop = asyncio.get_running_loop()
    stdin = asyncio.StreamReader(limit=1 << 24)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stdin), sys.stdin)
    orders = json.loads(await stdin.readline())
    swarm = Swarm(
        [place_from(one) for one in orders["places"]],
        orders["seed"],
        mischief_s=orders["mischief_s"],
        salt=orders["salt"],
    )
    async with swarm:
        reporter = Reporter(swarm)
        reporting = asyncio.create_task(reporter.run())
        await stdin.readline()
    reporting.cancel()
    await asyncio.gather(reporting, return_exceptions=True)
    reporter.say()
    Path(orders["ledger"]).write_text(json.dumps(swarm.ledger.entries))
    _say({"ledger": orders["ledger"]})


if __name__ == "__main__":
    asyncio.run(work())
