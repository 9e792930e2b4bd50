"""The reference page is made from the tables, and the one in the tree is current."""

from pathlib import Path

from trunkline.config.global_settings import Settings
from trunkline.config.reference import page
from trunkline.config.settings import DatabaseSettings, UserSettings
from trunkline.config.table import specs

PAGE = Path(__file__).parents[3] / "docs" / "settings.md"


def test_the_page_in_the_tree_is_current() -> None:
    assert PAGE.read_text("utf-8") == page(), "run: python -m trunkline.config.reference > docs/settings.md"


def test_every_setting_has_its_row() -> None:
    for table in (Settings, DatabaseSettings, UserSettings):
        for key in specs(table):
            assert f"\n| `{key}` |" in page()


def test_every_row_has_as_many_cells_as_the_head() -> None:
    rows = [line for line in page().splitlines() if line.startswith("|")]
    assert {line.count("|") for line in rows} == {7}
