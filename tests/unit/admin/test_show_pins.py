"""SHOW PINS and SHOW PIN_COUNTS."""

from __future__ import annotations

from trunkline.admin.show_pins import show_pin_counts, show_pins
from trunkline.pool.session_state import REASONS
from trunkline.proxy.instance import Instance
from trunkline.routing.session.session_effects import State


async def test_nobody_is_pinned_before_anybody_comes(instance: Instance) -> None:
    assert list(show_pins(instance)) == []


async def test_every_reason_has_a_count_in_every_pool(instance: Instance) -> None:
    pool = instance.pools.pool("app", "ann")
    pool.sessions.pin_counts[State.LOCKS] += 3
    rows = list(show_pin_counts(instance))
    assert {row[2] for row in rows} == set(REASONS.values())
    assert ("app", "forced", REASONS[State.LOCKS], 3) in rows
