"""The processes of nonce clients, as the lab sees them: orders in, tallies and findings out."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import trunkline
from tests.faults.nonce.client import Place
from tests.faults.nonce.ledger import Entry
from tests.faults.nonce.tally import Finding, add_up, finding_from
from tests.faults.nonce.worker import place_as_json

ROOT = Path(__file__).parents[3]
LINE_LIMIT = 1 << 24
LEAVE_S = 90.0


class Worker:
    """One process."""

    def __init__(self, orders: Mapping[str, Any]) -> None:
        self.orders = orders
        self.tally: dict[str, Any] = add_up([])
        self.findings: list[Finding] = []
        self.entries: dict[str, list[str]] | None = None
        self._process: asyncio.subprocess.Process
        self._reading: asyncio.Task[None]

    async def start(self) -> None:
        tree = str(Path(trunkline.__file__).parent.parent)
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.faults.nonce.worker"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            cwd=ROOT,
            env=dict(os.environ) | {"PYTHONPATH": f"{ROOT}{os.pathsep}{tree}"},
            limit=LINE_LIMIT,
        )
        self._say(self.orders)
        self._reading = asyncio.create_task(self._read())

    def _say(self, message: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message).encode() + b"\n")

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            said = json.loads(line)
            if "tally" in said:
                self.tally = said["tally"]
            elif "finding" in said:
                self.findings.append(finding_from(said["finding"]))
            elif "ledger" in said:
                self.entries = json.loads(Path(said["ledger"]).read_text())

    async def stop(self) -> bool:
        """Let it end what it does; false when it did not end in time, or not in order."""
        self._say("stop")
        try:
            async with asyncio.timeout(LEAVE_S):
                await self._reading
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
            await self._reading
        return self._process.returncode == 0 and self.entries is not None


class Crew:
    """All of them; the places are dealt out evenly."""

    def __init__(self, places: Sequence[Place], count: int, directory: Path, *, seed: int, mischief_s: float) -> None:
        salt = f"{seed & 0xFFFFFF:06x}"
        self.workers = [
            Worker(
                {
                    "places": [place_as_json(place) for place in places[number::count]],
                    "seed": seed,
                    "salt": salt,
                    "mischief_s": mischief_s,
                    "ledger": str(directory / f"ledger-{number}.json"),
                }
            )
            for number in range(count)
        ]
        self.in_order = True

    async def start(self) -> None:
        for worker in self.workers:
            await worker.start()

    async def stop(self) -> None:
        self.in_order = all(await asyncio.gather(*(worker.stop() for worker in self.workers)))

    @property
    def tally(self) -> dict[str, Any]:
        return add_up(worker.tally for worker in self.workers)

    @property
    def findings(self) -> list[Finding]:
        return [finding for worker in self.workers for finding in worker.findings]

    @property
    def entries(self) -> dict[str, Entry]:
        """The ledger: what every writer was told."""
        return {nonce: Entry(*entry) for worker in self.workers for nonce, entry in (worker.entries or {}).items()}
