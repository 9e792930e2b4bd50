"""Row 91 of the catalogue of faults: a task that is cancelled, or an error, at every place where it can be suspended.

The places are read from the code; scenarios are played to see at which of them tasks really stand, then again with harm
at each. An ``await`` that no scenario reaches has to be in the reviewed list, with its reason, or the last test fails.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.faults.cancellation_cases import AT_START, EITHER_WAY, PLAYED_ELSEWHERE, REVIEWED, SCENARIOS, SETTINGS
from tests.faults.cancellation_stage import SCHEMA, Ended, House, Stage
from tests.faults.suspensions import Stack, Watch, points_in_code
from tests.integration.certificates import Authority
from tests.integration.postgres import Postgres

HARMS = ("cancel", "late cancel", "raise")

ENDS = (Ended, OSError, EOFError)  # OSError has the ends by TLS in it, EOFError those in the middle of a message
TRIES = 10

_seen: dict[Stack, str] = {}


@pytest.fixture
async def house(postgres: Postgres, tls_postgres: Postgres, authority: Authority, tmp_path: Path) -> House:
    certificate, key = authority.issue("localhost").write(tmp_path, "proxy")
    await postgres.fetch(SCHEMA)
    return House(postgres, tls_postgres, (certificate, key))


async def play(name: str, house: House, watch: Watch) -> None:
    """One scenario from the first connection to the last, on a stage of its own."""
    loop = asyncio.get_running_loop()
    loop.set_task_factory(watch)
    try:
        async with Stage(house, SETTINGS.get(name, {})) as stage:
            try:
                await SCENARIOS[name](stage)
            except ENDS:
                assert watch.done or name == "have_no_server"
            watch.enough()
            await stage.check()
    finally:
        loop.set_task_factory(None)


async def stacks(house: House) -> dict[Stack, str]:
    """Where tasks are suspended, and in which scenario first."""
    if not _seen:
        for name in SCENARIOS:
            watch = Watch()
            await play(name, house, watch)
            for stack in watch.seen:
                _seen.setdefault(stack, name)
    return _seen


async def test_every_suspension_is_reached_or_reviewed(house: House) -> None:
    reached = {point for stack in await stacks(house) for point in stack}
    missed = points_in_code().keys() - reached - EITHER_WAY.keys()
    assert {point for point in missed if not point.startswith(tuple(PLAYED_ELSEWHERE))} == REVIEWED.keys()


@pytest.mark.parametrize("harm", HARMS)
@pytest.mark.parametrize("name", SCENARIOS)
async def test_row_91_harm_at_every_suspension(house: House, name: str, harm: str) -> None:
    targets: dict[Stack, Stack] = {}
    for stack, first in (await stacks(house)).items():
        if first == name and not any(point.startswith(AT_START) for point in stack):
            targets.setdefault(distinct(stack), stack)
    for target in targets.values():
        try:
            await do_harm(house, name, target, harm)
        except BaseException as failure:
            failure.add_note(f"{harm} at {' > '.join(target)}")
            raise


def distinct(stack: Stack) -> Stack:
    """A catalog is read on servers that are opened in the same way each time: once is enough for all its steps."""
    asked = (
        number for number, point in enumerate(stack) if point.startswith("pool/catalog_watch.py CatalogWatch._ask")
    )
    return stack[: next(asked, len(stack)) + 1]


async def do_harm(house: House, name: str, target: Stack, harm: str) -> None:
    """Which pieces arrive together is not ours to say, so that a place may be passed without a suspension."""
    for _ in range(TRIES):
        watch = Watch(target, harm)
        await play(name, house, watch)
        if watch.done:
            return
    raise AssertionError("not reached again")
