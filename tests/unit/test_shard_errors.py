"""Errors of statements over several shards are part of the one tree."""

from __future__ import annotations

import pytest

from trunkline import errors, shard_errors
from trunkline.errors import TrunklineError

OWN = [
    one
    for one in vars(shard_errors).values()
    if isinstance(one, type) and issubclass(one, TrunklineError) and one.__module__ == shard_errors.__name__
]


@pytest.mark.parametrize("error", OWN)
def test_each_has_a_code_of_its_own(error: type[TrunklineError]) -> None:
    others = [one for one in (*vars(errors).values(), *OWN) if isinstance(one, type) and one is not error]
    assert error.code not in {one.code for one in others if issubclass(one, TrunklineError)}
    assert error.severity == "ERROR"
    assert error.__doc__
