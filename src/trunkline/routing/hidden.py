"""What the text of a statement hides: bodies of functions, triggers, defaults, policies and rules."""

from __future__ import annotations

from collections.abc import Sequence

from trunkline.routing.analysis import Analysis, Found
from trunkline.routing.catalog import Function
from trunkline.routing.scopes import Scope
from trunkline.routing.sql import Node


def on_user_function(analysis: Analysis, function: Function, node: Node, scope: Scope) -> None:
    """A call of somebody's own function."""


def on_write(analysis: Analysis, found: Found, event: str, columns: Sequence[str] | None, scope: Scope) -> None:
    """Rows of a table are written: its triggers, rules and defaults run."""


def on_block(analysis: Analysis, language: str, body: str) -> None:
    """DO: a body without a function."""
