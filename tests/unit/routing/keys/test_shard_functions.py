"""Each method puts a key on the shard that its definition says, and takes the keys that it can keep its word for."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.routing.keys.directory import Directory
from trunkline.routing.keys.shard_functions import METHODS, Rule, Span, check_key, key_type, make_function
from trunkline.routing.keys.sharding import KeyNotMapped, MapError, ShardFunction
from trunkline.routing.keys.values import from_text
from trunkline.routing.schema.catalog import Column

SHARDS = ("a", "b", "c")
EVERY = 0b111
SOME_UUID = UUID("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")


def function(method: str, type: str = "int8", **options: Any) -> ShardFunction:
    return make_function(method, Rule((type,), SHARDS, **options))


def shard_of(made: ShardFunction, text: str) -> str:
    """The shard of a key by its text; `-` if no rule says it."""
    try:
        mask = made.shards_of((from_text(text.encode(), made.types[0]),))
    except KeyNotMapped:
        return "-"
    return next(name for number, name in enumerate(SHARDS) if mask == 1 << number)


@pytest.mark.parametrize("method", METHODS)
def test_a_method_is_known_by_its_name(method: str) -> None:
    made = function(method, "uuid" if method == "sha256" else "int8")
    assert (made.name, made.every) == (method, EVERY)


# --- hash -------------------------------------------------------------------------------------------------------


def test_hash_puts_a_key_where_the_map_has_its_bucket() -> None:
    """42 has the remainder 2 of 16."""
    buckets = tuple(2 if bucket == 2 else 0 for bucket in range(16))
    assert shard_of(function("hash", buckets=buckets), "42") == "c"
    assert shard_of(function("hash", buckets=buckets), "1") == "a"


def test_hash_without_a_map_is_postgresqls_own_modulus() -> None:
    """0, 1 and 2 have the remainders 2, 2 and 0 of 3."""
    assert [shard_of(function("hash"), text) for text in ("0", "1", "2")] == ["c", "c", "a"]


def test_hash_of_a_key_of_nulls_is_in_the_first_bucket() -> None:
    assert function("hash").shards_of((None,)) == 0b001


def test_hash_takes_keys_of_several_columns_with_modifiers() -> None:
    """(1, 'a') has the remainder 5 of 8."""
    buckets = (0, 0, 0, 0, 0, 1, 0, 0)
    made = make_function("hash", Rule(("int4", "varchar(3)"), SHARDS, buckets))
    assert made.shards_of((1, "a")) == 0b010


@pytest.mark.parametrize("method", ["hash", "modulo", "md5"])
def test_what_keeps_no_order_has_a_range_of_keys_anywhere(method: str) -> None:
    assert function(method).shards_between(1, 2) == EVERY


# --- range ------------------------------------------------------------------------------------------------------

YEARS = [Span("2025-01-01", None, "c"), Span(None, "2024-01-01", "a"), Span("2024-01-01", "2025-01-01", "b")]


@pytest.mark.parametrize(
    ("text", "shard"),
    [
        ("1066-10-14", "a"),
        ("2023-12-31", "a"),
        ("2024-01-01", "b"),
        ("2024-12-31", "b"),
        ("2025-01-01", "c"),
        ("infinity", "c"),
        ("-infinity", "a"),
    ],
)
def test_a_range_has_its_lower_bound_and_not_its_upper_one(text: str, shard: str) -> None:
    assert shard_of(function("range", "date", spans=YEARS), text) == shard


def between(made: ShardFunction, low: str | None, high: str | None) -> int:
    first, last = (None if text is None else from_text(text.encode(), made.types[0]) for text in (low, high))
    return made.shards_between(first, last)


@pytest.mark.parametrize(
    ("low", "high", "mask"),
    [
        (None, None, 0b111),
        (None, "2023-12-31", 0b001),
        (None, "2024-01-01", 0b011),
        ("2024-01-01", None, 0b110),
        ("2024-03-01", "2024-04-01", 0b010),
        ("2023-12-31", "2024-12-31", 0b011),
        ("2024-05-05", "2025-01-01", 0b110),
    ],
)
def test_a_range_of_keys_is_on_the_shards_whose_ranges_it_meets(low: str | None, high: str | None, mask: int) -> None:
    assert between(function("range", "date", spans=YEARS), low, high) == mask


GAPS = [Span("0", "10", "a"), Span("20", "30", "b")]


def test_a_key_between_ranges_is_on_the_default_shard_or_not_mapped() -> None:
    for text in ("-1", "10", "19", "30"):
        assert shard_of(function("range", spans=GAPS), text) == "-"
        assert shard_of(function("range", spans=GAPS, default="c"), text) == "c"
    assert between(function("range", spans=GAPS), "12", "13") == 0


TOUCHING = [Span(None, "10", "a"), Span("10", "20", "b"), Span("30", "40", "a")]


@pytest.mark.parametrize(
    ("low", "high", "mask"),
    [
        (None, "5", 0b001),
        (None, "15", 0b011),
        ("3", "19", 0b011),
        ("3", "20", 0b111),
        ("25", "26", 0b100),
        ("25", "35", 0b101),
        ("30", "39", 0b001),
        ("30", None, 0b101),
        (None, None, 0b111),
    ],
)
def test_a_range_of_keys_is_on_the_default_shard_only_where_no_range_has_it(
    low: str | None, high: str | None, mask: int
) -> None:
    assert between(function("range", spans=TOUCHING, default="c"), low, high) == mask


@given(st.integers(-5, 45), st.none() | st.integers(-5, 45), st.none() | st.integers(-5, 45))
@pytest.mark.parametrize("spans", [GAPS, TOUCHING])
def test_no_key_of_a_range_of_keys_is_on_a_shard_that_was_left_out(
    spans: list[Span], key: int, low: int | None, high: int | None
) -> None:
    made = function("range", spans=spans, default="c")
    if (low is None or low <= key) and (high is None or key <= high):
        assert made.shards_of((key,)) & made.shards_between(low, high)


def test_text_is_in_the_order_of_its_bytes_and_ranges_of_it_are_anywhere() -> None:
    made = function("range", "text", spans=[Span(None, "a", "a"), Span("a", None, "b")])
    assert [shard_of(made, text) for text in ("Z", "a", "ä", "\U0001f418")] == ["a", "b", "b", "b"]
    assert made.shards_between("b", "c") == EVERY


def test_nan_is_above_all_numbers() -> None:
    made = function("range", "numeric", spans=[Span(None, "0.5", "a"), Span("0.5", "Infinity", "b")], default="c")
    assert [shard_of(made, text) for text in ("0.49", "0.50", "1e100", "Infinity", "NaN")] == ["a", "b", "b", "c", "c"]


@pytest.mark.parametrize(
    ("spans", "reason"),
    [
        ([Span("0", "10", "a"), Span("9", "20", "b")], "the ranges 0..10 of a and 9..20 of b overlap"),
        ([Span(None, "10", "a"), Span(None, "20", "b")], "the ranges ..10 of a and ..20 of b overlap"),
        ([Span("0", None, "a"), Span("9", None, "b")], "the ranges 0.. of a and 9.. of b overlap"),
        ([Span("5", "5", "b")], "the range from '5' to '5' of b is empty"),
        ([Span("5", "6", "d")], "there is no shard 'd'"),
        ([Span("x", "6", "b")], "'x' is no int8"),
    ],
)
def test_ranges_that_cannot_be_used_are_named(spans: list[Span], reason: str) -> None:
    with pytest.raises(MapError) as caught:
        function("range", spans=spans)
    assert (caught.value.reason, caught.value.item) == (reason, spans[-1])


def test_a_bound_that_a_setting_decides_is_refused() -> None:
    with pytest.raises(MapError, match="does not say which timestamptz it is"):
        function("range", "timestamptz", spans=[Span("2024-01-01", None, "a")])


# --- list -------------------------------------------------------------------------------------------------------

REGIONS: Mapping[str, list[str]] = {"a": ["us", "ca"], "c": ["eu"]}


def test_a_listed_key_is_on_its_shard_and_others_on_the_default_one() -> None:
    made, without = (function("list", "text", lists=REGIONS, default=default) for default in ("b", None))
    assert [shard_of(made, text) for text in ("us", "ca", "eu", "jp")] == ["a", "a", "c", "b"]
    assert [shard_of(without, text) for text in ("us", "jp", "US")] == ["a", "-", "-"]
    assert (made.shards_of((None,)), without.shards_of((None,))) == (0b010, 0)


@pytest.mark.parametrize(
    ("type", "written", "meant"),
    [
        ("bpchar(4)", "us", "us  "),
        ("numeric", "1.50", "1.5"),
        ("uuid", str(SOME_UUID), SOME_UUID.hex.upper()),
        ("float8", "NaN", "nan"),
        ("bool", "true", "t"),
        ("int4", "007", "7"),
    ],
)
def test_a_listed_key_is_found_however_it_is_written(type: str, written: str, meant: str) -> None:
    assert shard_of(function("list", type, lists={"b": [written]}), meant) == "b"


@pytest.mark.parametrize(
    ("lists", "reason", "item"),
    [
        ({"a": ["1"], "b": ["2", "01"]}, "'01' is listed twice", ("b", "01")),
        ({"d": ["1"]}, "there is no shard 'd'", ("d", "1")),
        ({"a": ["1.5"]}, "'1.5' is no int8", ("a", "1.5")),
    ],
)
def test_lists_that_cannot_be_used_are_named(lists: dict[str, list[str]], reason: str, item: object) -> None:
    with pytest.raises(MapError) as caught:
        function("list", lists=lists)
    assert (caught.value.reason, caught.value.item) == (reason, item)


def test_an_unknown_default_is_named() -> None:
    with pytest.raises(MapError, match="there is no shard 'd'"):
        function("list", default="d")


# --- lookup -----------------------------------------------------------------------------------------------------


def test_lookup_asks_its_directory() -> None:
    directory = Directory({1: 2})
    made = function("lookup", directory=directory)
    assert [shard_of(made, text) for text in ("1", "2")] == ["c", "-"]
    directory.learn(2, 0)
    directory.learn_absent(1, "gone")
    assert [shard_of(made, text) for text in ("1", "2")] == ["-", "a"]


def test_of_null_a_directory_says_nothing_and_is_not_asked() -> None:
    directory = Directory()
    directory.ask = lambda key, done: None
    with pytest.raises(KeyNotMapped) as caught:
        function("lookup", directory=directory).shards_of((None,))
    assert type(caught.value) is KeyNotMapped


# --- as applications shard by hand ------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "shard"), [("0", "a"), ("1", "b"), ("5", "c"), ("-6", "a"), ("-7", "-")])
def test_modulo_is_postgresqls_and_no_shard_has_a_number_below_zero(text: str, shard: str) -> None:
    assert shard_of(function("modulo"), text) == shard


@pytest.mark.parametrize(
    ("type", "text", "digested"),
    [("int4", "+042", "42"), ("text", "ä ", "ä "), ("uuid", SOME_UUID.hex.upper(), str(SOME_UUID))],
)
def test_md5_is_of_the_text_as_postgresql_writes_it(type: str, text: str, digested: str) -> None:
    number = int(hashlib.md5(digested.encode(), usedforsecurity=False).hexdigest(), 16)
    assert shard_of(function("md5", type), text) == SHARDS[number % 3]


def test_sha256_is_of_the_raw_uuid() -> None:
    number = int(hashlib.sha256(SOME_UUID.bytes).hexdigest()[:8], 16)
    assert shard_of(function("sha256", "uuid"), str(SOME_UUID)) == SHARDS[number % 3]


@pytest.mark.parametrize("method", ["modulo", "md5"])
def test_null_has_no_remainder(method: str) -> None:
    assert function(method).shards_of((None,)) == 0


# --- keys -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "method", "reason"),
    [
        (Column("id", "int8"), "hash", None),
        (Column("id", "int8"), "magic", "there is no method 'magic'"),
        (Column("mood", "mood", is_enum=True), "list", "mood is an enum"),
        (Column("name", "text", deterministic=False), "hash", "name has a nondeterministic collation"),
        (Column("doc", "jsonb"), "hash", "jsonb"),
        (Column("tags", "_text"), "list", "tags is of type _text, which cannot be a key"),
        (Column("id", "int8"), "sha256", "id is of type int8; method sha256 takes uuid"),
        (Column("price", "float8"), "lookup", "price is of type float8; method lookup takes"),
        (Column("name", "text"), "modulo", "name is of type text; method modulo takes int2, int4, int8"),
    ],
)
def test_a_column_that_cannot_be_a_key_is_refused_with_the_reason(
    column: Column, method: str, reason: str | None
) -> None:
    said = check_key(column, method)
    assert said == reason if reason is None or said is None else reason in said


@pytest.mark.parametrize("method", ["range", "list", "modulo", "md5", "sha256"])
def test_most_methods_take_one_column(method: str) -> None:
    with pytest.raises(MapError, match=f"method {method} takes keys of 1 column"):
        make_function(method, Rule(("uuid", "uuid"), SHARDS))


@pytest.mark.parametrize(
    ("type", "modifier", "described"),
    [
        ("int8", -1, "int8"),
        ("varchar", 40, "varchar(36)"),
        ("bpchar", 7, "bpchar(3)"),
        ("numeric", (10 << 16 | 2) + 4, "numeric(10,2)"),
        ("numeric", (3 << 16 | 0x7FF) + 4, "numeric(3,-1)"),
        ("timestamp", 0, "timestamp(0)"),
    ],
)
def test_a_modifier_belongs_to_a_keys_type(type: str, modifier: int, described: str) -> None:
    assert key_type(Column("k", type, modifier=modifier)) == described


def test_functions_show_what_they_are() -> None:
    assert repr(make_function("hash", Rule(("int8", "varchar(3)"), SHARDS))) == "<hash of int8, varchar(3)>"
