"""Whatever is killed at whichever point of a commit over two shards, it is there on both or on neither.

What a client was told is true, no reader sees half of it, and nothing that is prepared stays. The lab does the same
twenty times each (`tests.faults.lab.transfers`).
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from tests.faults.commit_points import BEFORE, BEHIND
from tests.faults.transfers import DATABASE, KEYS, TOTAL, Bank, bank
from tests.integration.postgres import Farm
from tests.integration.transcript import session, shape
from tests.integration.waiting import wait_until
from tests.integration.wire import Wire

pytestmark = pytest.mark.timeout(300)

EVERYWHERE = bool(os.environ.get("TRUNKLINE_TRANSFERS_EVERYWHERE"))
POINTS = (*BEFORE, *BEHIND) if EVERYWHERE else ("two_phase_begun", "two_phase_prepared", "two_phase_decided")
READ_S = float(os.environ.get("TRUNKLINE_BANK_SECONDS", "3"))


async def test_row_70_a_proxy_that_is_killed_at_any_point_of_a_commit_leaves_no_half(
    farm: Farm, tmp_path: Path
) -> None:
    async with bank(farm, tmp_path, seed=1) as made:
        for number, point in enumerate(POINTS):
            made.open(writers=4)
            await made.goes_on()
            await made.kill_proxy(point, hit=1 + number)
            await made.goes_on()
            await made.close()
            await made.check(f"proxy at {point}")
        assert made.findings == []
        assert made.proxy.log.count("is ended: commit") >= 1
        assert made.proxy.log.count("is ended: rollback") >= 1


@pytest.mark.parametrize("point", POINTS[1:])
async def test_row_71_a_shard_that_is_killed_at_a_point_of_a_commit_leaves_no_half(
    farm: Farm, tmp_path: Path, point: str
) -> None:
    async with bank(farm, tmp_path, seed=2) as made:
        for shard in (0, 1):
            made.open(writers=4)
            await made.goes_on()
            await made.kill_shard(point, 3, shard)
            await made.goes_on()
            await made.close()
            await made.check(f"shard {shard} at {point}")
        assert made.findings == []


async def test_a_shard_that_falls_silent_behind_the_decision_leaves_no_half(farm: Farm, tmp_path: Path) -> None:
    async with bank(farm, tmp_path, seed=5, may_be_silent=True) as made:
        for shard in (0, 1):
            made.open(writers=4)
            await made.goes_on()
            await made.silence_shard("two_phase_decided", 3, shard)
            await made.goes_on()
            await made.close()
            await made.check(f"shard {shard} silent")
        assert made.findings == []


async def test_row_58_a_cancel_behind_the_decision_changes_nothing(farm: Farm, tmp_path: Path) -> None:
    async with bank(farm, tmp_path, seed=6) as made, session(made.proxy, database=DATABASE) as wire:
        await wire.query("BEGIN")
        for (account, *_), change in zip(KEYS, (-1, 1), strict=True):
            await wire.query(f"UPDATE accounts SET balance = balance + {change} WHERE id = {account}")
            await wire.query(f"INSERT INTO moves VALUES (0, {account}, {change})")
        commit = asyncio.get_running_loop().create_task(wire.query("COMMIT"))
        async with made.stopped("two_phase_decided", 1):
            canceling = await Wire.connect(made.proxy.port)
            await canceling.send_cancel(wire.backend_pid, wire.cancel_key)
        assert await canceling.read_to_end() == b""
        await canceling.close()
        assert shape(await commit) == "CZ"
        made.told[0] = "done"
        await made.check("cancelled")
        assert made.findings == []


async def test_no_reader_sees_half_of_a_transfer(farm: Farm, tmp_path: Path) -> None:
    async with bank(farm, tmp_path, seed=3) as made:
        made.open(writers=16, readers=4)
        await asyncio.sleep(READ_S)
        await made.close()
        await made.check("reading")
        assert made.findings == []
        assert made.sums[TOTAL] > 10 * READ_S


async def test_an_error_of_ours_in_a_commit_leaves_no_half(farm: Farm, tmp_path: Path) -> None:
    """At every point, and in the recovery that follows."""
    async with bank(farm, tmp_path, seed=4) as made:
        for action in ("raise", "cancel"):
            for point in POINTS:
                made.open(writers=4)
                await made.goes_on(2)
                made.arm(f"{point}={action}:2, recovery_settled=raise")
                await wait_until(lambda point=point: f"failpoint {point}: " in made.proxy.log)
                made.arm("")
                await made.goes_on(2)
                await made.close()
                await made.check(f"{action} at {point}")
        assert made.findings == []


def test_what_readers_would_see_without_the_gate_is_a_finding() -> None:
    """The judge of the tests above can tell."""
    made = Bank([], None, 0, Path(), 0)  # type: ignore[arg-type]
    made.sums[TOTAL - 5] += 1
    asyncio.run(_judge(made))
    assert made.findings == [f"judged: {-TOTAL:+} in all accounts", "judged: readers were off by {-5: 1}"]


async def _judge(made: Bank) -> None:
    await made.check("judged")
