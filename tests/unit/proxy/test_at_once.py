"""What stands in the place of a session while answers are awaited."""

from __future__ import annotations

import inspect

from trunkline.proxy.at_once import AtOnce
from trunkline.proxy.several import Several


def test_who_looks_at_a_session_finds_the_same_in_what_stands_in_its_place() -> None:
    assert {"drained"} <= {name for name, _ in inspect.getmembers(AtOnce) if name in dir(Several)}
    assert "participants" in AtOnce.__slots__
