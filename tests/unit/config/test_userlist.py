"""PgBouncer's userlist.txt."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.config.userlist import parse_userlist


def test_users_and_secrets_are_read() -> None:
    text = '; a comment\n\n"bob" "hush"\n  "ann"\t"SCRAM-SHA-256$4096:c2FsdA==$a:b" rest is ignored\n"no" ""\n'
    users = parse_userlist(text, "f")
    assert users.diagnostics == []
    assert users.secrets == {"bob": "hush", "ann": "SCRAM-SHA-256$4096:c2FsdA==$a:b", "no": ""}


def test_a_doubled_quote_is_a_quote() -> None:
    assert parse_userlist('"a""b" "c""d"""\n', "f").secrets == {'a"b': 'c"d"'}


@pytest.mark.parametrize(
    "line", ['"bob"', 'bob "hush"', '"bob" hush', '"bob" "hush', '"bob""hush"', "# no", '"bob" "hu"sh']
)
def test_a_bad_line_is_told_with_its_number(line: str) -> None:
    users = parse_userlist(f'"ok" "x"\n{line}\n"fine" "y"\n', "users.txt")
    assert users.secrets == {"ok": "x", "fine": "y"}
    (diagnostic,) = users.diagnostics
    assert (diagnostic.file, diagnostic.line) == ("users.txt", 2)


def test_a_user_twice_and_an_empty_one_are_told() -> None:
    users = parse_userlist('"a" "x"\n"a" "y"\n"" "z"\n', "f")
    assert users.secrets == {"a": "y"}
    assert [d.message for d in users.diagnostics] == ["empty user name"]
    assert [d.message for d in users.repeated] == ["user `a` is listed twice"]


def test_a_zero_byte_is_refused() -> None:
    assert parse_userlist('"a" "x\0"\n', "f").secrets == {}


@pytest.mark.parametrize("line", ['"bob" "hush', '"bob" hush', "hush", '"a" "hush" \n"a" "hush"', '"" "hush"'])
def test_no_diagnostic_and_no_repr_shows_a_secret(line: str) -> None:
    users = parse_userlist(line, "f")
    assert users.diagnostics or users.repeated
    assert "hush" not in repr(users)


WORDS = st.text(st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp")))


@given(st.dictionaries(WORDS.filter(bool), WORDS))
def test_what_is_quoted_comes_back(secrets: dict[str, str]) -> None:
    lines = ['"{}" "{}"'.format(u.replace('"', '""'), s.replace('"', '""')) for u, s in secrets.items()]
    assert parse_userlist("\n".join(lines), "f").secrets == secrets


@given(st.text())
def test_any_text_is_read_or_told(text: str) -> None:
    users = parse_userlist(text, "f")
    assert len(users.secrets) + len(users.diagnostics) + len(users.repeated) <= len(text.splitlines())
