"""Servers that live and die together, whatever fails."""

from __future__ import annotations

import pytest

from trunkline.demo.ensemble import Ensemble


class Members(Ensemble):
    """Three, of which one may fail to start; `told` is what was done."""

    def __init__(self, failing: int = 0) -> None:
        self.failing = failing
        self.told: list[str] = []

    async def start(self) -> None:
        for number in (1, 2, 3):
            if number == self.failing:
                raise OSError("no port")
            self.told.append(f"start {number}")

    async def stop(self) -> None:
        self.told.append("stop")


async def test_leaving_stops_them_also_with_an_error() -> None:
    async with (members := Members()) as entered:
        assert entered is members
        assert members.told == ["start 1", "start 2", "start 3"]
    with pytest.raises(KeyError):
        async with members:
            raise KeyError
    assert members.told.count("stop") == 2


async def test_who_has_started_is_stopped_when_another_fails() -> None:
    members = Members(failing=2)
    with pytest.raises(OSError, match="no port"):
        async with members:
            raise AssertionError("it was entered")
    assert members.told == ["start 1", "stop"]
