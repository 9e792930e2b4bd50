"""SQL to try a scanner and a parser on: statements of every kind, literals of every form in some places; mutations."""

from __future__ import annotations

from pathlib import Path

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

LITERALS = {
    "number": ("1", "42", "0", "2147483648", "1.0", ".25", "3.", "1e3", "1E-3", "0x2A", "0b11", "0o52", "1_000_000"),
    "string": (
        "'text'",
        "''",
        "'it''s'",
        "E'a\\tb\\''",
        "$$d$$",
        "$q$d$$d$q$",
        "U&'\\0041'",
        "'a'\n 'b'",
        "'a' --\n\t'b'",
    ),
    "bits": ("B'01'", "x'0F'", "B''\n'1'"),
    "national": ("N'n'", "n''"),
}
SHAPES = (
    "SELECT * FROM t WHERE a = {0} AND b = 5",
    "SELECT {0}, -{0} FROM t LIMIT {0}",
    "INSERT INTO t (a, b) VALUES ({0}, 1), (-{0}, 2) RETURNING {0}+a",
    "UPDATE t SET a={0} WHERE b IN ({0},{0})",
    "SELECT a<{0}, a-{0}, a@{0}::text||{0} FROM t",
    "DELETE FROM t WHERE a BETWEEN {0} AND ({0}) /* {0} */",
    "SELECT (f({0}, x => {0}))[{0}:{0}]",
)
WRITTEN = tuple((Path(__file__).parent / "statements.sql").read_text().splitlines())
COMPOSED = tuple(shape.format(literal) for shape in SHAPES for forms in LITERALS.values() for literal in forms)
CORPUS = WRITTEN + COMPOSED

PIECES = (
    *(" ", "\n", "\t", "\r", "\f", ";", ",", ".", "(", ")", "[", "]", "::", ":=", ":", "$", "\\", "{", "\x01", "é"),
    *(
        "+",
        "-",
        "*",
        "/",
        "<",
        ">",
        "=",
        "~",
        "!",
        "@",
        "#",
        "%",
        "^",
        "&",
        "|",
        "`",
        "?",
        "--",
        "/*",
        "*/",
        "<>",
        "->>",
    ),
    *("'", "''", '"', '""', "$$", "$a$", "$1", "e'", "E'", "b'", "X'", "n'", "u&'", 'U&"', "uescape '!'", "''\n''"),
    *("0", "9", "_", "e", "x", "0x", "1e", "1_", "..", "float(", "float (5)", "a", "A", "select ", " as ", " union "),
    *(literal for forms in LITERALS.values() for literal in forms),
)


@st.composite
def mutations(draw: DrawFn) -> str:
    """A text of the corpus with some places changed, or two of them crossed."""
    text = draw(st.sampled_from(CORPUS))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = start + draw(st.sampled_from((0, 0, 0, 1, 1, 2, 5, 20)))
        text = text[:start] + draw(st.one_of(st.just(""), st.sampled_from(PIECES))) + text[end:]
    return text


def texts() -> st.SearchStrategy[str]:
    return st.one_of(mutations(), st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
