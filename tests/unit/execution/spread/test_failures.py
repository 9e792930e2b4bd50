"""Errors of transactions over several shards: each has a code of its own and says the truth to drivers."""

from __future__ import annotations

from trunkline.errors import TrunklineError
from trunkline.execution.spread import failures

CLASSES = [one for one in vars(failures).values() if isinstance(one, type) and issubclass(one, TrunklineError)]


def test_no_two_have_one_code() -> None:
    mine = [one.code for one in CLASSES if one is not TrunklineError]
    others = [one.code for one in TrunklineError.__subclasses__() if one not in CLASSES]
    assert len({*mine, *others}) == len(mine) + len(set(others))


def test_none_of_them_makes_a_driver_drop_its_connection() -> None:
    for one in CLASSES:
        if one is not TrunklineError:
            assert one.severity == "ERROR"
            assert not one.sqlstate.startswith(("08", "57P0"))
