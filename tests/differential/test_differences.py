"""The list of reviewed differences is itself tested: every entry is known, has its reason, and is still needed."""

from __future__ import annotations

import pytest

from tests.differential.differences import RULES, Rule, apply_rules, listed, pending
from tests.differential.language import corpus
from tests.differential.stage import VARIANTS, Stage

SCRIPTS = {script.id: script for script in corpus()}


def test_every_entry_speaks_of_what_there_is() -> None:
    rules, differences = listed()
    assert {rule.name for rule in rules} == set(RULES)
    assert {entry.script for entry in differences} | {rule.witness for rule in rules} <= set(SCRIPTS)
    assert {name for entry in differences for name in entry.variants} <= set(VARIANTS)
    assert {script for _, script in pending()} <= set(SCRIPTS)


def test_every_entry_says_why_in_a_sentence() -> None:
    for entry in (*listed()[0], *listed()[1]):
        assert entry.why.endswith("."), entry
        assert len(entry.why.split()) > 5, entry


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("rule", listed()[0], ids=lambda rule: rule.name.replace(" ", "-"))
async def test_every_rule_is_needed(stage: Stage, rule: Rule) -> None:
    script = SCRIPTS[rule.witness]
    for name, variant in VARIANTS.items():
        if variant.mode in rule.modes and script.fits(variant.mode, stage.major):
            both = await stage.direct(script), await stage.pooled(script, name)
            wanted, seen = apply_rules(*both, variant.mode, but=rule.name)
            assert wanted != seen, f"{name} no longer differs"
