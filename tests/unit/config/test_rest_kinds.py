"""Where a REST API is, as operators write it."""

from __future__ import annotations

import pytest

from trunkline.config.address import BadValue
from trunkline.config.kinds import Limits
from trunkline.config.rest_kinds import REST_URLS

LIMITS = Limits()


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("http://10.0.0.5:8008", ("http://10.0.0.5:8008",)),
        ("http://a:8008/, https://b/patroni", ("http://a:8008", "https://b/patroni")),
        (["http://[::1]:8008", "HTTP://B"], ("http://[::1]:8008", "HTTP://B")),
        ("", ()),
        ([], ()),
    ],
)
def test_one_or_several_urls_are_read(written: object, expected: tuple[str, ...]) -> None:
    assert REST_URLS.from_toml(written, LIMITS) == expected
    assert REST_URLS.from_text(REST_URLS.show(expected), LIMITS) == expected


@pytest.mark.parametrize(
    "written",
    [
        5,
        ["http://a", 5],
        "10.0.0.5:8008",
        "ftp://a",
        "http://",
        "http://a,",
        "http://u:secret@a",
        "http://a:0",
        "http://a:70000",
        "http://a b",
        "http://a/?x",
        "http://a\r\nX: y",
    ],
)
def test_anything_else_is_refused_without_repeating_it(written: object) -> None:
    with pytest.raises(BadValue) as refusal:
        REST_URLS.from_toml(written, LIMITS)
    assert "secret" not in f"{refusal.value.message} {refusal.value.hint}"
