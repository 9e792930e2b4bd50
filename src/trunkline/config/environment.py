"""Settings from the environment: ``TRUNKLINE_<SETTING>`` wins over what a file or URL says.

Contract: a name with our prefix that is no setting is an error, or a misspelt one would be ignored in silence.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from trunkline.config.build import with_settings
from trunkline.config.diagnostics import Part, Path, Place, Report, did_you_mean
from trunkline.config.global_settings import Settings
from trunkline.config.settings import Config
from trunkline.config.sources import Text
from trunkline.config.table import specs

NO_ENVIRONMENT: Mapping[str, str] = MappingProxyType({})
PREFIX = "TRUNKLINE_"
# Read by the demo, the build and tests; and what Kubernetes adds to every container beside a service named trunkline.
_NOT_SETTINGS = re.compile(
    r"TRUNKLINE_(PG_BIN|SANITIZE|FAILPOINTS|SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_\w+)?)?)"
)


class Overrides:
    """The settings that an environment holds; ``raw`` is for ``build``, and it says where each came from."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        names = [n for n in environ if n.startswith(PREFIX) and not _NOT_SETTINGS.fullmatch(n)]
        self._environ = {name: environ[name] for name in names}
        self._settings = {key: name for key in specs(Settings) if (name := PREFIX + key.upper()) in self._environ}
        self.raw = {key: Text(environ[name]) for key, name in self._settings.items()}

    def check(self, report: Report) -> None:
        """Report names that are no setting."""
        words = [PREFIX + key.upper() for key in specs(Settings)]
        for name in sorted(self._environ.keys() - self._settings.values()):
            # Its value is not shown: who knows what it is.
            place = Place("environment", 1, 1, f"{name}=")
            report.add_at(place, f"unknown setting {name}", did_you_mean(name, words))

    def place(self, path: Path, part: Part) -> Place | None:
        name = self._settings.get(str(path[0])) if len(path) == 1 else None
        return None if name is None else self._place(name, len(name) + 2 if part == "value" else 1)

    def _place(self, name: str, column: int) -> Place:
        return Place("environment", 1, column, f"{name}={self._environ[name]}".partition("\n")[0])


def overlay(config: Config, environ: Mapping[str, str]) -> Config:
    """A finished config with the environment's settings over it, checked again; ConfigErrors if that cannot be."""
    overrides = Overrides(environ)
    report = Report("environment", overrides)
    overrides.check(report)
    return with_settings(config, overrides.raw, report)
