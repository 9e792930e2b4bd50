"""Compiled code and the general way give one mask for a call; where a value is clear, that is its key's shard."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.routing.plans.test_call import bind_of
from trunkline.routing.keys.directory import Directory
from trunkline.routing.keys.shard_functions import Rule, make_function
from trunkline.routing.keys.sharding import (
    KeyMissing,
    KeyNotMapped,
    KeyUnknown,
    Kind,
    NotCoercible,
    ShardFunction,
    Sharding,
    TableRule,
)
from trunkline.routing.planning.planner import plan
from trunkline.routing.plans.call import Call
from trunkline.routing.plans.evaluation import ReadyPlan
from trunkline.routing.plans.plan import (
    All,
    Constant,
    Equals,
    Fixed,
    In,
    InArray,
    Literal,
    Occurrence,
    Parameter,
    RoutePlan,
    Source,
    Verdict,
    Where,
)
from trunkline.routing.schema.catalog import Catalog, Column, Relation
from trunkline.routing.text.fingerprint import Fingerprint

SHARDS = ("a", "b", "c", "d", "e")
NOT_COERCIBLE, KEY_UNKNOWN, KEY_NOT_MAPPED, MANY_SHARDS = -1, -2, -3, -4
TYPES = ("int2", "int4", "int8", "text", "varchar", "varchar(5)", "uuid", "numeric", "bpchar")
FUNCTIONS: dict[str, ShardFunction] = {type: make_function("hash", Rule((type,), SHARDS)) for type in TYPES}
OIDS = {"int2": 21, "int4": 23, "int8": 20, "text": 25, "varchar": 1043, "varchar(5)": 1043, "uuid": 2950}
RANGES = {"int2": 15, "int4": 31, "int8": 63}

integers = st.integers(-(2**63), 2**63 - 1) | st.integers(-40000, 40000)
texts = st.text(st.sampled_from("ab'é\\ \n$1"), max_size=8)


def plan_of(where: Where) -> RoutePlan:
    return RoutePlan(Verdict.ROUTED, where)


def of_literal(type: str, made_of: bytes, negative: bool = False, cast: str = "") -> ReadyPlan:
    where = Equals(FUNCTIONS[type], (Literal(made_of.index(b"=") + 2, cast, negative),))
    return ReadyPlan(plan_of(where), Fingerprint(made_of), made_of)


def of_parameter(type: str, number: int = 1, cast: str = "") -> ReadyPlan:
    where = Equals(FUNCTIONS[type], (Parameter(number, cast),))
    return ReadyPlan(plan_of(where), Fingerprint(), b"")


def both_ways(ready: ReadyPlan, call: Call) -> int:
    """The answer of `evaluate`, which has to be that of the general way."""
    try:
        expected = ready.mask_of(call)
    except NotCoercible:
        expected = NOT_COERCIBLE
    except KeyUnknown:
        expected = KEY_UNKNOWN
    assert ready.code_of(call) == expected
    return expected


def shard_of(type: str, value: object) -> int:
    return FUNCTIONS[type].shards_of((value,))  # type: ignore[arg-type]


@given(st.sampled_from(sorted(RANGES)), integers)
def test_a_whole_number_in_the_text(type: str, number: int) -> None:
    made_of = b"SELECT * FROM t WHERE id = %s1" % (b"-" if number < 0 else b"")
    ready = of_literal(type, made_of, number < 0)
    sql = b"SELECT *  FROM t WHERE id = %d -- x" % number
    fits = -(1 << RANGES[type]) <= number < 1 << RANGES[type]
    assert ready.compiled
    answer = both_ways(ready, Call(sql))
    assert not fits or answer == shard_of(type, number)


@given(
    st.sampled_from(("text", "varchar", "varchar(5)", "bpchar")), texts, st.sampled_from(("plain", "escaped", "dollar"))
)
def test_a_string_in_the_text(type: str, value: str, form: str) -> None:
    quoted = {
        "plain": "'" + value.replace("'", "''") + "'",
        "escaped": "E'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'",
        "dollar": f"$tag${value}$tag$",
    }[form]
    ready = of_literal(type, b"SELECT * FROM t WHERE id = 'x'")
    answer = both_ways(ready, Call(f"SELECT * FROM t WHERE id = {quoted}".encode()))
    if type in ("text", "varchar"):
        assert answer == shard_of(type, value)


@given(st.sampled_from(TYPES[:7]), texts.map(str.encode) | integers.map(lambda n: b"%d" % n) | st.binary(max_size=17))
def test_any_parameter(type: str, value: bytes) -> None:
    for binary in (0, 1):
        for oid in (0, OIDS[type], *OIDS.values()):
            both_ways(of_parameter(type), Call(bind=bind_of([value], (binary,), names=b""), oids=(oid,)))


@given(st.sampled_from(sorted(RANGES)), st.sampled_from(sorted(RANGES)), st.data())
def test_a_whole_number_bound(column: str, given_as: str, data: st.DataObject) -> None:
    number = data.draw(st.integers(-(2 ** RANGES[given_as]), 2 ** RANGES[given_as] - 1))
    fits = -(1 << RANGES[column]) <= number < 1 << RANGES[column]
    raw = number.to_bytes((RANGES[given_as] + 1) // 8, "big", signed=True)
    ready = of_parameter(column, 2)
    assert ready.compiled
    for value, binary in ((raw, 1), (b"%d" % number, 0)):
        bind = bind_of([None, value], (0, binary), names=b"")
        answer = both_ways(ready, Call(bind=bind, oids=(0, OIDS[given_as])))
        assert not fits or answer == shard_of(column, number)
    assert both_ways(ready, Call(bind=bind_of([None, None], names=b""))) == 0


@pytest.mark.parametrize("type", [*RANGES, "text", "uuid", "numeric"])
def test_a_new_row_without_a_key_is_put_somewhere(type: str) -> None:
    where = Equals(FUNCTIONS[type], (Parameter(1, type),), nowhere=4)
    ready = ReadyPlan(plan_of(where), Fingerprint(), b"")
    assert both_ways(ready, Call(bind=bind_of([None], names=b""))) == 4


@given(st.integers(0, 2**128 - 1).map(lambda number: UUID(int=number)))
def test_a_uuid(value: UUID) -> None:
    expected = shard_of("uuid", value.bytes)
    literal = of_literal("uuid", b"SELECT * FROM t WHERE id = ''")
    parameter = of_parameter("uuid")
    assert literal.compiled
    assert parameter.compiled
    for written in (str(value), str(value).upper(), value.hex, f"{{{value}}}"):
        assert both_ways(literal, Call(b"SELECT * FROM t WHERE id = '%s'" % written.encode())) == expected
        assert both_ways(parameter, Call(bind=bind_of([written.encode()], names=b""))) == expected
    assert both_ways(parameter, Call(bind=bind_of([value.bytes], (1,), names=b""))) == expected


@pytest.mark.parametrize(
    "literal",
    [
        *(
            "1",
            "007",
            "1_000",
            "0x1F",
            "1.0",
            "1.5",
            "1e2",
            "99999999999999999999",
            "'1'",
            "' 1 '",
            "'-1'",
            "'x'",
            "''",
        ),
        *("E'1'", "$$1$$", "U&'1'", "U&'!0031' UESCAPE '!'", "N'1'", "B'1'", "X'1'", "'1'\n'2'", "'--1'", "'-'"),
    ],
)
@pytest.mark.parametrize("type", TYPES)
@pytest.mark.parametrize("negative", [False, True])
def test_no_way_of_writing_a_literal_parts_the_two(literal: str, type: str, negative: bool) -> None:
    sign = b"-" if negative else b""
    ready = of_literal(type, b"SELECT * FROM t WHERE id = %s1" % sign, negative)
    both_ways(ready, Call(b"SELECT * FROM t WHERE id = %s%s" % (sign, literal.encode())))


def test_a_string_is_read_by_the_setting() -> None:
    sql = b"SELECT * FROM t WHERE id = 'a\\\\b'"
    ready = of_literal("text", b"SELECT * FROM t WHERE id = 'x'")
    assert both_ways(ready, Call(sql)) == shard_of("text", "a\\\\b")
    assert both_ways(ready, Call(sql, standard_strings=False)) == shard_of("text", "a\\b")


def test_the_places_of_literals_are_those_of_every_text_with_the_key() -> None:
    made_of = b"SELECT 'x', -5 FROM t WHERE a = 1 AND b = - 2 AND c IN ('p', E'q')"
    sources: list[Source] = [Literal(made_of.index(b"1")), Literal(made_of.index(b"- 2"), negative=True)]
    rows = tuple((Literal(made_of.index(item)),) for item in (b"'p'", b"E'q'"))
    where = All((Equals(FUNCTIONS["int4"], (sources[0],)), Equals(FUNCTIONS["int8"], (sources[1],))))
    occurrence = Occurrence("public.t", "t", "sharded", In(FUNCTIONS["text"], rows), "")
    ready = ReadyPlan(RoutePlan(Verdict.ROUTED, where, occurrences=(occurrence,)), Fingerprint(made_of), made_of)
    assert sorted(ready.places.values()) == [2, 3, 4, 5]
    call = Call(b"select '', -0.1 /* 1 */ from t where A = 77 and B = -88 and C in ($$r$$, 's''')")
    assert both_ways(ready, call) == shard_of("int4", 77) & shard_of("int8", -88)
    assert ready.mask_of(call, occurrence.where) == shard_of("text", "r") | shard_of("text", "s'")


@pytest.mark.parametrize(
    ("text", "at", "negative"),
    [
        (b"SELECT -1", b"-", False),
        (b"SELECT 1", b"1", True),
        (b"SELECT - -1", b"-", True),
        (b"SELECT extract(year FROM x), 1", b"year", False),
        (b"SELECT -(1)", b"-", True),
        (b"SELECT x", b"x", False),
    ],
)
def test_a_place_where_no_such_literal_is_gives_no_value(text: bytes, at: bytes, negative: bool) -> None:
    where = Equals(FUNCTIONS["int4"], (Literal(text.index(at), negative=negative),))
    ready = ReadyPlan(plan_of(where), Fingerprint(text), text)
    assert not ready.places
    assert both_ways(ready, Call(text)) == KEY_UNKNOWN


def test_what_hinders_is_told_apart_and_kept() -> None:
    listed = make_function("list", Rule(("int4",), SHARDS, lists={"a": ["1"]}))
    answers = {}
    for literal in ("1", "2", "'x'", "B'1'"):
        sql = f"SELECT {literal}".encode()
        ready = ReadyPlan(plan_of(Equals(listed, (Literal(7),))), Fingerprint(sql), sql)
        call = Call(sql)
        answers[literal] = (ready.code_of(call), type(call.reason))
    assert answers == {
        "1": (1, type(None)),
        "2": (KEY_NOT_MAPPED, KeyNotMapped),
        "'x'": (NOT_COERCIBLE, NotCoercible),
        "B'1'": (KEY_UNKNOWN, KeyUnknown),
    }


def test_a_key_that_its_directory_may_have_is_kept_to_be_asked_for() -> None:
    directory = Directory()
    directory.ask = lambda key, done: None
    function = make_function("lookup", Rule(("int4",), SHARDS, directory=directory))
    sql = b"SELECT 7"
    ready, call = ReadyPlan(plan_of(Equals(function, (Literal(7),))), Fingerprint(sql), sql), Call(sql)
    assert ready.code_of(call) == KEY_NOT_MAPPED
    assert isinstance(call.reason, KeyMissing)
    assert (call.reason.directory, call.reason.key) == (directory, 7)


def test_a_fixed_mask_needs_no_values() -> None:
    assert ReadyPlan(plan_of(Fixed(0b101)), Fingerprint(), b"").code_of(Call()) == 0b101


def test_a_mask_of_very_many_shards_is_no_number_in_c() -> None:
    many = tuple(f"s{number}" for number in range(100))
    function = make_function("hash", Rule(("int8",), many))
    ready = ReadyPlan(plan_of(Fixed(function.every)), Fingerprint(), b"")
    assert ready.code_of(Call()) == MANY_SHARDS
    assert ready.mask_of(Call()) == function.every
    one = ReadyPlan(plan_of(Equals(function, (Constant("1"),))), Fingerprint(), b"")
    mask = one.mask_of(Call())
    assert one.code_of(Call()) == (mask if mask < 1 << 62 else MANY_SHARDS)


def test_an_array_is_evaluated() -> None:
    ready = ReadyPlan(plan_of(InArray(FUNCTIONS["int8"], Parameter(1))), Fingerprint(), b"")
    call = Call(bind=bind_of([b"{1,2,NULL}"], names=b""))
    assert both_ways(ready, call) == shard_of("int8", 1) | shard_of("int8", 2)


@dataclass
class _NotHashed:
    name: str = "own"
    types: tuple[str, ...] = ("int8",)
    every: int = 0b11111

    def shards_of(self, key: tuple[object, ...]) -> int:
        return 0b10000

    def shards_between(self, low: object, high: object) -> int:
        return self.every


def test_only_hashes_are_compiled() -> None:
    ready = ReadyPlan(plan_of(Equals(_NotHashed(), (Parameter(1),))), Fingerprint(), b"")
    assert not ready.compiled
    assert both_ways(ready, Call(bind=bind_of([b"1"], names=b""))) == 0b10000


@pytest.mark.parametrize(("oids", "kept"), [((0, 1700), False), ((0, 0), True), ((23, 0), True), ((0, 20), False)])
def test_a_parameter_beside_a_wider_one_is_not_read_as_the_column(oids: tuple[int, int], kept: bool) -> None:
    """`IN ($1, $2)` where the driver declares one of them: the other is of the type that PostgreSQL gives both."""
    sql = b"SELECT * FROM readings WHERE place IN ($1, $2)"
    catalog = Catalog({("public", "readings"): Relation("public", "readings", columns=(Column("place", "int4"),))})
    rule = TableRule(Kind.SHARDED, ("place",), FUNCTIONS["int4"], "readings")
    ready = ReadyPlan(plan(sql, catalog, Sharding(SHARDS, 0, {"readings": rule}), ("public",)), Fingerprint(sql), sql)
    call = Call(sql, bind_of([b"\0\0\0\1"] * 2, (1,), names=b""), oids)
    assert both_ways(ready, call) == (shard_of("int4", 1) if kept else KEY_UNKNOWN)
