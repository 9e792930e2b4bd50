"""The question about a session, and how its answer is read."""

from __future__ import annotations

import re

import pytest

from tests.unit.relay import rows
from trunkline.pool.probe import columns, question, read
from trunkline.routing.session.session_effects import PROBED, State


def row(*values: bytes | None) -> bytes:
    cells = (b"\xff\xff\xff\xff" if value is None else len(value).to_bytes(4, "big") + value for value in values)
    return len(values).to_bytes(2, "big") + b"".join(cells)


@pytest.mark.parametrize("state", list(State(PROBED)))
def test_every_state_that_can_be_asked_about_has_a_question(state: State) -> None:
    assert question(state, ()).startswith(b"SELECT '")


def test_no_name_is_left_to_the_search_path() -> None:
    asked = question(PROBED, [b"app.x"])
    for called in re.findall(rb"([a-z_.]+)\(", asked):
        assert called.startswith(b"pg_catalog.") or called in (b"own", b""), called
    for table in re.findall(rb"FROM ([a-z_.]+)", asked):
        assert table.startswith(b"pg_catalog."), table
    assert not re.search(rb" (=|<>|~|!~) ", asked)


def test_settings_with_a_dot_are_asked_for_by_name() -> None:
    assert b"('app.x'), ('it''s.y')" in question(State.SETTINGS, [b"it's.y", b"app.x"])
    assert b"VALUES" not in question(State.LOCKS, [b"app.x"])


def test_an_answer_is_read() -> None:
    found = read(
        [
            row(b"setting", b"work_mem", b"4096"),
            row(b"setting", b"role", b"none"),
            row(b"setting", b"transaction_read_only", b"on"),
            row(b"setting", b"app.unset", None),
            row(b"setting", b"App.X", b"1"),
            row(b"temporary", b"", b""),
            row(b"listening", b"news", b""),
            row(b"ours", b"", b"12"),
        ]
    )
    assert found.settings == {b"work_mem": b"4096", b"app.x": b"1"}
    assert found.state == State.TEMPORARY | State.LISTENING
    assert (found.channels, found.ours) == ([b"news"], 12)


def test_columns_are_those_of_a_data_row() -> None:
    assert columns(row(b"a", None, b"")) == (b"a", None, b"")
    assert rows(b"x")[rows(b"x").index(b"D\0") + 5 :].startswith(row(b"x"))
