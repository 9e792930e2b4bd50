"""What statements are refused with."""

from __future__ import annotations

from trunkline.errors import StatementRefused
from trunkline.execution.refusals import not_mapped, refused
from trunkline.routing.keys.directory import Directory
from trunkline.routing.keys.sharding import KeyMissing, KeyNotMapped
from trunkline.routing.plans.plan import Refusal


def test_a_refusal_of_the_planner_has_its_words_its_code_and_its_position() -> None:
    error = refused(Refusal("no", "", "42601", 7))
    assert (error.message, error.hint, error.sqlstate, error.position) == ("no", None, "42601", 7)


def test_a_key_without_a_shard_is_refused_with_the_reason_unless_somebody_is_to_be_asked() -> None:
    error = not_mapped(KeyNotMapped("no list has it"))
    assert isinstance(error, StatementRefused)
    assert error.message == "no shard is said to have this key: no list has it"
    missing = KeyMissing(Directory(), 7)
    assert not_mapped(missing) is missing
