"""Reading values: TOML is typed, text is not, and both say what is wrong."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.config import kinds
from trunkline.config.address import BadValue, ListenAddress
from trunkline.config.kinds import Kind, Limits

ANY = Limits()
ALL = [k for k in vars(kinds).values() if isinstance(k, Kind)]


@pytest.mark.parametrize(
    ("kind", "written", "value"),
    [
        (kinds.BOOL, True, True),
        (kinds.BOOL, 0, False),
        (kinds.INT, 12, 12),
        (kinds.MODE, 0o700, 0o700),
        (kinds.MODE, "0755", 0o755),
        (kinds.SECONDS, 5, 5.0),
        (kinds.SECONDS, 0.5, 0.5),
        (kinds.SECONDS, "200ms", 0.2),
        (kinds.SECONDS, "5s", 5.0),
        (kinds.SECONDS, "1min", 60.0),
        (kinds.SECONDS, "2h", 7200.0),
        (kinds.SECONDS, "1 d", 86400.0),
        (kinds.SECONDS, "7", 7.0),
        (kinds.MILLISECONDS, 250, 250),
        (kinds.MILLISECONDS, "5s", 5000),
        (kinds.BYTES, 4096, 4096),
        (kinds.BYTES, "64kB", 65536),
        (kinds.BYTES, "1MB", 1048576),
        (kinds.TEXT, "x", "x"),
        (kinds.LISTEN, "127.0.0.1:9127", ListenAddress("127.0.0.1", 9127)),
        (kinds.LISTEN, "", None),
        (kinds.NAMES, ["a", "b"], ("a", "b")),
        (kinds.NAMES, "a, b", ("a", "b")),
        (kinds.NAMES, "", ()),
    ],
)
def test_a_toml_value_is_read(kind: Kind, written: object, value: object) -> None:
    assert kind.from_toml(written, ANY) == value


@pytest.mark.parametrize(
    ("kind", "written", "value"),
    [
        (kinds.BOOL, "1", True),
        (kinds.BOOL, " off ", False),
        (kinds.INT, " 12 ", 12),
        (kinds.MODE, "0777", 0o777),
        (kinds.MODE, "0o700", 0o700),
        (kinds.MODE, "700", 0o700),
        (kinds.SECONDS, "1.5", 1.5),
        (kinds.BYTES, "2GB", 2**31),
        (kinds.NAMES, "a,b", ("a", "b")),
    ],
)
def test_a_text_is_read(kind: Kind, written: str, value: object) -> None:
    assert kind.from_text(written, Limits(high=2**40)) == value


@pytest.mark.parametrize(
    ("kind", "written", "says"),
    [
        (kinds.BOOL, 2, "must be true or false"),
        (kinds.BOOL, 1.0, "must be true or false"),
        (kinds.INT, "20", "must be a whole number, not a string"),
        (kinds.INT, True, "must be a whole number, not true or false"),
        (kinds.INT, 1.5, "must be a whole number, not a number"),
        (kinds.INT, -1, "must be from 0 to 2147483647"),
        (kinds.INT, 10**400, "must be from 0 to"),
        (kinds.SECONDS, 10**400, "must be from 0 to"),
        (kinds.SECONDS, math.nan, "must be from 0 to"),
        (kinds.SECONDS, math.inf, "must be from 0 to"),
        (kinds.SECONDS, "-1s", "must be seconds"),
        (kinds.SECONDS, "5 sek", "unknown unit `sek`"),
        (kinds.SECONDS, [], "not an array"),
        (kinds.MODE, 777, "must be a mode"),
        (kinds.MODE, "888", "must be an octal mode"),
        (kinds.TEXT, 5, "must be a string, not a number"),
        (kinds.TEXT, "a\0b", "zero byte"),
        (kinds.NAMES, [1], "must be a string"),
        (kinds.NAMES, ["a", ""], "empty name"),
        (kinds.NAMES, "a,,b", "empty name"),
        (kinds.LISTEN, 9127, "must be a string"),
    ],
)
def test_a_wrong_toml_value_is_refused_with_words(kind: Kind, written: object, says: str) -> None:
    with pytest.raises(BadValue, match=says.replace("(", r"\(")):
        kind.from_toml(written, ANY)


@pytest.mark.parametrize(
    ("kind", "written", "hint"),
    [
        (kinds.INT, "20", "write 20 without quotes"),
        (kinds.BOOL, "true", "without quotes"),
        (kinds.TEXT, 5, 'write "5" in quotes'),
        (kinds.TEXT, True, 'write "true" in quotes'),
        (kinds.MODE, 777, "0o700"),
        (kinds.BYTES, "5KB", "did you mean `kB`?"),
    ],
)
def test_a_refusal_says_how_to_write_it(kind: Kind, written: object, hint: str) -> None:
    with pytest.raises(BadValue) as error:
        kind.from_toml(written, ANY)
    assert hint in error.value.hint


def test_a_choice_that_is_nearly_right_is_guessed() -> None:
    with pytest.raises(BadValue) as error:
        kinds.CHOICE.from_toml("transacton", Limits(choices=("session", "transaction")))
    assert error.value.hint == "did you mean `transaction`?"


def test_a_choice_that_is_far_off_gets_the_list() -> None:
    with pytest.raises(BadValue) as error:
        kinds.CHOICE.from_toml("xyzzy", Limits(choices=("session", "transaction")))
    assert error.value.hint == "it is one of session, transaction"


def test_several_choices_stay_as_written() -> None:
    limits = Limits(choices=("tlsv1.2", "tlsv1.3"))
    assert kinds.CHOICES.from_toml("tlsv1.2, tlsv1.3", limits) == "tlsv1.2, tlsv1.3"
    with pytest.raises(BadValue, match=r"unknown value `tlsv1.4`"):
        kinds.CHOICES.from_toml("tlsv1.2, tlsv1.4", limits)


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.dates() | st.times(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from(ALL), JUNK)
def test_any_value_is_read_or_refused(kind: Kind, value: object) -> None:
    try:
        kind.show(kind.from_toml(value, Limits(choices=("a",))))
    except BadValue as error:
        assert error.message


@given(st.sampled_from(ALL), st.text())
def test_any_text_is_read_or_refused(kind: Kind, text: str) -> None:
    try:
        kind.show(kind.from_text(text, Limits(choices=("a",))))
    except BadValue as error:
        assert error.message


@given(st.floats(0, 2**31 - 1))
def test_a_shown_duration_reads_back_as_itself(seconds: float) -> None:
    shown = kinds.SECONDS.show(seconds)
    if "e" not in shown and len(shown.partition(".")[2]) <= 9:
        assert kinds.SECONDS.from_text(shown, ANY) == seconds
