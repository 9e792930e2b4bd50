"""What is fuzzed: one module a target, each with ``check(data)``, which returns or has found something.

A target's docstring is its invariant. It draws on nothing random and keeps nothing between two inputs, so that an
input is a test of its own, here and under the fuzzer. Seeds are in ``tests/fuzz/seeds``, by the name of the target.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

Check = Callable[[bytes], None]

SEEDS = Path(__file__).parents[1] / "seeds"


@dataclass(frozen=True)
class Target:
    """``compiled`` says that it drives C code of ours, which is worth an instrumented build and a sanitizer."""

    name: str
    max_bytes: int
    compiled: bool = False

    @property
    def seeds(self) -> Path:
        return SEEDS / self.name


TARGETS = {
    target.name: target
    for target in (
        Target("startup", 1000),
        Target("options", 300),
        Target("scanner", 1000, compiled=True),
        Target("scram_client", 600),
        Target("scram_server", 1500),
        Target("session", 200, compiled=True),
        Target("lexer", 200, compiled=True),
        Target("fingerprint", 200, compiled=True),
        Target("bind", 200, compiled=True),
    )
}


def load(name: str) -> Check:
    check: Check = import_module(f"{__name__}.{name}").check
    return check
