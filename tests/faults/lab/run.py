"""One run: the stage is set, clients work and faults happen until there were enough of both, then all is inspected."""

from __future__ import annotations

import asyncio
import contextlib
import platform
import time
from collections.abc import Callable
from pathlib import Path

from tests.faults.held import resident_bytes
from tests.faults.lab.crew import Crew
from tests.faults.lab.inspection import LOST_WAITER, Before, inspect
from tests.faults.lab.options import Options
from tests.faults.lab.report import Report
from tests.faults.lab.stage import Stage
from tests.faults.lab.weather import Weather
from tests.faults.nonce.tally import Finding

POLL_S = 0.5
SAY_EVERY_S = 10.0
WARM_AFTER = 0.25  # of the time or of the replies: what it has grown until then is no leak
RUSH = 1.6  # faults are made a little faster than asked for, so that they are done before the time is over
WORKERS = 1
MISCHIEF_S = 6.0  # how often each client misbehaves


async def run(options: Options, say: Callable[[str], None] = print) -> Report:
    say(f"seed {options.seed}: {options.command}")
    async with Stage(options.target, options.postgres, options.seed) as stage:
        before = Before.of(stage.target)
        places = list(stage.places())
        crew = Crew(places, WORKERS, Path(stage.directory), seed=options.seed, mischief_s=MISCHIEF_S)
        by_clients = len([place for place in places if place.mischief]) / MISCHIEF_S
        wanted = RUSH * options.faults / options.seconds
        weather = Weather(stage, options.seed, max(wanted / 2, wanted - by_clients))
        await weather.prepare()
        started = time.monotonic()
        await crew.start()
        course = Course(options, crew, weather, stage, say)
        await course.run()
        seconds = time.monotonic() - started
        await weather.clear()
        await crew.stop()
        say("all clients have gone; inspecting")
        findings = crew.findings + _unheard(crew)
        findings += await inspect(stage, before, course.warm_rss, crew.entries)
        return Report(
            options=options,
            version=stage.target.version,
            postgres=str(stage.postgres.launcher.binaries.version),
            machine=f"{platform.machine()}, {platform.release()}",
            seconds=seconds,
            tally=crew.tally,
            faults=dict(course.faults),
            findings=findings,
            warm_rss=course.warm_rss,
            rss=resident_bytes(stage.target.pid) if stage.target.is_running else 0,
            ledger=len(crew.entries),
            troubles=weather.troubles,
            absent=sorted(weather.absent),
        )


def _unheard(crew: Crew) -> list[Finding]:
    return [] if crew.in_order else [Finding(LOST_WAITER, "a process of clients did not come to its end", -1)]


class Course:
    """The time in which things happen."""

    def __init__(
        self, options: Options, crew: Crew, weather: Weather, stage: Stage, say: Callable[[str], None]
    ) -> None:
        self.options, self.crew, self.weather, self.stage, self.say = options, crew, weather, stage, say
        self.warm_rss = 0

    @property
    def faults(self) -> dict[str, int]:
        return dict(self.weather.counts) | self.crew.tally["faults"]

    async def run(self) -> None:
        """Until there was enough of both, or the time is over."""
        blowing = asyncio.create_task(self.weather.run())
        started = said = time.monotonic()
        try:
            while not self._enough() and time.monotonic() - started < self.options.seconds:
                await asyncio.sleep(POLL_S)
                self._measure((time.monotonic() - started) / self.options.seconds)
                if not self.stage.target.is_running:
                    await self.stage.target.revive()
                if blowing.done():
                    break
                if time.monotonic() - said >= SAY_EVERY_S:
                    said = time.monotonic()
                    self.say(self._progress(said - started))
        finally:
            blowing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await blowing

    def _enough(self) -> bool:
        replies: int = self.crew.tally["replies"]
        return replies >= self.options.replies and sum(self.faults.values()) >= self.options.faults

    def _measure(self, share_of_time: float) -> None:
        share = max(share_of_time, self.crew.tally["replies"] / self.options.replies)
        if not self.warm_rss and share >= WARM_AFTER and self.stage.target.is_running:
            self.warm_rss = resident_bytes(self.stage.target.pid)

    def _progress(self, seconds: float) -> str:
        return (
            f"{seconds:6.0f} s  {self.crew.tally['replies']:9,} replies  {sum(self.faults.values()):6,} faults of"
            f" {len(self.faults)} kinds  {len(self.crew.findings)} findings"
        )
