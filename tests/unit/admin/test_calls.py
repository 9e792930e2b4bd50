"""Calls: which functions there are for which types; what they come to is compared in test_console_catalog.py."""

from __future__ import annotations

import pytest

import trunkline.admin.console  # noqa: F401 - fills the table of commands
from trunkline.admin.result import ConsoleError
from trunkline.admin.select import read_select
from trunkline.protocol.messages import INT8, TEXT


def test_calls_and_subqueries_have_types_and_names() -> None:
    sql = "SELECT string_agg(key, ','), array_agg(key), (SELECT count(*) FROM lists), array(SELECT items FROM lists)"
    command, _ = read_select(f"{sql} FROM config")
    assert command.columns == (("string_agg", TEXT), ("array_agg", 1009), ("count", INT8), ("array", 1007))


def test_admin_rights_are_needed_for_what_a_subquery_reads() -> None:
    assert read_select("SELECT 1 FROM pools WHERE EXISTS (SELECT 1 FROM fds)")[0].admin
    assert not read_select("SELECT 1 FROM pools WHERE EXISTS (SELECT 1 FROM lists)")[0].admin


@pytest.mark.parametrize(
    ("sql", "sqlstate"),
    [
        ("format_type('x', 1)", "22P02"), ("format_type('a'::text, 1)", "42883"), ("quote_ident(1)", "42883"),
        ("bool_or(1)", "42883"), ("string_agg(key, 1)", "42883"), ("count(DISTINCT key)", "0A000"),
        ("row_number()", "42883"), ("1 = ANY (SELECT 'x')", "42883"), ("(1, 2) IN (SELECT 1, 2)", "42601"),
        ("obj_description(1, 2, 3)", "42883"),
    ],
)  # fmt: skip
def test_what_there_is_not_is_said(sql: str, sqlstate: str) -> None:
    with pytest.raises(ConsoleError) as refusal:
        read_select(f"SELECT {sql} FROM config")
    assert refusal.value.sqlstate == sqlstate, refusal.value
