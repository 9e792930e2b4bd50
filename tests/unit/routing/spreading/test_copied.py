"""COPY of a query: its options, and what is refused."""

from __future__ import annotations

import pytest

from tests.unit.routing.spreading.shop import request
from trunkline.routing.plans.plan import Refusal
from trunkline.routing.spreading.copied import CopyQuery
from trunkline.routing.spreading.planner import program_of


def test_options_are_read_as_postgresql_reads_them() -> None:
    program = program_of(request("COPY (SELECT (x) FROM a) TO STDOUT"))
    assert isinstance(program, CopyQuery)
    assert (program.inner.sql, program.tail) == (b"SELECT (x) FROM a", b" TO STDOUT")
    assert (program.form, program.delimiter, program.null, program.quoted) == ("text", b"\t", b"\\N", ())
    program = program_of(request("COPY (SELECT x FROM a) TO STDOUT (FORMAT csv, QUOTE '|', FORCE_QUOTE (x), HEADER)"))
    assert isinstance(program, CopyQuery)
    assert (program.delimiter, program.null, program.quote, program.escape) == (b",", b"", b"|", b"|")
    assert program.quoted == ("x",)
    assert program.header


@pytest.mark.parametrize(
    "sql",
    [
        "COPY (SELECT x FROM a) TO '/tmp/a'",
        "COPY (SELECT x FROM a) TO STDOUT (ENCODING 'latin1')",
        "COPY (UPDATE a SET x = 1 RETURNING x) TO STDOUT",
        "COPY (SELECT x FROM a TABLESAMPLE SYSTEM (1)) TO STDOUT",
    ],
)
def test_what_is_not_copied(sql: str) -> None:
    assert isinstance(program_of(request(sql)), Refusal)
