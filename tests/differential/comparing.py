"""The one test of this directory, for the variants that a file takes: a script's transcript is PostgreSQL's.

Files share it by calling `compare`; they are several so that pytest-xdist can run them side by side.
"""

from __future__ import annotations

import pytest

from tests.differential.differences import apply_rules, diff, difference_of, pending
from tests.differential.language import corpus
from tests.differential.script import Script
from tests.differential.stage import VARIANTS, Stage


def cases(*variants: str) -> list[object]:
    """Every script that can be played in each of these variants, as parameters of a test."""
    return [
        pytest.param(name, script, id=f"{name}/{script.id}", marks=_marks(name, script))
        for name in variants
        for script in corpus()
        if not script.modes or VARIANTS[name].mode in script.modes
    ]


def _listed_as(variant: str) -> str:
    return VARIANTS[variant].listed_as or variant


def _marks(variant: str, script: Script) -> list[pytest.MarkDecorator]:
    return [pytest.mark.xfail(reason="pending", strict=False)] if (_listed_as(variant), script.id) in pending() else []


async def compare(stage: Stage, variant: str, script: Script) -> None:
    """Play it at PostgreSQL and at the pool; all that differs must be listed, and all that is listed must differ."""
    mode = VARIANTS[variant].mode
    if not script.fits(mode, stage.major):
        pytest.skip(f"not for PostgreSQL {stage.major}")
    direct = await stage.direct(script)
    before = stage.played.get(variant)
    seen = diff(*apply_rules(direct, await stage.pooled(script, variant), mode))
    listed = difference_of(script.id, _listed_as(variant), stage.major)
    meant = list(listed.lines) if listed is not None else []
    if seen != meant:
        await stage.renew()
        at = f"{script.file}, line {script.line}: {script.id} in {variant}"
        listing = "\n".join(["listed as meant:", *meant]) if meant else "not listed as meant"
        words = [f"{at}, played behind {before} (- is PostgreSQL, + is the pool)", *seen, listing]
        pytest.fail("\n".join(words), pytrace=False)
