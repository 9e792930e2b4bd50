"""COPY FROM STDIN over several shards: how its data is read, and what is refused."""

from __future__ import annotations

import pytest

from tests.unit.routing.spreading.planned_writes import planned
from trunkline.routing.plans.plan import Refusal
from trunkline.routing.spreading.writing_copy import CopyRows


def copied(sql: str) -> CopyRows:
    found = planned(sql)
    assert isinstance(found, CopyRows), found
    return found


def test_the_data_is_read_as_the_options_say() -> None:
    found = copied("COPY orders (id, total, customer_id) FROM STDIN")
    assert (found.form, found.keys, found.delimiter, found.null, found.header) == ("text", (2,), b"\t", b"\\N", False)
    found = copied("COPY orders FROM STDIN DELIMITER '|' NULL 'x' CSV HEADER QUOTE '''' FORCE NOT NULL customer_id")
    assert (found.form, found.keys, found.delimiter, found.null, found.header) == ("csv", (1,), b"|", b"x", True)
    assert (found.quote, found.escape, found.force_null, found.force_not_null) == (b"'", b"'", False, True)
    found = copied("COPY metrics FROM STDIN (FORMAT csv, HEADER match, ESCAPE '\\', ENCODING 'UTF-8', FORCE_NULL *)")
    assert (found.keys, found.escape, found.header, found.force_null) == ((0, 1), b"\\", True, True)
    assert copied("COPY BINARY orders FROM STDIN").form == "binary"


def test_a_key_is_where_the_rule_says() -> None:
    found = copied("COPY customers FROM STDIN")
    assert [found.place((b"5",)), found.place((b"no number",)), found.place((None,))] == [1, 1, 1]


@pytest.mark.parametrize(
    "sql",
    [
        "COPY orders (total) FROM STDIN",
        "COPY orders (customer_id) FROM STDIN",
        "COPY stamped (id) FROM STDIN",
        "COPY customers FROM STDIN (ENCODING 'latin1')",
        "COPY customers FROM STDIN (FREEZE)",
        "COPY customers FROM STDIN (ON_ERROR ignore)",
        "COPY customers FROM STDIN WHERE id > pg_backend_pid()",
        "COPY customers FROM STDIN WHERE id > double(3)",
        "COPY customers FROM '/tmp/x'",
        "COPY payments FROM STDIN",
    ],
)
def test_what_is_not_sure_is_refused(sql: str) -> None:
    assert isinstance(planned(sql), Refusal)
