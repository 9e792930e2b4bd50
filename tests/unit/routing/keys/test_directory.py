"""What is known of keys that are looked up."""

from __future__ import annotations

from decimal import Decimal

from trunkline.routing.keys.directory import MAX_ABSENT, NO_SHARD, Directory, Entries
from trunkline.routing.keys.sharding import KeyMissing, KeyNotMapped, Value


def asked(entries: dict[Value, int] | None = None) -> Directory:
    directory = Directory(entries)
    directory.ask = lambda key, done: None
    return directory


def test_it_is_replaced_as_a_whole_and_what_was_there_is_given_back() -> None:
    directory = Directory({3: 2})
    old = directory.replace(Entries({1: 0, 2: 1}))
    assert len(directory) == 2
    assert [directory.find(key) for key in (1, 2, 3)] == [0, 1, None]
    assert len(old) == 1
    for _ in old.drain():
        pass
    assert len(old) == 0


def test_keys_in_a_row_do_not_fill_all_parts_at_once() -> None:
    entries = Entries(dict.fromkeys(range(25_600), 0))
    assert len({len(part) for part in entries._parts}) > 10
    assert max(len(part) for part in entries._parts) < 200


def test_rows_that_contradict_each_other_say_nothing() -> None:
    entries = Entries()
    for key, shard in ((1, 0), (1, 0), (2, 0), (2, 1), (2, 1), (3, NO_SHARD), (3, 1)):
        entries.put(key, shard)
    directory = asked()
    directory.replace(entries)
    assert [directory.find(key) for key in (1, 2, 3)] == [0, None, None]
    assert isinstance(directory.why_not(2), KeyMissing)


def test_a_key_that_is_missing_is_to_be_asked_for_until_it_is_known_to_be_absent() -> None:
    directory = asked({1: 0})
    missing = directory.why_not(7)
    assert isinstance(missing, KeyMissing)
    assert (missing.directory, missing.key) == (directory, 7)
    directory.learn_absent(7, "it is not there")
    assert (type(directory.why_not(7)), str(directory.why_not(7))) == (KeyNotMapped, "it is not there")
    directory.forget_absent()
    assert isinstance(directory.why_not(7), KeyMissing)


def test_without_anybody_to_ask_a_missing_key_is_not_mapped() -> None:
    assert type(Directory().why_not(7)) is KeyNotMapped


def test_what_is_learnt_replaces_what_was_known() -> None:
    directory = asked({1: 0})
    directory.learn(1, 1)
    directory.learn_absent(2, "gone")
    directory.learn(2, 0)
    assert [directory.find(key) for key in (1, 2)] == [1, 0]
    assert directory.absent == 0
    directory.learn_absent(1, "gone")
    assert (directory.find(1), directory.absent) == (None, 1)


def test_a_new_reading_forgets_what_was_absent() -> None:
    directory = asked()
    directory.learn_absent(7, "gone")
    directory.replace(Entries())
    assert isinstance(directory.why_not(7), KeyMissing)


def test_only_so_many_absent_keys_are_remembered() -> None:
    directory = asked()
    for key in range(MAX_ABSENT + 1):
        directory.learn_absent(key, "gone")
    assert directory.absent == 1
    assert type(directory.why_not(MAX_ABSENT)) is KeyNotMapped


def test_nan_is_one_key() -> None:
    directory = asked({Decimal("NaN"): 1})
    assert directory.find(Decimal("NaN")) == 1
    other = asked()
    missing = other.why_not(Decimal("NaN"))
    assert isinstance(missing, KeyMissing)
    other.learn_absent(missing.key, "gone")
    assert type(other.why_not(Decimal("NaN"))) is KeyNotMapped
