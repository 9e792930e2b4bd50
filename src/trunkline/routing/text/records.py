"""Statements as they were recorded: by a file of SQL, by a server's log in each of its forms, by pg_stat_statements.

A log says what was sent, with its parameters, once for each call: of a query `statement: SQL`, of an Execute
`execute NAME: SQL` with its parameters in the detail, both perhaps behind a duration. Entries that say anything else
are passed over, as is what a log in another language than English says. pg_stat_statements has each text once, with how
often it was called, and $n in the place of its constants.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from trunkline.errors import ConfigError
from trunkline.routing.text.scripts import split

_COLUMNS_OF_CSVLOG = 23  # those that PostgreSQL 13 has; later ones have more
_SEVERITY, _MESSAGE, _DETAIL = 11, 13, 14
_SEVERITIES = r"DEBUG[1-5]?|LOG|INFO|NOTICE|WARNING|ERROR|FATAL|PANIC"
_LINE = re.compile(rf"(?P<prefix>.*?)\b(?P<word>{_SEVERITIES}|DETAIL|HINT|QUERY|CONTEXT|LOCATION|STATEMENT):  ")
_SAID = re.compile(r"(?:duration: [0-9.]+ ms  )?(?:statement|execute (?!fetch from )[^:]*): (?P<sql>.*)", re.DOTALL)
_PARAMETERS = re.compile(r"parameters: ", re.IGNORECASE)
_PARAMETER = re.compile(r"\$[0-9]+ = (?:NULL|'((?:[^']|'')*)')")
_LOOKED_AT = 100  # lines of a text whose form is to be recognised


class Form(StrEnum):
    """Of a text with statements."""

    SQL = "sql"
    CSVLOG = "csvlog"
    JSONLOG = "jsonlog"
    STDERR = "stderr"
    STATEMENTS = "pg_stat_statements"


@dataclass(frozen=True, slots=True)
class Record:
    """One statement; `parameters` is None where their values are not known, and None in it is NULL."""

    sql: bytes
    line: int
    calls: int = 1
    parameters: tuple[bytes | None, ...] | None = None


def recognise(text: str) -> Form:
    """Its form, by how it begins; what looks like nothing else is SQL."""
    head = text[: 1 << 16].lstrip("\ufeff\r\n ")
    lines = head.split("\n", _LOOKED_AT)[:_LOOKED_AT]
    if head.startswith("{") and '"error_severity"' in lines[0]:
        return Form.JSONLOG
    row = next(csv.reader(io.StringIO(head)), [])
    if {"query", "calls"} <= set(row):
        return Form.STATEMENTS
    if len(row) >= _COLUMNS_OF_CSVLOG and re.fullmatch(_SEVERITIES, row[_SEVERITY]):
        return Form.CSVLOG
    return Form.STDERR if any(_LINE.match(line) for line in lines) else Form.SQL


def records(text: str, form: Form) -> Iterator[Record]:
    """The statements of a text that was decoded as UTF-8 with surrogateescape; ConfigError if it is of another form."""
    csv.field_size_limit(1 << 30)
    text = text.removeprefix("\ufeff")
    if form is Form.SQL:
        for line, sql in split(_bytes(text)):
            yield Record(sql, line)
    elif form is Form.STATEMENTS:
        yield from _of_statements(text)
    else:
        for line, message, detail in _ENTRIES[form](text):
            said = _SAID.match(message)
            if said is not None:
                yield Record(_bytes(said["sql"]), line, 1, _parameters(detail))


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogateescape")


def _parameters(detail: str) -> tuple[bytes | None, ...]:
    begun = _PARAMETERS.match(detail)
    if begun is None:
        return ()
    found = _PARAMETER.finditer(detail, begun.end())
    return tuple(None if one[1] is None else _bytes(one[1].replace("''", "'")) for one in found)


# --- entries of logs: the line, the message, its detail -----------------------------------------------------------


def _of_csvlog(text: str) -> Iterator[tuple[int, str, str]]:
    reader = csv.reader(io.StringIO(text, newline=""))
    before = 0
    for row in reader:
        if len(row) >= _COLUMNS_OF_CSVLOG and row[_SEVERITY] == "LOG":
            yield before + 1, row[_MESSAGE], row[_DETAIL]
        before = reader.line_num


def _of_jsonlog(text: str) -> Iterator[tuple[int, str, str]]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            said = json.loads(line)
        except ValueError as problem:
            raise ConfigError(f"line {number} is no entry of a jsonlog", detail=str(problem)) from None
        if isinstance(said, dict) and said.get("error_severity") == "LOG":
            yield number, str(said.get("message", "")), str(said.get("detail", ""))


def _of_stderr(text: str) -> Iterator[tuple[int, str, str]]:
    """The lines of an entry are written together; a line that goes on within a field begins with a tab."""
    entry: dict[str, str] = {}
    begun, word = 0, ""
    for number, line in enumerate(text.split("\n"), 1):
        if line.startswith("\t") or (found := _LINE.match(line)) is None:
            if word:
                entry[word] += "\n" + line.removeprefix("\t")
            continue
        if re.fullmatch(_SEVERITIES, found["word"]):
            yield from _as_entry(begun, entry)
            entry, begun = {}, number
        word = found["word"]
        entry[word] = line[found.end() :]
    yield from _as_entry(begun, entry)


def _as_entry(line: int, entry: dict[str, str]) -> Iterator[tuple[int, str, str]]:
    if "LOG" in entry:
        yield line, entry["LOG"].rstrip("\r\n"), entry.get("DETAIL", "")


_ENTRIES = {Form.CSVLOG: _of_csvlog, Form.JSONLOG: _of_jsonlog, Form.STDERR: _of_stderr}


def _of_statements(text: str) -> Iterator[Record]:
    reader = csv.DictReader(io.StringIO(text, newline=""))
    if not {"query", "calls"} <= set(reader.fieldnames or ()):
        raise ConfigError("a dump of pg_stat_statements needs a header with the columns query and calls")
    before = reader.line_num
    for row in reader:
        if row["query"] and (row["calls"] or "").isdigit():
            yield Record(_bytes(row["query"]), before + 1, int(row["calls"]))
        before = reader.line_num
