"""What stands in the place of a session while answers are awaited."""

from __future__ import annotations

import inspect

import pytest

from trunkline.proxy.at_once import AtOnce, OneAtOnce, Waiting
from trunkline.proxy.several import Several


@pytest.mark.parametrize("kind", [AtOnce, OneAtOnce])
def test_who_looks_at_a_session_finds_the_same_in_what_stands_in_its_place(kind: type[Waiting]) -> None:
    assert {"drained"} <= {name for name, _ in inspect.getmembers(kind) if name in dir(Several)}
    assert "participants" in Waiting.__slots__
