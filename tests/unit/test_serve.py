"""How a serving process tells why it could not start."""

from __future__ import annotations

import pytest

from trunkline.config.diagnostics import ConfigErrors, Diagnostic
from trunkline.errors import ConfigError, ServerUnavailable
from trunkline.serve import explain, serve


def test_all_diagnostics_of_a_configuration_are_told() -> None:
    errors = ConfigErrors([Diagnostic("a.toml", 1, 2, "first"), Diagnostic("a.toml", 3, 4, "second")])
    assert explain(errors) == "a.toml:1:2: error: first\n\na.toml:3:4: error: second"


def test_an_error_is_told_with_detail_and_hint() -> None:
    assert explain(ConfigError("no", detail="because", hint="do")) == "trunkline: no\nbecause\nhint: do"
    assert explain(ServerUnavailable("no")) == "trunkline: no"


def test_a_file_that_cannot_be_used_ends_it_with_code_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert serve("/nowhere/trunkline.toml") == 1
    assert "/nowhere/trunkline.toml" in capsys.readouterr().err
