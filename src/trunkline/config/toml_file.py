"""A TOML file as a Config: every error at once, each with file, line, column and a caret.

tomllib reads; ``positions`` says where things stand; ``build`` says what they mean.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trunkline.config.build import build
from trunkline.config.diagnostics import ConfigErrors, Diagnostic, Report, redact
from trunkline.config.environment import NO_ENVIRONMENT, Overrides
from trunkline.config.positions import Positions
from trunkline.config.settings import Config
from trunkline.config.sources import Unreadable, read_text

__all__ = ["ConfigErrors", "Diagnostic", "load"]

_AT = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")


def load(path: str | Path, environ: Mapping[str, str] = NO_ENVIRONMENT) -> Config:
    """Read a file, with ``TRUNKLINE_*`` of the environment over it, or raise ConfigErrors."""
    file = Path(path)
    try:
        text = read_text(file)
    except Unreadable as error:
        raise ConfigErrors([error.diagnostic]) from None
    document, positions = _parse(text, str(file))
    overrides = Overrides(environ)
    report = Report(str(file), overrides, positions)
    overrides.check(report)
    return build(document | overrides.raw, report, base=file.parent, source=str(file))


def _parse(text: str, file: str) -> tuple[dict[str, Any], Positions]:
    try:
        return tomllib.loads(text), Positions(file, text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigErrors([_syntax_error(str(error), text, file)]) from None
    except RecursionError:
        raise ConfigErrors([Diagnostic(file, 0, 0, "nested too deeply")]) from None
    except ValueError as error:
        # tomllib lets Python's own limit on the digits of a number through.
        raise ConfigErrors([Diagnostic(file, 0, 0, str(error))]) from None


def _syntax_error(message: str, text: str, file: str) -> Diagnostic:
    lines = text.split("\n")
    match = _AT.search(message)
    line, column = len(lines), len(lines[-1]) + 1
    if match is not None and match[1]:
        line, column = int(match[1]), int(match[2])
    said = _AT.sub("", message)
    return Diagnostic(file, line, column, said[:1].lower() + said[1:], "", redact(lines[line - 1]))
