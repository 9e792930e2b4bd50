"""The page of the console is made from the table of commands, and the one in the tree is current."""

from __future__ import annotations

from pathlib import Path

from trunkline.admin.commands import COMMANDS
from trunkline.admin.reference import DOES, page

PAGE = Path(__file__).parents[3] / "docs" / "console.md"


def test_the_page_in_the_tree_is_current() -> None:
    assert PAGE.read_text("utf-8") == page(), "run: python -m trunkline.admin.reference > docs/console.md"


def test_every_command_for_people_is_told() -> None:
    text = page()
    listed = [command for command in COMMANDS.values() if command.listed]
    assert all(f"| `{command.usage.replace('|', ' or ')}`" in text for command in listed if command.columns)
    assert set(DOES) == {" ".join(one.words) for one in listed if one.words[0] != "SHOW"}
