"""What auth_query has answered."""

from __future__ import annotations

import pytest

from trunkline.auth.secret import SecretKind
from trunkline.auth.user_row import Row, read_user
from trunkline.errors import AuthUnavailable


def test_one_row_with_the_name_that_was_asked_for_is_the_users_secret() -> None:
    found = read_user([(b"alice", b"md5" + b"0" * 32)], "alice")
    assert found is not None
    assert found.kind is SecretKind.MD5


def test_no_row_is_no_user_and_no_secret_is_one_whom_no_password_lets_in() -> None:
    assert read_user([], "alice") is None
    found = read_user([(b"alice", None)], "alice")
    assert found is not None
    assert found.text == ""


@pytest.mark.parametrize("name", [b"Alice", b"postgres", b"alic", b"alice ", b""])
def test_the_secret_of_another_is_not_taken_for_ones_own(name: bytes) -> None:
    assert read_user([(name, b"secret")], "alice") is None


def test_names_and_secrets_may_be_any_bytes() -> None:
    found = read_user([(b"\xffx", b"\xfe")], b"\xffx".decode(errors="surrogateescape"))
    assert found is not None
    assert found.raw == b"\xfe"


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([(b"a", b"x"), (b"a", b"y")], "2 rows"),
        ([(b"a",)], "expected 2 columns from auth_query, not 1"),
        ([(b"a", b"x", b"y")], "expected 2 columns from auth_query, not 3"),
        ([()], "not 0"),
        ([(None, b"x")], "null user name"),
    ],
)
def test_an_answer_that_cannot_be_used_says_why(rows: list[Row], says: str) -> None:
    with pytest.raises(AuthUnavailable, match=says):
        read_user(rows, "a")
