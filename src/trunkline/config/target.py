"""What ``trunkline serve`` and ``trunkline check`` are given: a file, a URL, or nothing if DATABASE_URL is set."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from trunkline.config.diagnostics import ConfigErrors, Diagnostic, Report, Source
from trunkline.config.environment import Overrides
from trunkline.config.pgbouncer.reader import Document
from trunkline.config.pgbouncer.reader import load as load_ini
from trunkline.config.positions import Positions
from trunkline.config.settings import Config
from trunkline.config.sources import Unreadable, read_text
from trunkline.config.toml_file import load
from trunkline.config.url import from_url

_MAIN_SECTION = re.compile(r"^\s*\[pgbouncer\]", re.MULTILINE)


def read_target(target: str | None, environ: Mapping[str, str]) -> Config:
    """Read the configuration that a command line and an environment name, or raise ConfigErrors."""
    if target is None:
        target = environ.get("DATABASE_URL")
    if not target:
        hint = "name a file or a URL, as in: trunkline serve postgres://user:password@host/dbname"
        raise ConfigErrors(
            [Diagnostic("trunkline", 0, 0, "no configuration is given, and DATABASE_URL is not set", hint)]
        )
    if "://" in target:
        return from_url(target, environ)
    return load_ini(target, environ) if is_ini(target) else load(target, environ)


def is_ini(file: str) -> bool:
    """Whether a file is PgBouncer's: by its name, or, where that does not tell, by its section."""
    suffix = Path(file).suffix
    if suffix in (".ini", ".toml"):
        return suffix == ".ini"
    try:
        return _MAIN_SECTION.search(read_text(Path(file))) is not None
    except Unreadable:  # whoever reads it says so
        return False


def wrong_setting(key: str, message: str, config: Config, environ: Mapping[str, str]) -> ConfigErrors:
    """What is wrong with a global setting, where that shows only when it is used, told at the place where it stands."""
    report = Report(config.source, Overrides(environ), *_positions(config.source))
    report.add((key,), message)
    return ConfigErrors(report.diagnostics)


def _positions(source: str) -> list[Source]:
    try:
        text = read_text(Path(source))
        return [Document(text, source) if is_ini(source) else Positions(source, text)]
    except Unreadable:  # a URL, or a file that is there no more
        return []
