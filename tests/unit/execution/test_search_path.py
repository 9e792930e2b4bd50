"""A search_path is read as PostgreSQL reads it."""

from __future__ import annotations

import pytest

from trunkline.execution.search_path import path_of


@pytest.mark.parametrize(
    ("said", "path"),
    [
        (None, ("ann", "public")),
        (b'"$user", public', ("ann", "public")),
        (b'Sales, "Sales", "a ""b""", pg_temp , public', ("sales", "Sales", 'a "b"', "public")),
        (b"", ()),
        (b'""', ()),
    ],
)
def test_schemas_in_order(said: bytes | None, path: tuple[str, ...]) -> None:
    assert path_of(said, "ann") == path
