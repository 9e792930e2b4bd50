"""Positions: each key and value of any TOML stands where the index says."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.config.diagnostics import Path
from trunkline.config.positions import Positions

TEXT = """\
# a = 1
a = 1   # b = 2
"quoted key" = [ 1, "x]", # comment ]
  { in = 'line', deep.er = 2 } ]
s = \"\"\"
fake = 1
[fake]
\"\"\"
[t."x.y"] # [no]
k = '''a'''
'lit' = { p = { q = [1979-05-27T07:32:00Z, +inf] } }
[[rows]]
n = 1
[rows.sub]
m = 2
[[rows]]
n = 3
[rows.sub]
m = 4
"""


def at(text: str, path: Path, part: str) -> str:
    place = Positions("f", text).place(path, part)  # type: ignore[arg-type]
    assert place is not None, path
    return place.source_line[place.column - 1 :]


@pytest.mark.parametrize(
    ("path", "key", "value"),
    [
        (("a",), "a = 1   #", "1   #"),
        (("quoted key",), '"quoted key"', "[ 1"),
        (("quoted key", 1), None, '"x]", #'),
        (("quoted key", 2, "in"), "in = 'line'", "'line'"),
        (("quoted key", 2, "deep", "er"), "er = 2", "2 }"),
        (("s",), 's = """', '"""'),
        (("t",), 't."x.y"]', None),
        (("t", "x.y"), '"x.y"]', None),
        (("t", "x.y", "k"), "k = '''a'''", "'''a'''"),
        (("t", "x.y", "lit", "p", "q"), "q = [1979", "[1979"),
        (("t", "x.y", "lit", "p", "q", 1), None, "+inf] } }"),
        (("rows", 0, "n"), "n = 1", "1"),
        (("rows", 0, "sub", "m"), "m = 2", "2"),
        (("rows", 1, "n"), "n = 3", "3"),
        (("rows", 1, "sub", "m"), "m = 4", "4"),
    ],
)
def test_a_path_is_where_it_was_written(path: Path, key: str | None, value: str | None) -> None:
    if key is not None:
        assert at(TEXT, path, "key").startswith(key)
    if value is not None:
        assert at(TEXT, path, "value").startswith(value)


def test_what_only_looks_like_a_key_is_not_one() -> None:
    assert Positions("f", TEXT).place(("fake",), "key") is None
    assert Positions("f", TEXT).place(("b",), "key") is None


def test_lines_and_columns_count_from_one() -> None:
    place = Positions("f", "\n\n  a = 1").place(("a",), "key")
    assert place is not None
    assert (place.file, place.line, place.column, place.source_line) == ("f", 3, 3, "  a = 1")


def test_strings_that_end_in_quotes_are_skipped_whole() -> None:
    text = 'a = """x"""""\nb = \'\'\'y\'\'\'\'\'\nc = "\\""\nd = 4\n'
    assert tomllib.loads(text)["d"] == 4
    assert at(text, ("d",), "value") == "4"


KEYS = st.from_regex(r"[a-z]{1,3}|\"[^\"\\\x00-\x1f\x7f]{1,4}\"|'[^'\x00-\x1f\x7f]{1,4}'", fullmatch=True)
SCALARS = st.sampled_from(["1", "-0.5", "true", '"a,]}#"', "'x = 1'", '"""m\n[x]\n"""', "1979-05-27", "0x1F", "''"])
VALUES = st.recursive(
    SCALARS,
    lambda v: (
        st.lists(v, max_size=3).map(lambda items: "[ " + " ,\n # c ]\n".join(items) + "]")
        | st.lists(st.tuples(KEYS, v), max_size=3, unique_by=lambda kv: kv[0].strip("\"'")).map(
            lambda pairs: "{" + ", ".join(f"{k} = {x}" for k, x in pairs) + "}"
        )
    ),
    max_leaves=6,
)
LINES = st.one_of(
    st.tuples(KEYS, VALUES).map(lambda kv: f"{kv[0]} = {kv[1]} # end"),
    KEYS.map(lambda k: f"[{k}]"),
    KEYS.map(lambda k: f"[[ {k} . sub ]]"),
)


def paths(value: object, path: Path = ()) -> list[Path]:
    if isinstance(value, dict):
        return [p for k, v in value.items() for p in [(*path, k), *paths(v, (*path, k))]]
    if isinstance(value, list):
        return [p for i, v in enumerate(value) for p in paths(v, (*path, i))]
    return []


@given(st.lists(LINES, max_size=6).map("\n".join))
def test_every_key_that_tomllib_finds_is_found(text: str) -> None:
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    positions = Positions("f", text)
    for path in paths(document):
        place = positions.place(path, "key")
        assert place is not None, path
        written = place.source_line[place.column - 1 :]
        assert written.startswith((str(path[-1]), f'"{path[-1]}"', f"'{path[-1]}'"))
