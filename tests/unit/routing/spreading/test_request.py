"""What programs are made of."""

from __future__ import annotations

from tests.unit.execution.spread.sharded_shop import shop
from trunkline.execution.spread.studies import Studies
from trunkline.routing.spreading.request import Concatenation


def test_a_request_has_all_that_a_program_is_made_of() -> None:
    router, context = shop()
    request = Studies().of(b"SELECT name FROM customers", router, context).request
    assert request is not None
    assert (request.kind, request.search_path, request.catalog) == ("SelectStmt", context.path, router.catalog)


def test_the_plainest_program_is_the_text_itself() -> None:
    router, context = shop()
    program = Studies().of(b"SELECT name FROM customers", router, context).program
    assert isinstance(program, Concatenation)
    assert program.sql == b"SELECT name FROM customers"
