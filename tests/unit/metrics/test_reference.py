"""The page of metrics is the table's."""

from __future__ import annotations

from pathlib import Path

from trunkline.metrics.families import FAMILIES
from trunkline.metrics.pgbouncer_names import PGBOUNCER_FAMILIES
from trunkline.metrics.reference import page

PAGE = Path(__file__).parents[3] / "docs" / "metrics.md"


def test_the_page_in_the_tree_is_the_current_one() -> None:
    assert PAGE.read_text("utf-8") == page(), "run: python -m trunkline.metrics.reference > docs/metrics.md"


def test_every_metric_has_a_row() -> None:
    rows = [line.split("|")[1].strip(" `") for line in page().splitlines() if line.startswith("| `")]
    assert rows == [family.shown_name for family in FAMILIES + PGBOUNCER_FAMILIES]
