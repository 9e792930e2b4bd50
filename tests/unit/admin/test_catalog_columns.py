"""The columns of the catalog are written down in a short form: it is read whole, and names nothing twice."""

from __future__ import annotations

import pytest

from trunkline.admin.arrays import OID
from trunkline.admin.catalog_columns import INFORMATION_SCHEMA, PG_CATALOG, columns_of
from trunkline.protocol.messages import INT4, TEXT


def test_a_line_is_names_with_kinds() -> None:
    assert columns_of("oid:o relname relnatts:i") == (("oid", OID), ("relname", TEXT), ("relnatts", INT4))


@pytest.mark.parametrize("name", [*PG_CATALOG, *INFORMATION_SCHEMA])
def test_no_column_is_named_twice(name: str) -> None:
    _, text = {**PG_CATALOG, **INFORMATION_SCHEMA}[name]
    columns = columns_of(text)
    assert columns and len({column for column, _ in columns}) == len(columns)
