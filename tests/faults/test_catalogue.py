"""Every entry of the catalogue of faults that has to be tested is, and the page that says so is up to date."""

from __future__ import annotations

import pytest

from tests.faults import catalogue


def test_every_entry_of_the_complete_sections_has_a_test() -> None:
    assert catalogue.without_test() == []


def test_the_page_is_up_to_date() -> None:
    assert catalogue.README.read_text() == catalogue.page(), "run: python -m tests.faults.catalogue"


@pytest.mark.parametrize(
    "name, claimed",
    [
        ("test_row_05_a_commit", ["5"]),
        ("test_row_40_and_42_a_client", ["40", "42"]),
        ("test_row_smuggling_a_bind", ["smuggling"]),
        ("test_a_row_of_data", []),
    ],
)
def test_a_test_claims_entries_by_its_name(name: str, claimed: list[str]) -> None:
    assert list(catalogue.claims_of_name(name)) == claimed


@pytest.mark.parametrize(
    "text, claimed",
    [
        ("Something. [row 05]", ["5"]),
        ("[rows 5, 7 to 9 and 12]", ["5", "7", "8", "9", "12"]),
        ("[1c cancel\nrace] and [1a direct TLS]", ["cancel_race", "direct_tls"]),
        ("row 5 of a table, [n] of them", []),
    ],
)
def test_a_docstring_claims_entries_by_tags(text: str, claimed: list[str]) -> None:
    assert list(catalogue.claims_of_text(text)) == claimed


def test_what_is_for_later_is_in_the_catalogue() -> None:
    assert set(catalogue.LATER) <= set(catalogue.entries())
