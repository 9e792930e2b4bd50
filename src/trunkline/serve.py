"""``trunkline serve``: from the words on the command line to the running server, and from its errors to words again.

This module is what a serving process loads, so it imports nothing that only a person at a terminal needs.
"""

from __future__ import annotations

import os
import sys

from trunkline.config.diagnostics import ConfigErrors
from trunkline.config.settings import Config
from trunkline.config.target import read_target
from trunkline.errors import TrunklineError


def serve(target: str | None = None) -> int:
    """Serve a TOML file, a ``postgres://`` URL, or DATABASE_URL of the environment, until a signal; the exit code."""

    def load() -> Config:
        return read_target(target, os.environ)

    try:
        from trunkline.app import run

        return run(load)
    except TrunklineError as error:
        print(explain(error, color=sys.stderr.isatty()), file=sys.stderr)
        return 1
    except KeyboardInterrupt:  # before the server has its own signal handlers
        return 130


def explain(error: TrunklineError, *, color: bool = False) -> str:
    """An error as a person reads it: all diagnostics of a configuration, or message, detail and hint."""
    if isinstance(error, ConfigErrors):
        return error.render(color)
    parts = [f"trunkline: {error.message}", error.detail, error.hint and f"hint: {error.hint}"]
    return "\n".join(part for part in parts if part)
