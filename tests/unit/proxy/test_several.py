"""What a session over several shards listens to."""

from __future__ import annotations

from trunkline.proxy.several import MESSAGES
from trunkline.proxy.steps import STEPS


def test_it_knows_every_message_that_a_relayed_client_may_send() -> None:
    assert set(MESSAGES) == set(STEPS["ready"])
