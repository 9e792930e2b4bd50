"""Parameters are read where the Bind says, within what is there; values as the column's type has them."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.routing.keys.sharding import KeyUnknown, NotCoercible
from trunkline.routing.plans.call import Call, parameters_of_bind
from trunkline.routing.plans.plan import Constant, Parameter

INT4, INT8, TEXT, FLOAT8, INT8_ARRAY, JSON, UNKNOWN = 23, 20, 25, 701, 1016, 114, 705


def bind_of(
    values: Sequence[bytes | None], formats: Sequence[int] = (), results: Sequence[int] = (), names: bytes = b"\0\0"
) -> bytes:
    fields = b"".join(
        struct.pack("!i", -1) if value is None else struct.pack("!i", len(value)) + value for value in values
    )
    return (
        names
        + struct.pack(f"!{len(formats) + 1}h", len(formats), *formats)
        + struct.pack("!h", len(values))
        + fields
        + struct.pack(f"!{len(results) + 1}h", len(results), *results)
    )


@pytest.mark.parametrize("formats", [(), (0,), (1,), (0, 1, 0)])
def test_the_parameters_of_a_bind(formats: tuple[int, ...]) -> None:
    values = [b"one", None, b""]
    data = bind_of(values, formats, (1, 0), b"portal\0name\0")
    found = parameters_of_bind(data)
    assert found is not None
    assert [None if size < 0 else data[start : start + size] for start, size, _ in found] == values
    wanted = formats * 3 if len(formats) == 1 else formats or (0, 0, 0)
    assert [binary for _, _, binary in found] == [bool(format) for format in wanted]


def test_every_beginning_of_a_bind_is_malformed() -> None:
    data = bind_of([b"one", None, b"three"], (0, 1, 0), (1,), b"p\0s\0")
    assert parameters_of_bind(data) is not None
    assert all(parameters_of_bind(data[:size]) is None for size in range(len(data)))
    assert parameters_of_bind(data + b"x") is None


@pytest.mark.parametrize(
    "data",
    [
        bind_of([b"a", b"b"], (0, 1, 0)),
        bind_of([b"a"], (2,)),
        bind_of([b"a"], (-1,)),
        b"\0\0\0\0\0\1\x7f\xff\xff\xff" + b"a" * 20,
        b"\0\0\0\0\0\1\xff\xff\xff\xfe" + b"a" * 20,
        b"\0\0\0\0\xff\xff" + b"\0" * 20,
        b"\0\0\xff\xff" + b"\0" * 20,
    ],
)
def test_a_malformed_bind(data: bytes) -> None:
    assert parameters_of_bind(data) is None
    with pytest.raises(ValueError, match="malformed"):
        Call(bind=data[2:])


@given(st.binary(max_size=80))
def test_any_bytes_are_parameters_within_them_or_malformed(data: bytes) -> None:
    for start, size, _ in parameters_of_bind(data) or ():
        assert 0 <= start <= len(data)
        assert -1 <= size <= len(data) - start


@given(st.lists(st.none() | st.binary(max_size=20), max_size=20), st.sampled_from([(), (0,), (1,)]))
def test_what_is_bound_is_found(values: list[bytes | None], formats: tuple[int, ...]) -> None:
    data = bind_of(values, formats, names=b"x\0\0")
    found = parameters_of_bind(data)
    assert found is not None
    assert [None if size < 0 else data[start : start + size] for start, size, _ in found] == values


def call(value: bytes | None, binary: bool = False, oid: int = 0) -> Call:
    return Call(bind=bind_of([value], (int(binary),), names=b""), oids=(oid,))


@pytest.mark.parametrize(
    ("made", "source", "type", "value"),
    [
        (call(b"42"), Parameter(1), "int8", 42),
        (call(b"42", oid=UNKNOWN), Parameter(1), "int8", 42),
        (call(b"42", oid=INT4), Parameter(1), "int8", 42),
        (call((42).to_bytes(4, "big"), True, INT4), Parameter(1), "int8", 42),
        (call((42).to_bytes(4, "big"), True), Parameter(1, "int4"), "int8", 42),
        (call((-1).to_bytes(8, "big", signed=True), True), Parameter(1), "int8", -1),
        (call(struct.pack("!d", 42.0), True, FLOAT8), Parameter(1), "int8", 42),
        (call(b"abc", True), Parameter(1), "text", "abc"),
        (call(None), Parameter(1), "text", None),
        (Call(), Constant("5"), "int4", 5),
        (Call(), Constant(None), "int4", None),
    ],
)
def test_a_value_is_of_the_type_that_was_declared(made: Call, source: Parameter, type: str, value: object) -> None:
    assert made.value(source, type) == value


@pytest.mark.parametrize(
    ("made", "type", "error"),
    [
        (call(b"x"), "int8", NotCoercible),
        (call(b"{}", oid=JSON), "int8", KeyUnknown),
        (call(b"123", True), "int8", KeyUnknown),
        (call(b"123", True, INT8), "int8", NotCoercible),
        (Call(bind=bind_of([], names=b"")), "int8", NotCoercible),
        (Call(b"SELECT 1"), "int8", KeyUnknown),
    ],
)
def test_a_value_that_is_none(made: Call, type: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        made.value(Parameter(1), type)


@pytest.mark.parametrize(
    ("made", "source", "elements"),
    [
        (call(b"{1,2,NULL}"), Parameter(1), [1, 2, None]),
        (call(b"{}", oid=INT8_ARRAY), Parameter(1, "int8[]"), []),
        (call(struct.pack("!iiiiiiqi", 1, 1, INT8, 2, 1, 8, 7, -1), True, INT8_ARRAY), Parameter(1), [7, None]),
        (call(None), Parameter(1), []),
        (Call(), Constant("{5}", "int8[]"), [5]),
        (Call(), Constant(None), []),
    ],
)
def test_the_elements_of_an_array(made: Call, source: Parameter, elements: list[object]) -> None:
    assert made.elements(source, "int8") == elements
