"""What a transaction beside a client's own has of its settings."""

from __future__ import annotations

from trunkline.execution.spread.apart import OF_TRANSACTION


def test_what_is_about_the_transaction_itself_is_its_own() -> None:
    said = (b"SET TRANSACTION READ ONLY", b"set local transaction isolation level serializable", b"SET LOCAL a TO b")
    assert [bool(OF_TRANSACTION.match(one)) for one in said] == [True, True, False]
