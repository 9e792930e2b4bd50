"""The fuzzer's targets for a few seconds each, coverage-guided; `make fuzz` gives them as long as one likes."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.fuzz import campaign, instrumented
from tests.fuzz.targets import TARGETS, Target, load

SECONDS = 3
SEED = 20_240_601


def _hindrance() -> str | None:
    if importlib.util.find_spec("atheris") is None:
        return "atheris, the fuzzer, is not installed"
    return "the fuzzer brings a sanitizer of its own" if instrumented.is_sanitized() else None


needs_atheris = pytest.mark.skipif(_hindrance() is not None, reason=_hindrance() or "")


@pytest.fixture(scope="module")
def compiled_environment() -> Mapping[str, str]:
    """For targets that drive C code; without clang the modules as they are."""
    return instrumented.environment() if instrumented.compiler() else {}


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_every_seed_keeps_the_invariant(target: Target) -> None:
    check = load(target.name)
    seeds = sorted(target.seeds.iterdir())
    assert seeds
    for seed in seeds:
        check(seed.read_bytes())


@needs_atheris
@pytest.mark.timeout(600)  # the first of them has the instrumented modules built
@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_nothing_is_found_in_a_few_seconds(
    target: Target, compiled_environment: Mapping[str, str], tmp_path: Path
) -> None:
    outcome = campaign.run(
        target,
        seconds=SECONDS,
        seed=SEED,
        corpus=tmp_path / "corpus",
        findings=tmp_path / "findings",
        environment=compiled_environment if target.compiled else {},
    )
    assert not outcome.failed, outcome.output[-4000:]
    assert outcome.coverage >= outcome.coverage_before > 0


@needs_atheris
def test_the_fuzzer_finds_what_is_planted(tmp_path: Path) -> None:
    """Behind four bytes that nobody would guess: found only by watching comparisons and coverage."""
    outcome = campaign.run(
        Target("planted", 100),
        seconds=30,
        seed=SEED,
        corpus=tmp_path / "corpus",
        findings=tmp_path / "findings",
        environment={},
    )
    assert outcome.finding is not None, outcome.output[-4000:]
    assert b"bug!" in Path(outcome.finding).read_bytes()
