"""The part of the lab that kills primaries, round after round, and whether anybody was told anything wrong.

    python -m tests.faults.lab.failover --rounds 20 --write

A primary, a synchronous replica and another one, Trunkline before them, pgbench's TPC-B with 16 clients, writers that
look for their own writes, and readers. In each round the primary is killed as a whole, the synchronous replica is
promoted, the other one follows, and the old primary comes back as a replica, all under load. In the end there is a
primary that neither answers nor ends. Times are reported; what must not be is a finding.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import re
import secrets
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from tests.faults.fault_proxy import STARTUP, Blackhole, FaultProxy, Rule
from tests.faults.lab.options import RESULTS
from tests.faults.lab.report import write_failover
from tests.integration.postgres import PASSWORD, Farm, Postgres
from tests.integration.proxy import HOST, USER, Proxy
from tests.integration.replicas import shown
from tests.integration.waiting import wait_until
from trunkline.demo.cluster import Workspace
from trunkline.demo.load import CREATE_TABLE, TABLE, Attempt, Load
from trunkline.demo.outage import Moments, Outage
from trunkline.demo.trio import Trio

DATABASE = "app"
PGBENCH_CLIENTS, WRITERS, READERS = 16, 8, 4
PGBENCH_S = 8
HELD_TRANSACTIONS = "50"  # of each client of the pgbench that begins while there is no primary
UNDER_LOAD_S = 2.0  # before each kill
FIRST_COMMIT_BAR_S, BLACKHOLE_BAR_S = 2.0, 5.0
NOTICED_S = 1.0  # at the most, between a kill and the promotion
GIVE_UP_S = 40.0  # above failover_wait
SETTINGS = {"pool_mode": "transaction", "default_pool_size": 20}
SUMS = (
    "SELECT (SELECT sum(abalance) FROM pgbench_accounts), (SELECT sum(tbalance) FROM pgbench_tellers),"
    " (SELECT sum(bbalance) FROM pgbench_branches), (SELECT coalesce(sum(delta), 0) FROM pgbench_history),"
    " (SELECT count(*) FROM pgbench_history)"
)
PROCESSED = re.compile(r"number of transactions actually processed: (\d+)")
TOLD = re.compile(r"client \d+ (?:script \d+ )?aborted (.*)")
LOSSES = {  # what pgbench, which shows no SQLSTATE, prints of an error; a lost connection reads otherwise
    "ERROR:  server closed the connection while a COMMIT was under way": "08007",
    "ERROR:  server closed the connection unexpectedly": "08006",
    "ERROR:  terminating connection due to unexpected postmaster exit": "57P01",
}

NOTICED_AFTER = "a silent primary is noticed after"

Say = Callable[[str], None]


@dataclass
class Course:
    """What came of all rounds."""

    outages: list[Outage] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    made_anew: int = 0  # replicas that had received what the promoted one never got
    pgbench: Counter[str] = field(default_factory=Counter)  # transactions, and what clients were told
    blackhole: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0

    def facts(self) -> dict[str, str]:
        """The rows of the table; what is in bold must be 0."""
        outages = self.outages
        codes = Counter(code for one in outages for attempt in one.failed for code in attempt.codes)
        faults = {what: sum(len(one.faults[what]) for one in outages) for what in outages[0].faults}
        held = [attempt for one in outages for attempt in one.held]
        reads = [attempt for one in outages for attempt in one.reads]
        return {
            "rounds": f"{len(outages)}, in {self.seconds:.0f} s",
            "commits acknowledged to writers": f"{sum(len(one.acknowledged) for one in outages):,}",
            "transactions of pgbench": f"{self.pgbench['transactions']:,}",
            **{f"**{what}**": f"{count:,}" for what, count in faults.items()},
            "**other findings**": str(len(self.findings) - sum(1 for count in faults.values() if count)),
            "from the promotion to the first commit": _spread([one.resumed_s for one in outages]),
            "longest time without a commit": _spread([one.silence_s for one in outages]),
            "writers that were held, and went on": f"{len(held):,}, for up to {_longest(held):.2f} s",
            "errors of writers": _listed(codes),
            "errors of pgbench's clients": _listed({k: n for k, n in self.pgbench.items() if k != "transactions"}),
            "reads": f"{len(reads):,}, the longest took {_longest(reads):.2f} s",
            "reads without a primary": f"{sum(len(one.reads_meanwhile) for one in outages):,}",
            "replicas that had to be made anew": str(self.made_anew),
            **{what: f"{seconds:.2f} s" for what, seconds in self.blackhole.items()},
        }

    @property
    def shortfalls(self) -> list[str]:
        """What took longer than it should."""
        late = [one.resumed_s for one in self.outages if one.resumed_s > FIRST_COMMIT_BAR_S]
        found = [f"{len(late)} first commits came later than {FIRST_COMMIT_BAR_S:g} s"] if late else []
        noticed = self.blackhole.get(NOTICED_AFTER, 0.0)
        return found + ([f"a silent primary was noticed after {noticed:.1f} s"] if noticed > BLACKHOLE_BAR_S else [])

    def text(self) -> str:
        lines = [f"{name:<50} {value}" for name, value in self.facts().items()] if self.outages else []
        lines += [f"fell short: {one}" for one in self.shortfalls]
        return "\n".join(lines + [f"FINDING {finding}" for finding in self.findings])


def _spread(seconds: Sequence[float]) -> str:
    return f"{median(seconds):.2f} s, at most {max(seconds):.2f} s"


def _longest(attempts: Sequence[Attempt]) -> float:
    return max((one.ended - one.began for one in attempts), default=0.0)


def _listed(counts: dict[str, int] | Counter[str]) -> str:
    return ", ".join(f"{count:,} x {code}" for code, count in sorted(counts.items())) or "none"


class FailoverLab:
    """Everything that runs, and one failover after another."""

    def __init__(self, trio: Trio[Postgres], proxy: Proxy, seed: int, say: Say, pgbench_s: int) -> None:
        self.trio, self.proxy, self.say, self.pgbench_s = trio, proxy, say, pgbench_s
        self.course = Course()
        self._random = random.Random(seed)
        self._load = Load(proxy.port, DATABASE, USER, PASSWORD, writers=WRITERS, readers=READERS)

    async def run(self, rounds: int) -> Course:
        began = time.monotonic()
        await self._load.start()
        try:
            for number in range(1, rounds + 1):
                await self._round(number)
        finally:
            await self._load.abort()
        await self._blackhole()
        self.course.seconds = time.monotonic() - began
        self._look_at_log()
        return self.course

    def find(self, text: str) -> None:
        self.course.findings.append(text)
        self.say(f"FINDING {text}")

    # --- a round ----------------------------------------------------------------------------------------------------

    async def _round(self, number: int) -> None:
        trio = self.trio
        bench = await self._start_pgbench("-T", str(self.pgbench_s))
        await asyncio.sleep(UNDER_LOAD_S * (0.5 + self._random.random()))
        killing = time.monotonic()
        await trio.primary.kill()
        killed = time.monotonic()
        held = await self._start_pgbench("-t", HELD_TRANSACTIONS)
        await asyncio.sleep(NOTICED_S * self._random.random())
        promoting = time.monotonic()
        old = await trio.promote()
        moments = Moments(killing, killed, promoting, time.monotonic())
        try:
            await wait_until(lambda: self._load.acknowledged_since(promoting), GIVE_UP_S, what="writes go on")
        except AssertionError as error:
            self.find(f"round {number}: {error}; {self.proxy.log[-3000:]}")
        self.course.made_anew += not await trio.follow()
        await trio.take_back(old)
        await self._end_pgbench(number, bench)
        await self._end_pgbench(number, held, begun_without_primary=True)
        await self._balance(number)
        await self._judge(number, moments)

    async def _judge(self, number: int, moments: Moments) -> None:
        attempts = self._load.take()  # before the table is looked at
        found = {nonce for (nonce,) in await self.trio.primary.fetch(f"SELECT nonce FROM {TABLE}")}
        outage = Outage(attempts, moments, found)
        self.course.outages.append(outage)
        for what, wrong in outage.faults.items():
            if wrong:
                shown_ = [
                    (one.nonce, one.began - moments.killed, one.ended - moments.killed, one.codes) for one in wrong
                ]
                self.find(f"round {number}: {len(wrong)} {what}: {shown_[:3]}")
        self.say(f"round {number}: " + "; ".join(outage.lines()))

    # --- pgbench ----------------------------------------------------------------------------------------------------

    async def _start_pgbench(self, *limit: str) -> asyncio.subprocess.Process:
        launcher = self.trio.primary.launcher
        options = launcher.options()
        options["env"]["PGPASSWORD"] = PASSWORD
        mode = self._random.choice(("simple", "extended", "prepared"))
        load = ("-n", "-b", "tpcb-like", "-M", mode, "-c", str(PGBENCH_CLIENTS), "-j", "1", *limit)
        where = ("-h", HOST, "-p", str(self.proxy.port), "-U", USER, DATABASE)
        return await asyncio.create_subprocess_exec(
            *launcher.command("pgbench", *load, *where),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            **options,
        )

    async def _end_pgbench(
        self, number: int, bench: asyncio.subprocess.Process, *, begun_without_primary: bool = False
    ) -> None:
        """What its clients were told; one that had nothing under way at the kill has nothing to complain of."""
        out, complaints = (text.decode() for text in await bench.communicate())
        counts = self.course.pgbench
        processed = PROCESSED.search(out)
        counts["transactions"] += int(processed[1]) if processed else 0
        for words in TOLD.findall(complaints):
            code = next((code for loss, code in LOSSES.items() if loss in words), "")
            counts[code or "other"] += 1
            if not code or begun_without_primary:
                self.find(f"round {number}: pgbench was told: {words}")
        if begun_without_primary and bench.returncode:
            self.find(f"round {number}: a pgbench that was held failed: {complaints[-1000:]}")

    async def _balance(self, number: int) -> None:
        """Whether its own books are right, and have what it counted."""
        counts = self.course.pgbench
        ((*sums, rows),) = await self.trio.primary.fetch(SUMS)
        if len(set(sums)) != 1:
            self.find(f"round {number}: pgbench's tables do not agree: {sums}")
        if not counts["transactions"] <= rows <= counts["transactions"] + counts["08007"]:
            self.find(f"round {number}: pgbench has done {counts}, and its history has {rows} rows")

    # --- a primary that is silent -----------------------------------------------------------------------------------

    async def _blackhole(self) -> None:
        """All connections to the primary stay open and nothing comes any more; its replica is promoted when that has
        been noticed, and who waited goes on there. The old primary itself is up, and must not get a write."""
        old, new = self.trio.primary, self.trio.synchronous
        await old.fetch(f"TRUNCATE {TABLE}")
        async with FaultProxy(HOST, old.port) as faults:
            urls = [f"postgres://{HOST}:{port}/postgres" for port in (faults.port, new.port)]
            database = {"primary": urls[0], "replicas": urls[1:], "reads": "replica", "health_check_user": USER}
            async with Proxy(SETTINGS, databases={DATABASE: database}) as proxy:
                load = Load(proxy.port, DATABASE, USER, PASSWORD, writers=WRITERS, readers=READERS)
                await load.start()
                try:
                    await wait_until(lambda: load.acknowledged_since(0) > WRITERS)
                    faults.add(Rule("fe", STARTUP, times=None), Blackhole())
                    await faults.strike(Blackhole())
                    struck = time.monotonic()
                    await wait_until(lambda: _is_missed(proxy, faults.port), GIVE_UP_S)
                    self.course.blackhole[NOTICED_AFTER] = time.monotonic() - struck
                    promoting = time.monotonic()
                    await self.trio.promote()
                    moments = Moments(struck, struck, promoting, time.monotonic())
                    await wait_until(lambda: load.acknowledged_since(promoting), GIVE_UP_S, what="writes go on")
                    await load.stop()
                finally:
                    await load.abort()
                found = {nonce for (nonce,) in await new.fetch(f"SELECT nonce FROM {TABLE}")}
                outage = Outage(load.take(), moments, found)
                self.course.blackhole["from its replica's promotion to the first commit"] = outage.resumed_s
                for what in ("acknowledged and lost", "failed and there", "missed its own write"):
                    if outage.faults[what]:
                        self.find(f"silent primary: {what}: {outage.faults[what][:3]}")
                self._look_at_log(proxy)

    def _look_at_log(self, proxy: Proxy | None = None) -> None:
        log = (proxy or self.proxy).log
        if "Traceback" in log:
            self.find(f"internal error: {log[log.index('Traceback') - 500 :][:3000]}")


async def _is_missed(proxy: Proxy, port: int) -> bool:
    return (await shown(proxy))[port]["state"] == "unreachable"


async def run(rounds: int, seed: int, say: Say = print, *, pgbench_s: int = PGBENCH_S) -> Course:
    """So many failovers of one cluster."""
    with Workspace() as workspace:
        async with Trio(Farm(workspace).prepare("embedded")) as trio:
            await trio.primary.run(
                "pgbench", "-i", "-q", "-s", "1", "-h", HOST, "-p", str(trio.primary.port), "-U", USER, "postgres"
            )
            await trio.primary.fetch(CREATE_TABLE)
            urls = [f"postgres://{HOST}:{server.port}/postgres" for server in trio.servers]
            database = {"primary": urls[0], "replicas": urls[1:], "reads": "replica", "health_check_user": USER}
            async with Proxy(SETTINGS, databases={DATABASE: database}) as proxy:
                return await FailoverLab(trio, proxy, seed, say, pgbench_s).run(rounds)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="tests.faults.lab.failover", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20, help="primaries that are killed")
    parser.add_argument("--seed", type=int, default=None, help="of all choices; by default a new one")
    parser.add_argument("--write", action="store_true", help=f"put the result into {Path(RESULTS).name}")
    given = parser.parse_args(arguments)
    seed = secrets.randbits(31) if given.seed is None else given.seed
    course = asyncio.run(run(given.rounds, seed))
    print(course.text())
    if given.write:
        command = f"python -m tests.faults.lab.failover --rounds {given.rounds} --seed {seed}"
        write_failover(RESULTS, course.facts() | {"command": command})
    if course.findings:
        return 1
    return 2 if course.shortfalls else 0


if __name__ == "__main__":
    sys.exit(main())
