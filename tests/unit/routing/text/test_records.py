"""Samples of every form in which statements are recorded; the logs are of PostgreSQL 15 and 18, but for names."""

from __future__ import annotations

import pytest

from trunkline.errors import ConfigError
from trunkline.routing.text.records import Form, Record, recognise, records

SQL = "-- what the shop does\nSELECT 1;\nSELECT\n  2;"
STDERR = """\
2026-11-21 11:30:01.100 UTC [77] LOG:  starting PostgreSQL 15.20 on x86_64-pc-linux-gnu
2026-11-21 11:30:02.100 UTC [91] LOG:  statement: SELECT *
\tFROM orders
\t\tWHERE id = 1
2026-11-21 11:30:02.101 UTC [91] shop@shop LOG:  execute __asyncpg_stmt_1__: UPDATE orders SET note = $1 WHERE id = $2
2026-11-21 11:30:02.101 UTC [91] shop@shop DETAIL:  parameters: $1 = 'it''s
\t$2 = ''x''', $2 = NULL
2026-11-21 11:30:02.102 UTC [91] LOG:  execute fetch from a/b: SELECT 3
2026-11-21 11:30:02.103 UTC [91] LOG:  duration: 0.123 ms
2026-11-21 11:30:02.104 UTC [91] LOG:  duration: 0.123 ms  bind <unnamed>: SELECT $1
2026-11-21 11:30:02.105 UTC [91] LOG:  duration: 10.123 ms  execute <unnamed>: SELECT $1
2026-11-21 11:30:02.105 UTC [91] DETAIL:  Parameters: $1 = '42'
2026-11-21 11:30:02.106 UTC [91] ERROR:  division by zero
2026-11-21 11:30:02.106 UTC [91] STATEMENT:  SELECT 1 / 0
2026-11-21 11:30:02.107 UTC [91] LOG:  duration: 1.000 ms  statement: COMMIT
"""
_CSV = (
    '2026-11-21 11:30:02.100 UTC,"app","shop",91,"127.0.0.1:5000",65f.5b,{number},"SELECT",2026-11-21,3/2,0,'
    '{severity},00000,"{message}",{detail},,,,,,,,"psql","client backend",,0\n'
)
CSVLOG = (
    _CSV.format(number=1, severity="LOG", message='statement: SELECT\n""a""', detail="")
    + _CSV.format(number=2, severity="ERROR", message="statement: no", detail="")
    + _CSV.format(number=3, severity="LOG", message="execute p: SELECT $1", detail='"Parameters: $1 = \'x,""y""\'"')
)
JSONLOG = (
    '{"timestamp":"2026-11-21 11:30:02.100 UTC","pid":91,"error_severity":"LOG","message":"statement: SELECT\\n1"}\n'
    '{"timestamp":"2026-11-21 11:30:02.100 UTC","pid":91,"error_severity":"ERROR","message":"statement: no"}\n'
    '{"timestamp":"2026-11-21 11:30:02.100 UTC","pid":91,"error_severity":"LOG","message":"execute a/b: SELECT $1",'
    '"detail":"parameters: $1 = \'\\u00ef\'"}\n'
)
STATEMENTS = (
    'userid,queryid,query,calls\n10,1,"SELECT *\nFROM t WHERE id = $1",120\n'
    "10,2,<insufficient privilege>,x\n10,3,COMMIT,7\n"
)

EXPECTED = {
    Form.SQL: (SQL, [Record(b"SELECT 1", 2), Record(b"SELECT\n  2", 3)]),
    Form.STDERR: (
        STDERR,
        [
            Record(b"SELECT *\nFROM orders\n\tWHERE id = 1", 2, 1, ()),
            Record(b"UPDATE orders SET note = $1 WHERE id = $2", 5, 1, (b"it's\n$2 = 'x'", None)),
            Record(b"SELECT $1", 11, 1, (b"42",)),
            Record(b"COMMIT", 15, 1, ()),
        ],
    ),
    Form.CSVLOG: (CSVLOG, [Record(b'SELECT\n"a"', 1, 1, ()), Record(b"SELECT $1", 4, 1, (b'x,"y"',))]),
    Form.JSONLOG: (JSONLOG, [Record(b"SELECT\n1", 1, 1, ()), Record(b"SELECT $1", 3, 1, ("ï".encode(),))]),
    Form.STATEMENTS: (
        STATEMENTS,
        [Record(b"SELECT *\nFROM t WHERE id = $1", 2, 120), Record(b"COMMIT", 5, 7)],
    ),
}


@pytest.mark.parametrize("form", Form)
def test_a_form_is_recognised_and_read(form: Form) -> None:
    text, expected = EXPECTED[form]
    assert recognise(text) is form
    assert list(records(text, form)) == expected


@pytest.mark.parametrize("form", Form)
def test_a_mark_of_its_encoding_and_other_ends_of_lines_change_nothing(form: Form) -> None:
    text, expected = EXPECTED[form]
    assert recognise("\ufeff" + text.replace("\n", "\r\n")) is form
    assert len(list(records("\ufeff" + text.replace("\n", "\r\n"), form))) == len(expected)


def test_nothing_is_sql_without_statements() -> None:
    assert recognise("") is Form.SQL
    assert list(records("", Form.SQL)) == []


def test_what_is_no_utf8_stays_as_it_is() -> None:
    text = b"SELECT '\xff'".decode(errors="surrogateescape")
    assert [one.sql for one in records(text, Form.SQL)] == [b"SELECT '\xff'"]


def test_another_form_than_was_said_is_told() -> None:
    with pytest.raises(ConfigError, match="line 1 is no entry of a jsonlog"):
        list(records(SQL, Form.JSONLOG))
    with pytest.raises(ConfigError, match="a header"):
        list(records(SQL, Form.STATEMENTS))
