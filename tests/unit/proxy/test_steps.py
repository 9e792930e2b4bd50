"""The table of what a client may say in each state."""

from __future__ import annotations

import struct

import pytest

from tests.unit.relay import relay
from trunkline.protocol.messages import parse_fields
from trunkline.proxy.client import STATES
from trunkline.proxy.steps import NEED_SERVER, STEPS


def test_a_step_that_needs_a_server_is_in_the_table() -> None:
    assert set(NEED_SERVER) < set(STEPS["ready"].values())


def test_every_state_knows_every_message_that_postgresql_knows() -> None:
    assert tuple(STEPS) == STATES
    for steps in STEPS.values():
        assert set(steps) == set("QFPBDECSHXdcf")


@pytest.mark.parametrize("kind", sorted(set(range(256)) - set(b"QFPBDECSHXdcf")))
async def test_any_other_message_ends_the_connection(kind: int) -> None:
    async with relay() as made:
        _, far = made.client()
        far.send(struct.pack("!Bi", kind, 4))
        made.turn()
        assert [parse_fields(body)["C"] for kind, body in far.frames() if kind == "E"] == ["08P01"]
        assert far.closed
