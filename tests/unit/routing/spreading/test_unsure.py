"""What is not proved."""

from __future__ import annotations

import pytest

from tests.unit.routing.spreading.shop import request
from trunkline.routing.spreading.merging import plan_or_reason
from trunkline.routing.spreading.unsure import Unsure


def test_it_says_what_was_missing() -> None:
    with pytest.raises(Unsure, match=r"public\.h is on the home shard"):
        plan_or_reason(request("SELECT 1 FROM a, h"))
